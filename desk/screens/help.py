"""All keys, from the one registry of actions."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from desk.keymap import ACTIONS, shown_key

_SIGNS = """\
▸ cursor   * you hold it   @ somebody else does   + new
!! late   ! under five minutes   ▲ irreversible, and several people are asked"""


class HelpScreen(ModalScreen[None]):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,f1,q,enter", "dismiss", "back")]

    def compose(self) -> ComposeResult:
        text = Text()
        for group in dict.fromkeys(action.group for action in ACTIONS):
            text.append(f"{group.upper()}\n", f"bold {self.app.theme_variables['primary']}")
            for action in ACTIONS:
                if action.group == group:
                    keys = " ".join(shown_key(key) for key in action.keys)
                    text.append(f"  {keys:<14}", "bold")
                    text.append(f"{action.help}\n")
            text.append("\n")
        with Vertical(classes="dialog wide"):
            yield Static("Keys of the desk", classes="title")
            with VerticalScroll():
                yield Static(text)
                yield Static(_SIGNS, markup=False)
            yield Static("Esc back", classes="hint")
