"""What a new policy proves, and what it changes: asked when somebody wants it in force, never for a decision."""

from __future__ import annotations

from dataclasses import dataclass
from core.errors import SetupError
from policies.book import Book


@dataclass(frozen=True)
class Compared:
    direction: str
    """same, tighter, looser, mixed, unproved"""
    summary: str
    failed: tuple[str, ...]
    """What it promises and does not hold, with line and column."""


def compared(before: Book | None, new: Book) -> Compared:
    """Takes about a second for a hundred rules. Without z3 nothing is proved, and promises can't be kept."""
    try:
        from policies.proofs.diff import compare  # z3 is heavy, and an extra
        from policies.proofs.prove import prove
    except SetupError as missing:
        promises = f"{missing.detail} What it promises under 'never' can't be proved."
        return Compared("unproved", missing.detail, (promises,) if new.never else ())
    failed = tuple(str(finding.problem(new.file)) for finding in prove(new) if finding.error)
    if before is None:
        return Compared("looser", "There was no policy before.", failed)
    difference = compare(before, new)
    return Compared(difference.direction.value, difference.as_text(), failed)
