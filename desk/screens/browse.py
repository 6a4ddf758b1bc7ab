"""The queue and the case under its cursor, to look at: layout, moving about, and keeping up with the server."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Input, Static

from core.errors import CountersignError, InvalidInput
from core.people import Permission
from core.wire import ApprovalSummary, TraceEntry
from core.wire_approvals import ApprovalDetail
from desk import filter as filters
from desk import reading
from desk.feed import Link
from desk.keymap import ACTIONS, Situation, footer
from desk.screens.help import HelpScreen
from desk.session import Session
from desk.store import QueueState
from desk.widgets.bars import KeyBar, StatusBar
from desk.widgets.case_view import CaseView, Sections, Tab
from desk.widgets.queue_view import QueueView

SETTLE_S = 0.05
"""How long the cursor has to rest on a row before its case is read: running through rows asks for nothing."""
AHEAD = 20
"""Rows before the end of the window at which more of the queue is read."""


class BrowseScreen(Screen[None]):
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (150, "-huge")]  # noqa: RUF012 - Textual's own name and type
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(",".join(action.keys), action.id, action.label, show=False) for action in ACTIONS
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.feed = session.feed
        now = session.clock.now
        self.queue = QueueView(now, lambda: session.person)
        self.case = CaseView(now, lambda: session.person)
        self.timeline = Sections(id="timeline")
        self.settled = asyncio.Event()
        """Set whenever all that was asked for is on the screen."""
        self._state: QueueState | None = None
        self._bars: object = None
        self._meets: filters.Meets = filters.parse("")

    def compose(self) -> ComposeResult:
        yield StatusBar()
        yield Static(id="banner", markup=False)
        with Horizontal(id="body"):
            yield self.queue
            yield self.case
            yield self.timeline
        yield Input(placeholder=f"Filter: {filters.WORDS}, or words", id="filter")
        yield KeyBar()

    def on_mount(self) -> None:
        self.queue.focus()
        self.set_interval(0.1, self.tick)
        self.tick()

    # keeping up

    def tick(self) -> None:
        batch = self.feed.absorb()
        if self.feed.state is not self._state:
            self._take_state()
        if batch:
            self._hear(batch)
        self.queue.repaint()
        now = self.session.clock.now()
        bars = (self._state, self.feed.link, int(now.timestamp()), len(self.queue.fresh), self.situation(), self.size)
        if bars != self._bars:
            self._bars = bars
            self._paint_bars()

    def _take_state(self) -> None:
        self._state = state = self.feed.state
        self.queue.show([row for row in state.rows if self._meets(row)], state.closed)
        if self.case.row is None:
            self._say_empty()
            return
        shown = self.case.row.id
        if (gone := state.closed.get(shown)) and self.case.settled is None:
            self.case.settled = gone
            self.closed(shown)
        present = next((row for row in state.rows if row.id == shown), None)
        if present is not None and present != self.case.row:
            anew = present.version != self.case.row.version
            self.case.row = present
            if anew:
                self.read_case(present)

    def _hear(self, batch: list[TraceEntry]) -> None:
        row = self.case.row
        if row is None:
            return
        told = [entry for entry in batch if entry.case_id == row.case_id]
        if told:
            self.case.show_trace(told)
            self._paint_timeline()

    def _paint_bars(self) -> None:
        state, now = self.feed.state, self.session.clock.now()
        fresh = len(self.queue.fresh)
        self.query_one(StatusBar).show(self.feed.me, state.rows, state.total, self.feed.link, now, fresh)
        self.query_one(KeyBar).show(footer(self.situation(), self.size.width))
        self.case.tick()
        self.say(self._link_trouble())

    def _link_trouble(self) -> str:
        told = self.feed.problem
        match self.feed.link:
            case Link.RECONNECTING:
                return "The connection is lost: trying again. Nothing can be decided until it is back; drafts are kept."
            case Link.OFFLINE:
                return f"Offline: what you see is old. {told or 'It goes on trying.'}"
            case Link.REFUSED:
                return str(told)
            case _:
                return ""

    def say(self, text: str) -> None:
        """The line above the queue; empty takes it away."""
        banner = self.query_one("#banner", Static)
        banner.set_class(bool(text), "-shown")
        banner.update(text)

    def _say_empty(self) -> None:
        if not self.feed.ready.is_set():
            self.case.empty = "Reading the queue …"
        elif self.feed.state.rows:
            self.case.empty = "No row meets the filter. Esc forgets it."
        else:
            self.case.empty = (
                f"Queue clear.\nNothing waits for people. {self.session.decided} decided here since you came."
            )
            self.settled.set()
        self.case.repaint()

    def situation(self) -> Situation:
        row, me = self.case.row, self.feed.me
        return Situation(
            rows=bool(self.queue.rows),
            case=self.case.display and row is not None and self.case.detail is not None,
            live=self.feed.link is Link.LIVE,
            undecided=self.case.settled is None and row is not None and row.status == "open",
            reviewer=me is not None and Permission.DECIDE in me.permissions,
        )

    # the case

    @on(QueueView.Moved)
    def _open_row(self) -> None:
        row = self.queue.current
        self.case.show_row(row)
        self.left_case()
        if row is None:
            self.remove_class("-case")
            self._say_empty()
            return
        self.settled.clear()
        self.read_case(row, rest_s=SETTLE_S)
        if len(self.queue.rows) - (self.queue.index or 0) < AHEAD:
            self.feed.widen()

    @work(exclusive=True, group="case")
    async def read_case(self, row: ApprovalSummary, rest_s: float = 0.0) -> None:
        await asyncio.sleep(rest_s)
        try:
            detail = await self.session.client.approval(row.id)
        except CountersignError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if self.queue.cursor != row.id:
            return
        self.feed.state = self.feed.state.with_row(detail.approval)
        self.case.show_detail(detail)
        self.painted(detail)
        await self._read_trace(row)
        self.call_after_refresh(self.settled.set)

    async def _read_trace(self, row: ApprovalSummary) -> None:
        if self.case.tab is not Tab.TRACE and not self.timeline.display:
            return
        try:
            page = await self.session.client.trace(row.case_id)
        except CountersignError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if self.case.row is not None and self.case.row.case_id == row.case_id:
            self.case.show_trace(page.items)
            self._paint_timeline()

    @work(exclusive=True, group="trace")
    async def read_trace(self) -> None:
        if self.case.row is not None:
            await self._read_trace(self.case.row)

    def _paint_timeline(self) -> None:
        if self.timeline.display:
            self.timeline.show(reading.trace(self.case.entries), top=False)
            self.timeline.scroll_end(animate=False)

    def painted(self, detail: ApprovalDetail) -> None:
        """The case is on its way to the screen."""

    def left_case(self) -> None:
        """The cursor stands on another row."""

    def closed(self, approval: str) -> None:
        """Somebody or something decided what is shown."""

    # moving about

    def action_down(self) -> None:
        self.queue.move_by(1)

    def action_up(self) -> None:
        self.queue.move_by(-1)

    def action_first(self) -> None:
        self.queue.move_by(-len(self.queue.rows))

    def action_last(self) -> None:
        self.queue.move_by(len(self.queue.rows))

    def action_next(self) -> None:
        now, me = self.session.clock.now(), self.session.person
        free = (row for row in self.queue.rows if reading.holder(row, now) in {"", me} and row.id != self.queue.cursor)
        found = next(free, None)
        if found is not None:
            self.queue.move_to(found.id)

    def action_open(self) -> None:
        self.toggle_class("-case")
        self.call_after_refresh(self.shown_otherwise)

    def action_back(self) -> None:
        self.remove_class("-case")
        self._filter("")
        self.query_one("#filter", Input).value = ""
        self.query_one("#filter").remove_class("-shown")
        self.queue.focus()
        self.call_after_refresh(self.shown_otherwise)

    def shown_otherwise(self) -> None:
        """The case came into view, or left it."""

    def on_resize(self) -> None:
        self.call_after_refresh(self.shown_otherwise)

    def action_tab_after(self) -> None:
        self.case.turn(1)
        self.read_trace()

    def action_tab_before(self) -> None:
        self.case.turn(-1)
        self.read_trace()

    def action_page_down(self) -> None:
        self.case.scroll_pages(1)

    def action_page_up(self) -> None:
        self.case.scroll_pages(-1)

    def action_filter(self) -> None:
        field = self.query_one("#filter", Input)
        field.add_class("-shown")
        field.focus()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self.queue.focus()

    @on(Input.Changed, "#filter")
    def _filter_typed(self, event: Input.Changed) -> None:
        self._filter(event.value)

    def _filter(self, text: str) -> None:
        try:
            self._meets = filters.parse(text)
        except InvalidInput as error:
            self.say(str(error))
            return
        rows = [row for row in self.feed.state.rows if self._meets(row)]
        self.queue.show(rows, self.feed.state.closed)
        if self.queue.cursor not in {row.id for row in rows}:
            self.queue.move_to(rows[0].id if rows else "")
        self._say_empty()

    def action_help(self) -> None:
        self.app.push_screen(HelpScreen())

    async def action_palette(self) -> None:
        await self.app.run_action("command_palette")

    async def action_theme(self) -> None:
        await self.app.run_action("turn_theme")
        self.case.repaint()
        self._paint_timeline()
        self._bars = None

    async def action_quit(self) -> None:
        await self.app.run_action("quit")
