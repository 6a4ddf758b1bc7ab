"""The desk as a Textual application: it connects, keeps the feed running, and shows the one screen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from textual import events
from textual.app import App, SystemCommand
from textual.screen import Screen

from desk.client import DeskClient
from desk.connection import Connection
from desk.keymap import ACTIONS, why_not
from desk.screens.queue import QueueScreen
from desk.session import Session, open_session
from desk.themes import DARK, LIGHT


class DeskApp(App[None]):
    TITLE = "Countersign desk"
    CSS_PATH = Path(__file__).with_name("desk.tcss")
    ENABLE_COMMAND_PALETTE = True

    def __init__(self, session: Session, *, light: bool = False) -> None:
        super().__init__()
        self.session = session
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = LIGHT.name if light else DARK.name
        self.queue_screen = QueueScreen(session)

    def on_mount(self) -> None:
        self.push_screen(self.queue_screen)
        self.run_worker(self.session.feed.run(), group="feed", exclusive=True)

    def on_key(self, event: events.Key) -> None:
        """Runs before the bindings of this key: a decision has to know when its key was typed."""
        self.queue_screen.key_typed_at = event.time

    def action_turn_theme(self) -> None:
        self.theme = DARK.name if self.theme == LIGHT.name else LIGHT.name

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette offers what may run now, out of the registry."""
        situation = self.queue_screen.situation()
        for action in ACTIONS:
            if action.id != "palette" and not why_not(action, situation):
                run = getattr(self.queue_screen, f"action_{action.id}")
                yield SystemCommand(f"{action.label.capitalize()}  ({action.key})", action.help, run)


async def run_desk(connection: Connection, *, light: bool = False) -> None:
    """Opens the desk on this terminal, until the person leaves it."""
    async with DeskClient(connection) as client:
        await client.me()  # who can't be let in is told so before the screen is taken
        await DeskApp(open_session(client), light=light).run_async()
