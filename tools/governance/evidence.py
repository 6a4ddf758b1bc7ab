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

_EASIER = ("looser ", "unproved ", "missing ", "Verdicts: ", "On ")
_SO_SAID = ("(looser)", "(unproved)")
_MOST = 8
"""Lines on each side; the whole summary stands among the facts."""


def evidence(facts: Mapping[str, Fact]) -> tuple[list[str], list[str]]:
    """For and against, in words."""
    direction = facts["change.direction"].value if "change.direction" in facts else None
    speaks_for = [_PROVED[str(direction)]] if direction in _PROVED else []
    against = [_AGAINST[str(direction)]] if direction in _AGAINST else []
    summary = str(facts["change.summary"].value or "") if "change.summary" in facts else ""
    lines = [line.strip() for line in summary.splitlines()]
    speaks_for += [line for line in lines if line.startswith("tighter ")][:_MOST]
    against += [line for line in lines if line.startswith(_EASIER) or line.endswith(_SO_SAID)][:_MOST]
    governs = facts.get("grant.governs")
    if governs is not None and governs.value is True:
        against.append("the roles carry more than looking and voting")
    return speaks_for, against
