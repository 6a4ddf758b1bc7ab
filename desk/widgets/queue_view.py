"""The queue as lines. Only rows that changed are drawn again, and the cursor belongs to an approval, not to a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from core.wire import ApprovalSummary
from desk.reading import Urgency, clean, countdown, holder
from desk.store import Settled

_LEAST_REASON = 12
"""Cells that have to be left for the reason of a row, or it is left out."""

Cell = tuple[str, str]
"""Text and the component class that colours it; the class is empty for plain text."""


class QueueView(ScrollView, can_focus=True, inherit_bindings=False):
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "queue--late",
        "queue--soon",
        "queue--quiet",
        "queue--mine",
        "queue--fresh",
        "queue--cursor",
    }

    class Moved(Message):
        """The cursor stands on another approval; empty when there is none."""

        def __init__(self, approval: str) -> None:
            super().__init__()
            self.approval = approval

    def __init__(self, now: Callable[[], datetime], person: Callable[[], str]) -> None:
        super().__init__(id="queue")
        self.rows: tuple[ApprovalSummary, ...] = ()
        self.cursor = ""
        """Id of the approval under the cursor."""
        self.fresh: set[str] = set()
        """Arrived since the person last moved."""
        self._now = now
        self._person = person
        self._settled: Mapping[str, Settled] = {}
        self._painted: dict[int, list[Cell]] = {}
        self._seen_once = False
        self._ghost = ""
        """The row under the cursor, after it left the queue."""

    # what there is

    def show(self, rows: Sequence[ApprovalSummary], settled: Mapping[str, Settled]) -> None:
        """Takes the new rows. One that left while the cursor was on it stays, marked, until the person moves on."""
        before, at = {row.id for row in self.rows}, self.index
        kept = list(rows)
        ids = {row.id for row in kept}
        self._ghost = ""
        if at is not None and self.cursor not in ids:
            self._ghost = self.cursor
            kept.insert(min(at, len(kept)), self.rows[at])
        if self._seen_once:
            self.fresh = (self.fresh | (ids - before)) & ids
        self._seen_once = True
        self.rows, self._settled = tuple(kept), settled
        self._resize()
        if not self.cursor and self.rows:
            self.move_to(self.rows[0].id)
        elif at is not None and self.index is not None and self.index != at:
            self.scroll_to(y=max(self.scroll_offset.y + self.index - at, 0), animate=False, force=True, immediate=True)
        self.repaint()

    @property
    def index(self) -> int | None:
        return next((i for i, row in enumerate(self.rows) if row.id == self.cursor), None)

    @property
    def current(self) -> ApprovalSummary | None:
        return None if (at := self.index) is None else self.rows[at]

    # the cursor

    def move_to(self, approval: str) -> None:
        """Puts the cursor on an approval of the queue; what had left the queue goes for good."""
        if approval == self.cursor:
            return
        self.rows = tuple(row for row in self.rows if row.id != self._ghost)
        self.cursor, self._ghost = approval, ""
        self.fresh.clear()
        self._resize()
        if (at := self.index) is not None:
            self._into_view(at)
        self.repaint()
        self.post_message(self.Moved(approval))

    def move_by(self, step: int) -> None:
        if self.rows:
            at = self.index or 0
            self.move_to(self.rows[max(0, min(at + step, len(self.rows) - 1))].id)

    def leave(self) -> None:
        """After a decision: on to the row below, or to the last one."""
        others = [row.id for row in self.rows if row.id != self.cursor]
        self.move_to(others[min(self.index or 0, len(others) - 1)] if others else "")

    def _into_view(self, at: int) -> None:
        height, top = self.size.height, self.scroll_offset.y
        if height and not top <= at < top + height:
            wanted = at if at < top else at - height + 1
            self.scroll_to(y=wanted, animate=False, force=True, immediate=True)

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if 0 <= at < len(self.rows):
            self.move_to(self.rows[at].id)

    # painting

    def _resize(self) -> None:
        wanted = Size(max(self.size.width, 1), len(self.rows))
        if self.virtual_size != wanted:
            self.virtual_size = wanted

    def on_resize(self) -> None:
        self._resize()
        self._painted.clear()
        self.refresh()

    def repaint(self) -> None:
        """Asks for those visible lines again that would come out otherwise than they were painted."""
        top = self.scroll_offset.y
        for y in range(top, top + self.size.height):
            if self._painted.get(y) != self._line(y):
                self.refresh_line(y)
        self._painted = {y: line for y, line in self._painted.items() if top <= y < top + self.size.height}

    def render_line(self, y: int) -> Strip:
        at = y + self.scroll_offset.y
        line = self._line(at)
        self._painted[at] = line
        base = self.rich_style
        if line and self.rows[at].id == self.cursor:
            base += self.get_component_rich_style("queue--cursor")
        segments = [Segment(text, base + self._style(name)) for text, name in line]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    def _style(self, name: str) -> Style:
        if not name:
            return Style.null()
        style = self.get_component_rich_style(f"queue--{name}")
        return Style(color=style.color, bold=style.bold, dim=style.dim, strike=style.strike)

    def _line(self, at: int) -> list[Cell]:
        if not 0 <= at < len(self.rows):
            return []
        row, width = self.rows[at], self.size.width
        pointer = "▸" if row.id == self.cursor else " "
        if gone := self._settled.get(row.id):
            told = f"{pointer} × {gone.status}{' by ' + gone.by if gone.by else ''}  {row.subject}"
            return [(set_cell_size(clean(told), width), "quiet")]
        now = self._now()
        clock, held = countdown(row.due_at, now), holder(row, now)
        urgency = "" if clock.urgency is Urgency.CALM else clock.urgency.value
        mark = "*" if held and held == self._person() else "@" if held else "+" if row.id in self.fresh else " "
        money = str(row.money) if row.money else ""
        tool = _fit(row.tool, min(18, max(width - 38, 8)))
        room = max(width - 25 - len(tool), 1)
        about = clean(row.subject or row.described).replace("\n", " ")
        if room - cell_len(about) > _LEAST_REASON:
            about += f"  {clean(row.reason)}".replace("\n", " ")
        return [
            (pointer, ""),
            (mark, {"*": "mine", "@": "quiet", "+": "fresh"}.get(mark, "")),
            (f"{clock.glyph:<2} {clock.text:>6} ", urgency),
            (f"{money:>11} ", ""),
            (f"{tool} ", ""),
            (_fit(about, room), "quiet"),
        ]


def _fit(text: str, width: int) -> str:
    return set_cell_size(text, width) if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
