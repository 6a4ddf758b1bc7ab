"""The queue's filter: words, each of which a row has to meet. `action:refund group:finance smith`."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import InvalidInput
from core.wire import ApprovalSummary

Meets = Callable[[ApprovalSummary], bool]

_PARTS: dict[str, Callable[[ApprovalSummary], str]] = {
    "action": lambda row: row.tool,
    "group": lambda row: " ".join([*row.groups, *row.roles]),
    "kind": lambda row: row.kind,
    "by": lambda row: row.claimed_by,
    "text": lambda row: " ".join(
        (row.id, row.case_id, row.subject, row.tool, row.described, row.reason, str(row.money))
    ),
}
WORDS = ", ".join(f"{name}:…" for name in _PARTS)


def parse(text: str) -> Meets:
    """Case does not matter; a word without a name is looked for everywhere. Raises `InvalidInput`."""
    wanted: list[tuple[Callable[[ApprovalSummary], str], str]] = []
    for word in text.split():
        name, colon, value = word.partition(":")
        if not colon:
            name, value = "text", word
        if name.lower() not in _PARTS:
            raise InvalidInput(f"The filter does not know '{name[:30]}:'.", field="filter", hint=f"It knows {WORDS}.")
        wanted.append((_PARTS[name.lower()], value.lower()))
    return lambda row: all(value in part(row).lower() for part, value in wanted)
