"""Every action of the desk, once: key bindings, footer, help and command palette are all made from this."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Context(StrEnum):
    """What an action needs before it may run."""

    ALWAYS = "always"
    QUEUE = "queue"  # there are rows
    CASE = "case"  # a case is open on the screen
    ONLINE = "online"  # a case, and the server can be asked
    DECIDE = "decide"  # a case that is still open, the server, and the right to vote


@dataclass(frozen=True)
class Situation:
    """Where the desk stands; from it follows what may run."""

    rows: bool = False
    case: bool = False
    live: bool = False
    undecided: bool = False
    reviewer: bool = False


@dataclass(frozen=True)
class Action:
    id: str
    """The method `action_<id>` of the queue screen runs it."""
    keys: tuple[str, ...]
    """In Textual's names; the first one is shown."""
    label: str
    help: str
    context: Context = Context.ALWAYS
    footer: int = 0
    """Place in the footer, from 1; 0 is not shown there. The first six fit 80 columns."""
    group: str = "General"

    @property
    def key(self) -> str:
        return shown_key(self.keys[0])


_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "pagedown": "PgDn",
    "pageup": "PgUp",
    "enter": "Enter",
    "escape": "Esc",
    "home": "Home",
    "end": "End",
}


def shown_key(key: str) -> str:
    if key.startswith("ctrl+"):
        return f"Ctrl+{key[5:].upper()}"
    return _NAMES.get(key, key)


C = Context
ACTIONS: tuple[Action, ...] = (
    Action("down", ("j", "down"), "down", "Next row", C.QUEUE, group="Queue"),
    Action("up", ("k", "up"), "up", "Row before", C.QUEUE, group="Queue"),
    Action("next", ("n",), "next", "Go to what is due first and nobody else holds", C.QUEUE, 6, "Queue"),
    Action("first", ("home", "g"), "first", "First row", C.QUEUE, group="Queue"),
    Action("last", ("end", "G"), "last", "Last row", C.QUEUE, group="Queue"),
    Action("filter", ("slash",), "filter", "Show only some: action:… group:… by:… or any text", C.ALWAYS, 8, "Queue"),
    Action("open", ("o", "enter"), "open", "The case over the whole width, or the queue again", C.QUEUE, 7, "Case"),
    Action("back", ("escape",), "back", "Back to the queue; forget the filter", C.ALWAYS, group="Case"),
    Action("tab_after", ("right_square_bracket",), "tab", "The tab after: evidence, trace, policy", C.CASE, 9, "Case"),
    Action("tab_before", ("left_square_bracket",), "tab back", "The tab before", C.CASE, group="Case"),
    Action("page_down", ("pagedown", "ctrl+d"), "page down", "Read on in the case", C.CASE, group="Case"),
    Action("page_up", ("pageup", "ctrl+u"), "page up", "Read back in the case", C.CASE, group="Case"),
    Action("approve", ("a",), "approve", "Approve what is shown; twice if it is of high risk", C.DECIDE, 1, "Decide"),
    Action("reject", ("r",), "reject", "Reject: a digit gives the reason, a note may follow", C.DECIDE, 2, "Decide"),
    Action("edit", ("e",), "edit", "Change the arguments: Ctrl+S, the difference, Enter", C.DECIDE, 3, "Decide"),
    Action("claim", ("c",), "claim", "Hold it for five minutes so that nobody else decides it", C.ONLINE, 4, "Decide"),
    Action("release", ("C",), "release", "Give it back", C.ONLINE, 5, "Decide"),
    Action("theme", ("T",), "theme", "Dark or light"),
    Action("palette", ("ctrl+p",), "palette", "Find any of these by name"),
    Action("help", ("question_mark", "f1"), "help", "These keys", C.ALWAYS, 10),
    Action("quit", ("ctrl+q",), "quit", "Leave the desk"),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}


def why_not(action: Action, now: Situation) -> str:
    """Why an action may not run, in words for the person; empty if it may."""
    if action.context is C.ALWAYS:
        return ""
    if action.context is C.QUEUE:
        return "" if now.rows else "The queue is empty."
    if not now.case:
        return "No case is open: open one with Enter."
    if action.context is C.CASE:
        return ""
    if not now.live:
        return "The server is not connected: nothing can be decided, and nothing is queued."
    if not now.undecided:
        return "It is decided already."
    if action.context is C.DECIDE and not now.reviewer:
        return "Your roles let you look, not decide."
    return ""


def footer(now: Situation, width: int) -> list[Action]:
    """What the last line shows: what may run now, in its order; six and help on a narrow screen."""
    *ranked, last = sorted((action for action in ACTIONS if action.footer), key=lambda action: action.footer)
    running = [action for action in ranked if not why_not(action, now)]
    return [*(running[:6] if width < 100 else running), last]
