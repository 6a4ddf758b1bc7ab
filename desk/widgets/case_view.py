"""The case under the cursor: a headline that lives, and tabs of sections below it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from core.wire import ApprovalSummary, TraceEntry
from core.wire_approvals import ApprovalDetail
from desk import reading
from desk.reading import Section, Tone, Urgency, countdown, holder
from desk.store import Settled


class Tab(StrEnum):
    EVIDENCE = "Evidence"
    TRACE = "Trace"
    POLICY = "Policy"


_COLOURS = {Tone.QUIET: "secondary", Tone.GOOD: "success", Tone.BAD: "error"}


class Sections(VerticalScroll, can_focus=False):
    """Sections as one block of text, coloured by the theme."""

    def compose(self) -> ComposeResult:
        yield Static(markup=False, classes="sections")

    def show(self, sections: Sequence[Section], *, top: bool) -> None:
        text = Text()
        colours = self.app.theme_variables
        for section in sections:
            text.append(f"{section.title.upper()}\n", f"bold {colours['primary']}")
            for line in section.lines:
                colour = colours[_COLOURS[line.tone]] if line.tone in _COLOURS else ""
                text.append(f"{line.text}\n", "bold" if line.tone is Tone.STRONG else colour)
            text.append("\n")
        self.query_one(Static).update(text)
        if top:
            self.scroll_home(animate=False)


class CaseView(Vertical):
    def __init__(self, now: Callable[[], datetime], person: Callable[[], str]) -> None:
        super().__init__(id="case")
        self.tab = Tab.EVIDENCE
        self.row: ApprovalSummary | None = None
        self.detail: ApprovalDetail | None = None
        self.entries: list[TraceEntry] = []
        self.settled: Settled | None = None
        self.empty = "Nothing is open."
        self._now = now
        self._person = person

    def compose(self) -> ComposeResult:
        yield Static(id="headline", markup=False)
        yield Static(id="tabs", markup=False)
        yield Sections(id="sections")

    # what is shown

    def show_row(self, row: ApprovalSummary | None) -> None:
        """What the queue knows of it, while the case is being read; None when there is nothing to show."""
        self.row, self.detail, self.settled = row, None, None
        self.entries = []
        self._paint(top=True)

    def show_detail(self, detail: ApprovalDetail) -> None:
        again = self.detail is not None and self.detail.seen == detail.seen
        self.row, self.detail = detail.approval, detail
        self._paint(top=not again)

    def show_trace(self, entries: Sequence[TraceEntry]) -> None:
        known = {entry.seq for entry in self.entries}
        self.entries += [entry for entry in entries if entry.seq not in known]
        self.entries.sort(key=lambda entry: entry.seq)
        if self.tab is Tab.TRACE:
            self._paint(top=False)

    def turn(self, step: int) -> None:
        tabs = list(Tab)
        self.tab = tabs[(tabs.index(self.tab) + step) % len(tabs)]
        self._paint(top=True)

    def scroll_pages(self, step: int) -> None:
        sections = self.query_one(Sections)
        sections.scroll_relative(y=step * max(sections.size.height - 2, 1), animate=False)

    def repaint(self) -> None:
        """The whole again, as after a change of theme."""
        self._paint(top=False)

    # painting

    def _paint(self, *, top: bool) -> None:
        self.tick()
        tabs = Text()
        for tab in Tab if self.row else ():
            tabs.append(f"[{tab}]" if tab is self.tab else f" {tab} ", "bold" if tab is self.tab else "dim")
            tabs.append(" ")
        self.query_one("#tabs", Static).update(tabs)
        self.query_one(Sections).show(self._sections(), top=top)

    def _sections(self) -> Sequence[Section]:
        if self.row is None:
            return [Section("", tuple(reading.Line(line) for line in self.empty.split("\n")))]
        if self.tab is Tab.TRACE:
            return reading.trace(self.entries)
        if self.detail is None:
            return [Section("reading the case …", (reading.Line(reading.clean(self.row.reason)),))]
        return reading.evidence(self.detail) if self.tab is Tab.EVIDENCE else reading.policy(self.detail)

    def tick(self) -> None:
        """The headline alone: time passes, claims change."""
        head = self.query_one("#headline", Static)
        if self.row is None:
            head.update("")
            return
        row, now, colours = self.row, self._now(), self.app.theme_variables
        title = f"{row.tool}  {row.money or ''}".rstrip()
        text = Text()
        text.append(f"{title}\n", "bold")
        text.append(f"{reading.clean(row.described)}\n")
        text.append(" · ".join(each for each in (reading.clean(row.subject), row.case_id) if each) + "\n", "dim")
        if self.settled is not None:
            by = f" by {self.settled.by}" if self.settled.by else ""
            text.append(f"× {self.settled.status}{by} at {self.settled.at:%H:%M:%S} UTC", colours["warning"])
        else:
            clock = countdown(row.due_at, now)
            tone = {Urgency.LATE: "error", Urgency.SOON: "warning"}.get(clock.urgency)
            due = (
                f"{clock.glyph} {clock.text} left"
                if clock.urgency is not Urgency.LATE
                else f"!! late by {clock.text[1:]}"
            )
            text.append(due.strip(), colours[tone] if tone else "")
            text.append(f" · {'/'.join(row.groups)}")
            held = holder(row, now)
            if held:
                text.append(" · * held by you" if held == self._person() else f" · @ held by {held}")
            if row.people > 1:
                text.append(f" · {len(self.detail.votes) if self.detail else 0} of {row.people} votes")
            if row.high_risk:
                text.append(" · ▲ high risk", colours["error"])
        head.update(text)
