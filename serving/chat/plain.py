"""A talk with a plain LangGraph graph: a thread of the threads API, with one run for each turn.

Its thread is found in our own records, by who asks, for whom, and by the session or the first words; its id is drawn by
lot, so nobody else opens it first. The run carries the digest of its turn: a request that is sent again finds the run,
and says nothing twice. While a question of the graph waits
for people, nothing that is said here takes its place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4, uuid5
from weakref import WeakValueDictionary

from core.actions import JSON
from core.errors import Busy, Conflict, CountersignError
from core.ids import digest
from core.people import Person
from engine.thread_log import END
from engine.thread_starts import Wish
from ledger.database import Ledger
from ledger.thread_tables import ThreadRow, ThreadRunRow
from serving.chat.following import Event, Says, Spent, Working
from serving.chat.sessions import Spoken
from serving.house import House

_ROUNDS = 5
_LATEST = 20
"""Runs of a thread among which a turn is looked for."""
_TURNS: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""By talk: of requests for the same turn in this process one acts, the others find its run."""

_WAITS = "Somebody has to look at this before I can go on. You need not do anything; ask me here how it stands."
_WORKS = "I am still working on it; ask me again in a moment."


class GraphFailed(CountersignError):
    """A graph of the settings broke. What broke in it is in its run's events, for those who may read them."""

    title = "The graph failed"


class PlainTalk:
    def __init__(self, house: House, person: Person, graph: str, customer: str, session: str, spoken: Spoken) -> None:
        self._house = house
        self._person = person
        self._graph = graph
        self._customer = customer
        first = session or (spoken.lines[0].text if spoken.lines else "")
        named: dict[str, JSON] = {
            "workspace": person.workspace,
            "person": person.id,
            "graph": graph,
            "customer": customer,
            "session" if session else "first": first,
        }
        self._talk = digest(named)
        self._now = [line.text for line in spoken.lines if line.now]
        self._turn = digest({"before": len(spoken.lines) - len(self._now), "now": self._now})

    async def events(self, answered: Sequence[str], settle_s: float) -> AsyncGenerator[Event, None]:
        """`answered` are the answers that the client has. Raises `GraphFailed`."""
        thread, runs = await self._known()
        if thread is not None and runs and "chat" not in runs[0].meta and runs[0].ended_at is not None:
            came = _last_words(thread.state)  # people answered meanwhile, and the graph went on
            if came and not any(came in each for each in answered):
                yield Says(came)
        run = await self._run()
        if run is None:
            yield Says(_WAITS)
            return
        try:
            async with asyncio.timeout(settle_s):
                async for event in self._follow(run):
                    yield event
        except TimeoutError:
            yield Says(_WORKS)

    async def _run(self) -> ThreadRunRow | None:
        """The run of this turn, begun if it is not there; None while the graph waits for people, or nothing is said."""
        async with _TURNS.setdefault(self._talk, asyncio.Lock()):
            for _ in range(_ROUNDS):
                thread, runs = await self._known()
                for run in runs:
                    if run.meta.get("chat") == self._turn and run.status != "error":
                        return run
                if not self._now or (thread is not None and thread.status == "interrupted"):
                    return None
                for run in runs:
                    if run.ended_at is None:
                        await self._house.runs.over(self._person.workspace, run.id)
                thread_id = thread.id if thread is not None else str(uuid4())
                with suppress(Conflict):  # another process was faster
                    return await self._house.runs.start(self._person, thread_id, self._wish(thread_id))
        raise Busy("This conversation moves faster than it can be followed.", hint="Send it again.")

    def _wish(self, thread_id: str) -> Wish:
        said: list[JSON] = [
            {"role": "user", "content": text, "id": str(uuid5(UUID(thread_id), f"{self._turn}:{number}"))}
            for number, text in enumerate(self._now)
        ]
        return Wish(
            graph=self._graph,
            input={"messages": said},
            config={"configurable": {"customer_id": self._customer}} if self._customer else {},
            modes=("messages-tuple",),
            meta={"chat": self._turn},
            strategy="reject",
            creates=True,
            talk=self._talk,
        )

    async def _known(self) -> tuple[ThreadRow | None, Sequence[ThreadRunRow]]:
        """The thread, and its latest runs, the newest first."""

        def look(ledger: Ledger) -> tuple[ThreadRow | None, Sequence[ThreadRunRow]]:
            thread = ledger.threads.of_talk(self._talk)
            return thread, () if thread is None else ledger.threads.runs(thread.id, limit=_LATEST)

        return await self._house.database.read(self._person.workspace, look)

    async def _follow(self, run: ThreadRunRow) -> AsyncGenerator[Event, None]:
        last = ""
        async for batch in self._house.runs.feeds.follow(self._person.workspace, run.id):
            for _, name, data in batch:
                match name:
                    case "messages":
                        message = json.loads(data)[0]
                        if message.get("type") not in ("ai", "AIMessageChunk"):
                            yield Working("acting")
                            continue
                        if used := message.get("usage_metadata"):
                            yield Spent(int(used.get("input_tokens", 0)), int(used.get("output_tokens", 0)))
                        if text := _text(message.get("content")):
                            yield Says(text, goes_on=last == message.get("id"))
                            last = str(message.get("id"))
                    case "error":
                        raise GraphFailed("The graph could not answer.", hint="Try again, or tell the operator.")
                    case _ if name == END:
                        for event in _ended(json.loads(data), spoken=bool(last)):
                            yield event


def _ended(output: Mapping[str, Any], *, spoken: bool) -> list[Event]:
    values = output.get("values") or {}
    if values.get("__interrupt__"):
        return [Says(_WAITS)]
    words = "" if spoken else _last_words(values)
    return [Says(words)] if words else []


def _last_words(values: Mapping[str, Any]) -> str:
    """The last message of a state, if it is an answer."""
    messages = values.get("messages") or [{}]
    last = messages[-1] if isinstance(messages, list) else {}
    return _text(last.get("content")) if isinstance(last, Mapping) and last.get("type") == "ai" else ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [each.get("text", "") if isinstance(each, Mapping) else each for each in content]
        return "".join(part for part in parts if isinstance(part, str))
    return ""
