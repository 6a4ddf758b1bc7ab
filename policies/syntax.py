"""What the YAML parser's own complaints mean to somebody who edits a policy."""

from __future__ import annotations

from typing import Any, NamedTuple

from policies.problems import At

_QUOTES = "these quotes are never closed"
_INDENT = "Begin it in the same column as what it belongs to, or put the whole value above in quotes."
_OPEN = "is not closed where it should be, or a comma is missing"


class Advice(NamedTuple):
    message: str
    hint: str


_ADVICE = {
    "mapping values are not allowed in this context": Advice(
        "a second ': ' in one value", "Put the value in quotes, or begin the second key in the column of the first."
    ),
    "found unexpected end of stream": Advice(_QUOTES, "Close them."),
    "found unexpected document indicator": Advice(_QUOTES, "Close them."),
    "found character that cannot start any token": Advice(
        "no value begins with this character", "Put the value in quotes."
    ),
    "did not find expected node content": Advice("no value begins with this character", "Put the value in quotes."),
    "could not find expected ':'": Advice("a key without its ':'", "Write key: value."),
    "did not find expected ',' or ']'": Advice(f"a list with [ {_OPEN}", "Quote a condition that has brackets."),
    "did not find expected ',' or '}'": Advice(f"a table with {{ {_OPEN}", "Quote a value that has brackets."),
    "found unknown escape character": Advice("\\ has a meaning of its own in double quotes", "Use single quotes."),
    "did not find expected key": Advice("this belongs to nothing", _INDENT),
    "did not find expected '-' indicator": Advice("this belongs to nothing", _INDENT),
    "block sequence entries are not allowed in this context": Advice(
        "a list can't begin here", "Write each - on a line of its own, or [a, b]."
    ),
    "did not find expected comment or line break": Advice(
        "no text can stand beside this > or |", "Put the value in quotes."
    ),
    "did not find expected alphabetic or numeric character": Advice(
        "anchors and aliases (& and *) are not allowed", "Put the value in quotes."
    ),
}
_BEGINS = frozenset(
    {"found unexpected end of stream", "found unexpected document indicator", "could not find expected ':'"}
)


def complaint(error: Any) -> tuple[At, str, str]:
    """Place, message and hint for PyYAML's `MarkedYAMLError`."""
    told = error.problem or error.context or "it can't be read"
    advice = _ADVICE.get(told, Advice(f"this is no valid YAML: {told}", "Put the value in quotes."))
    here, began = error.problem_mark or error.context_mark, error.context_mark
    # What is never closed is missed lines later: then the place is where it began.
    lost = here and began and here.line > began.line and (told in _BEGINS or _OPEN in advice.message)
    mark = began if lost else here
    return (At(mark.line + 1, mark.column + 1) if mark else At(1, 1)), advice.message, advice.hint
