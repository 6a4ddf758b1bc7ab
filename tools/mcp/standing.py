"""How outside MCP servers stand: what was accepted of each, what they declare now, and what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import CountersignError
from core.mcp_settings import OutsideServerSettings
from tools.mcp.pins import Declared, pinned
from tools.mcp.session import declared
from tools.mcp.tools import problems


@dataclass(frozen=True)
class Standing:
    """One server, looked at now."""

    now: Mapping[str, Declared] = field(default_factory=dict)
    accepted: Mapping[str, Declared] = field(default_factory=dict)
    away: str = ""
    """Why it could not be asked."""
    unfit: tuple[str, ...] = ()
    """Tools that the settings name and that can't be used as they are declared."""

    def word(self, tool: str) -> str:
        """accepted, new, changed, gone, or away where nobody can tell."""
        if self.away:
            return "accepted" if tool in self.accepted else "away"
        if tool not in self.now:
            return "gone"
        if tool not in self.accepted:
            return "new"
        return "accepted" if self.accepted[tool] == self.now[tool] else "changed"


async def look(folder: Path, name: str, server: OutsideServerSettings) -> Standing:
    """`folder` is the data folder. Raises `SetupError` where what was accepted can't be read."""
    accepted = pinned(folder, name, server)
    try:
        now = await declared(server)
    except CountersignError as away:
        return Standing(accepted=accepted, away=away.detail)
    return Standing(now, accepted, unfit=tuple(problems(name, server, now)))
