"""The first and the last line: where the desk stands, and which keys there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import Static

from core.wire import ApprovalSummary, Me
from desk.feed import Link
from desk.keymap import Action
from desk.reading import Urgency, countdown, holder

_LINKS = {
    Link.CONNECTING: ("○", "CONNECTING", "warning"),
    Link.LIVE: ("●", "LIVE", "success"),
    Link.RECONNECTING: ("◌", "RECONNECTING", "warning"),
    Link.OFFLINE: ("✕", "OFFLINE", "error"),
    Link.REFUSED: ("✕", "REFUSED", "error"),
}


class StatusBar(Static):
    def __init__(self) -> None:
        super().__init__(id="status", markup=False)

    def show(
        self, me: Me | None, rows: Sequence[ApprovalSummary], total: int, link: Link, now: datetime, fresh: int
    ) -> None:
        colours = self.app.theme_variables
        urgencies = [countdown(row.due_at, now).urgency for row in rows]
        late, soon = urgencies.count(Urgency.LATE), urgencies.count(Urgency.SOON)
        mine = sum(me is not None and holder(row, now) == me.id for row in rows)
        glyph, word, tone = _LINKS[link]
        person = (me.id if self.size.width < 100 else f"{me.id} ({', '.join(me.roles)})") if me else "…"
        parts = [
            (f"desk  {person}", "bold"),
            (f"Queue {total}  Mine {mine}", ""),
            (f"!! {late} late", colours["error"] if late else "dim"),
            (f"! {soon} <5m", colours["warning"] if soon else "dim"),
            *([(f"+{fresh} new", colours["accent"])] if fresh else []),
            (f"{glyph} {word}", colours[tone]),
        ]
        text = Text(" ", no_wrap=True, overflow="ellipsis")
        for i, (part, style) in enumerate(parts):
            text.append(" │ " if i else "", "dim")
            text.append(part, style)
        self.update(text)


class KeyBar(Static):
    def __init__(self) -> None:
        super().__init__(id="keys", markup=False)

    def show(self, actions: Sequence[Action]) -> None:
        colours = self.app.theme_variables
        text, used = Text(" ", no_wrap=True), 1
        for action in actions:
            part = f"{action.key} {action.label}"
            if used + cell_len(part) + 2 > self.size.width:
                break
            text.append(action.key, f"bold {colours['accent']}")
            text.append(f" {action.label}  ")
            used += cell_len(part) + 2
        self.update(text)
