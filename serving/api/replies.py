"""What a client that waits for a run is given, and what it is known to have been shown by it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, suppress
from typing import Any

from core.errors import CountersignError
from core.people import Person
from engine.thread_log import END, Event, encoded
from ledger.thread_tables import ThreadRunRow
from serving.house import House
from serving.threads import shapes
from serving.threads.streams import BEAT_S, Following, Gone, event_bytes, questions_in, wanted


def place(run: ThreadRunRow, way: str = "") -> dict[str, str]:
    """Where the run is, and where its reader is to come back to."""
    base = f"/threads/{run.thread_id}/runs/{run.id}"
    return {"Content-Location": base, **({"Location": f"{base}/{way}"} if way else {})}


def streamed(
    house: House,
    person: Person,
    run: ThreadRunRow,
    held: ExitStack,
    after: int = 0,
    modes: Sequence[str] = (),
    *,
    cancels: bool = False,
) -> Following:
    """The run's events. With `cancels` it is called off if the reader leaves before its end.

    `held` is the place that it has among the open streams.
    """
    pieces = _events(house, person, run, after, modes)
    gone = _gone(house, person, run) if cancels else None
    return Following(pieces, "text/event-stream", place(run, "stream"), held, gone)


async def _events(
    house: House, person: Person, run: ThreadRunRow, after: int, modes: Sequence[str]
) -> AsyncIterator[bytes]:
    shown: list[str] = []
    async for batch in house.runs.feeds.follow(person.workspace, run.id, after, BEAT_S, eager=True):
        piece = b""
        for event in batch:
            if (asked := questions_in(event)) and any(each not in shown for each in asked):
                shown = asked if event[1] == END else list(dict.fromkeys([*shown, *asked]))
                await house.threads.shown(person, {run.thread_id: shown})
            if wanted(event[1], modes):
                piece += event_bytes(event)
        yield piece or b": \n\n"


def waited(house: House, person: Person, run: ThreadRunRow, held: ExitStack, *, cancels: bool = False) -> Following:
    """The thread's values at the run's end, as one JSON value after any number of newlines."""
    pieces = _value(house, person, run)
    gone = _gone(house, person, run) if cancels else None
    return Following(pieces, "application/json", place(run, "join"), held, gone)


async def _value(house: House, person: Person, run: ThreadRunRow) -> AsyncIterator[bytes]:
    last: Event | None = None
    async for batch in house.runs.feeds.follow(person.workspace, run.id, 0, BEAT_S):
        if not batch:
            yield b"\n"
        elif batch[-1][1] == END:
            last = batch[-1]
    yield encoded(await _result(house, person, run, last)).encode()


async def _result(house: House, person: Person, run: ThreadRunRow, end: Event | None) -> Any:
    served = house.served.get(run.graph)
    output = json.loads(end[2]) if end is not None else {}
    if error := output.get("error"):
        return {"__error__": error}
    if served is not None and served.personal:
        found = await served.state(person, run.thread_id)
        asked = [each.shown() for each in found.asked]
        await house.threads.shown(person, {run.thread_id: [each.id for each in found.asked]})
        return {**found.values, **({"__interrupt__": asked} if asked else {})}
    if end is None:  # its events are gone, or the run is: what the thread has now is what there is
        return (await house.threads.get(person, run.thread_id)).state
    if open_ := questions_in(end):
        await house.threads.shown(person, {run.thread_id: open_})
    return output.get("values")


def _gone(house: House, person: Person, run: ThreadRunRow) -> Gone:
    async def gone() -> None:
        with suppress(CountersignError):  # nobody is there to be told; who may not call it off leaves it running
            await house.runs.cancel(person, run.thread_id, run.id, "interrupt")

    return gone


async def thread_shape(house: House, person: Person, row: Any) -> shapes.Shape:
    """A thread as this person sees it."""
    served = house.served.get(row.graph)
    if served is None or not served.personal:
        return shapes.thread(row)
    found = await served.state(person, row.id)
    shown = shapes.thread(row, found.values, shapes.by_task(found))
    if row.status in ("idle", "interrupted"):  # people may have decided elsewhere since its last run
        shown["status"] = "interrupted" if found.asked else "idle"
    return shown
