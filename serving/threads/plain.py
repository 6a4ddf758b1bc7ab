"""The plain graphs of the settings, ready to be served."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Any

from core.errors import SetupError
from core.settings import GraphSettings
from engine.served import Served
from engine.thread_answers import Answers
from graphs.plain import PlainGraph
from graphs.plain_load import load_graph
from graphs.plain_steps import Steps
from ledger.database import Database

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,59}$")


def plain_graphs(
    settings: Mapping[str, GraphSettings], taken: Container[str], database: Database, saver: Any
) -> dict[str, Served]:
    """Raises `SetupError` for one that can't be loaded, and for a name that is no name or taken."""
    steps, answers = Steps(saver), Answers(database)
    found: dict[str, Served] = {}
    for name, part in settings.items():
        if not _NAME.match(name) or name in taken:
            why = "is the name of a kind of business task" if name in taken else "is no name for a graph"
            raise SetupError(f"'{name[:60]}' {why}.", hint=f"Rename [graphs.{name[:60]}] in the settings.")
        graph = load_graph(name, part.path, saver)
        found[name] = PlainGraph(name, part.title, graph, steps, answers, part.answered_by)
    return found
