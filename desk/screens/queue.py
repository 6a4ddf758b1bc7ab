"""The same screen, to decide on: what a decision key does, and when it counts at all."""

from __future__ import annotations

import time
from collections.abc import Coroutine
from typing import Any

from textual import events, work

from core.actions import JSON
from core.errors import CountersignError
from core.wire import ApprovalSummary
from core.wire_approvals import ApprovalDetail
from desk import forms
from desk.ballots import Ballot, ballot
from desk.feed import Link
from desk.keymap import BY_ID, why_not
from desk.screens.browse import BrowseScreen
from desk.screens.edit import EditScreen
from desk.screens.reject import Rejection, RejectScreen
from desk.session import Session
from desk.trigger import Trigger
from desk.voting import Result, cast


class QueueScreen(BrowseScreen):
    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.trigger = Trigger(session.ticking)
        self.key_typed_at = 0.0
        """When the key that runs now was typed, by Textual's clock."""
        self._sure = ""
        """The high-risk approval that was asked for once."""
        self._looking_since = 0.0

    # when a key counts

    def painted(self, detail: ApprovalDetail) -> None:
        self._arm()

    def left_case(self) -> None:
        self.trigger.disarm()
        self._sure = ""
        self._looking_since = self.session.ticking()

    def closed(self, approval: str) -> None:
        self.trigger.disarm()

    def shown_otherwise(self) -> None:
        if self.case.display:
            self._arm()
        else:
            self.trigger.disarm()

    def _arm(self) -> None:
        detail = self.case.detail
        if detail is not None and self.case.display and self.case.settled is None:
            self.call_after_refresh(self.trigger.painted, _name(detail))

    def on_key(self, event: events.Key) -> None:
        if event.key not in BY_ID["approve"].keys:
            self._sure = ""

    def _meant(self, action: str) -> ApprovalDetail | None:
        """What is on the screen, if the key was meant for it; otherwise says why nothing happens."""
        if why := why_not(BY_ID[action], self.situation()):
            self.notify(why, severity="warning", markup=False)
            return None
        detail = self.case.detail
        assert detail is not None  # `why_not` saw it
        waited = time.monotonic() - self.key_typed_at
        name = f"{_name(detail)}{self._sure}"
        return detail if self.trigger.pull(name, max(waited, 0.0)) else None

    def _cannot_send(self) -> str:
        if self.feed.link is Link.LIVE:
            return ""
        return "The server is not connected: nothing was sent. What you wrote is kept."

    # decisions

    def action_approve(self) -> None:
        detail = self._meant("approve")
        if detail is None:
            return
        if detail.approval.high_risk and not self._sure:
            self._sure = ":sure"
            self.trigger.painted(f"{_name(detail)}{self._sure}")
            self.notify(
                f"High risk: {detail.approval.described}. Press a again to approve it.",
                severity="warning",
                markup=False,
            )
            return
        self._sure = ""
        self._cast(detail, ballot(detail, "approve", dwell_s=self._dwell()))

    def action_reject(self) -> None:
        detail = self._meant("reject")
        if detail is None:
            return
        approval = detail.approval.id

        def answered(rejection: Rejection | None) -> None:
            if rejection is None:
                self._arm()
                return
            code, note = rejection
            self.session.notes[approval] = note
            self._cast(detail, ballot(detail, "reject", reason_code=code, note=note, dwell_s=self._dwell()))

        self.app.push_screen(RejectScreen(detail, self.session.notes.get(approval, ""), self._cannot_send), answered)

    def action_edit(self) -> None:
        detail = self._meant("edit")
        if detail is None:
            return
        if not forms.fields(detail.args_schema, detail.args):
            self.notify("Nothing can be edited here: approve or reject it.", severity="warning", markup=False)
            return
        draft = self.session.drafts.setdefault(detail.approval.id, {})

        def answered(args: dict[str, JSON] | None) -> None:
            if args is None:
                self._arm()
            else:
                self._cast(detail, ballot(detail, "edit", args=args, dwell_s=self._dwell()))

        self.app.push_screen(EditScreen(detail, draft, self._cannot_send), answered)

    def _dwell(self) -> float:
        return self.session.ticking() - self._looking_since

    @work(group="vote")
    async def _cast(self, detail: ApprovalDetail, meant: Ballot) -> None:
        self.trigger.disarm()
        row = detail.approval
        outcome = await cast(self.session.client, meant, self.session.unanswered)
        text = f"{row.subject or row.id}: {outcome.text}"
        match outcome.result:
            case Result.DECIDED | Result.COUNTED:
                self.session.drafts.pop(row.id, None)
                self.session.notes.pop(row.id, None)
                self.session.decided += 1
                if outcome.result is Result.DECIDED:
                    now = self.session.clock.now()
                    self.feed.state = self.feed.state.with_closed(row.id, outcome.status, self.session.person, now)
                self.notify(text, markup=False)
                if self.queue.cursor == row.id:
                    self.queue.leave()
                self.tick()
            case Result.CONFLICT:
                self.notify(text, severity="warning", markup=False)
                self.read_case(row)
            case Result.UNKNOWN:
                self.notify(text, severity="error", timeout=15, markup=False)
                self._arm()
            case Result.REFUSED:
                self.notify(text, severity="error", timeout=10, markup=False)
                self._arm()
        self.feed.want_snapshot()

    # claims

    def action_claim(self) -> None:
        self._lend("claim", self.session.client.claim)

    def action_release(self) -> None:
        self._lend("release", self.session.client.release)

    def _lend(self, action: str, ask: Any) -> None:
        if why := why_not(BY_ID[action], self.situation()):
            self.notify(why, severity="warning", markup=False)
        elif self.case.row is not None:
            self._ask(ask(self.case.row.id))

    @work(group="lend")
    async def _ask(self, asked: Coroutine[Any, Any, ApprovalSummary]) -> None:
        try:
            row = await asked
        except CountersignError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            self.feed.state = self.feed.state.with_row(row)
            self.tick()


def _name(detail: ApprovalDetail) -> str:
    return f"{detail.approval.id}:{detail.seen}"
