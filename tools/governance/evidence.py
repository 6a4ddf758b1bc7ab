"""What those who approve a change of policy or of roles ought to see first."""

from __future__ import annotations

from collections.abc import Mapping

from core.verdicts import Fact

_PROVED = {
    "same": "proved: it decides every case as before",
    "tighter": "proved: nothing becomes easier",
}
_AGAINST = {
    "looser": "some of it becomes easier",
    "mixed": "some of it becomes easier, some harder",
    "unproved": "that nothing becomes easier is not proved",
}


def evidence(facts: Mapping[str, Fact]) -> tuple[list[str], list[str]]:
    """For and against, in words."""
    direction = facts["change.direction"].value if "change.direction" in facts else None
    speaks_for = [_PROVED[str(direction)]] if direction in _PROVED else []
    against = [_AGAINST[str(direction)]] if direction in _AGAINST else []
    summary = facts["change.summary"].value if "change.summary" in facts else None
    lines = [line.strip() for line in str(summary or "").splitlines() if line.strip()]
    (against if against else speaks_for).extend(lines[:12])
    governs = facts.get("grant.governs")
    if governs is not None and governs.value is True:
        against.append("the roles carry more than looking and voting")
    return speaks_for, against
