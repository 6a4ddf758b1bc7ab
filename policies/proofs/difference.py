"""How two versions of a book differ, in words and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.actions import JSON
from policies.book import Book
from policies.proofs.outside import Change
from policies.proofs.situations import Situation
from policies.proofs.strictness import Direction, together


@dataclass(frozen=True)
class Shown:
    """One action that the versions judge differently."""

    situation: Situation
    before: str
    """`review by desk (RF-03)`"""
    after: str

    def __str__(self) -> str:
        return f"{self.situation.tool} with {self.situation}: was {self.before}, becomes {self.after}"

    def as_json(self) -> dict[str, JSON]:
        return {"was": self.before, "becomes": self.after, "said": str(self), **self.situation.as_json()}


@dataclass(frozen=True)
class ToolDifference:
    tool: str
    looser: Shown | None = None
    tighter: Shown | None = None
    unproved: str = ""
    """Why nothing can be said for certain."""
    allowed: Shown | None = None
    """Denied before because something could not be told, and allowed now. That leaves the tool unproved."""
    unknown: Shown | None = None
    """Denied before because something could not be told, and for people now, whatever the missing facts are."""

    @property
    def direction(self) -> Direction:
        found = {Direction.LOOSER: self.looser, Direction.TIGHTER: self.tighter, Direction.UNPROVED: self.unproved}
        return together(direction for direction, reason in found.items() if reason)

    def as_json(self) -> dict[str, JSON]:
        return {
            "direction": self.direction.value,
            "looser": self.looser.as_json() if self.looser else None,
            "tighter": self.tighter.as_json() if self.tighter else None,
            "unproved": self.unproved,
            "allowed": self.allowed.as_json() if self.allowed else None,
            "unknown": self.unknown.as_json() if self.unknown else None,
        }


@dataclass(frozen=True)
class Difference:
    old: Book
    new: Book
    tools: Mapping[str, ToolDifference]
    """Those whose rules say something else; the others are proved the same."""
    changes: tuple[Change, ...]

    @property
    def direction(self) -> Direction:
        outside = [change.direction for change in self.changes if change.direction]
        return together([*outside, *(tool.direction for tool in self.tools.values())])

    @property
    def tightening(self) -> bool:
        """Proved: nothing becomes possible that was not, and nothing with fewer people."""
        return self.direction.tightening

    def as_json(self) -> dict[str, JSON]:
        return {
            "policy": self.new.name,
            "old": {"version": self.old.version, "digest": self.old.digest},
            "new": {"version": self.new.version, "digest": self.new.digest},
            "direction": self.direction.value,
            "tightening": self.tightening,
            "tools": {tool: found.as_json() for tool, found in self.tools.items()},
            "changes": [change.as_json() for change in self.changes],
        }

    def as_text(self) -> str:
        lines = [f"{self.new.name} {self.old.version} -> {self.new.version}: {self.direction.value}"]
        for tool, found in self.tools.items():
            lines.append(f"  {tool}: {found.direction.value}")
            if found.looser:
                lines.append(f"    looser   {found.looser}")
            if found.tighter:
                lines.append(f"    tighter  {found.tighter}")
            if found.unproved:
                lines.append(f"    unproved {found.unproved}{f': {found.allowed}' if found.allowed else ''}")
            if found.unknown:
                lines.append(f"    missing  {found.unknown}")
        if self.changes:
            lines.append("  besides the rules")
            lines += [f"    {change}" for change in self.changes]
        return "\n".join(lines)
