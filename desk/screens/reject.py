"""Why not? One digit answers; a note may be written first, and has to be for "other"."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, NamedTuple

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from core.wire import REASON_CODES
from core.wire_approvals import ApprovalDetail
from desk.reading import headline

CODES = tuple(REASON_CODES)


class Rejection(NamedTuple):
    code: str
    note: str


class RejectScreen(ModalScreen[Rejection | None]):
    AUTO_FOCUS = ""  # digits are answers, not text, until the note is asked for
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "back"),
        Binding("tab,n", "note", "note"),
    ]

    def __init__(self, detail: ApprovalDetail, note: str, why_not: Callable[[], str]) -> None:
        super().__init__()
        self._detail = detail
        self._note = note
        self._why_not = why_not
        self._code = ""

    def compose(self) -> ComposeResult:
        lines = [f" {digit}  {text}" for digit, text in enumerate(REASON_CODES.values(), 1)]
        with Vertical(classes="dialog"):
            yield Static(f"Reject: {headline(self._detail.approval)}", classes="title", markup=False)
            yield Static("\n".join(lines), markup=False, id="reasons")
            yield Input(self._note, placeholder="Note for the agent and the file (Tab to write one)", id="note")
            yield Static("digit rejects · Tab note · Esc back", classes="hint", markup=False)

    @property
    def note(self) -> str:
        return self.query_one(Input).value.strip()

    def on_key(self, event: events.Key) -> None:
        if self.focused is None and event.character and event.character in "123456789"[: len(CODES)]:
            event.stop()
            self._choose(CODES[int(event.character) - 1])

    def on_input_submitted(self) -> None:
        if self._code:
            self._choose(self._code)
        else:
            self.set_focus(None)
            self._say("Now the reason: a digit.")

    def _choose(self, code: str) -> None:
        if code == "other" and not self.note:
            self._code = code
            self.query_one(Input).focus()
            self._say("Other: say in the note what it is, then Enter.")
        elif why := self._why_not():
            self._say(why)
        else:
            self.dismiss(Rejection(code, self.note))

    def _say(self, text: str) -> None:
        self.query_one(".hint", Static).update(text)

    def action_note(self) -> None:
        self.query_one(Input).focus()

    def action_leave(self) -> None:
        if self.focused is not None:
            self._code = ""
            self.set_focus(None)
            self._say("digit rejects · Tab note · Esc back")
        else:
            self.dismiss(None)
