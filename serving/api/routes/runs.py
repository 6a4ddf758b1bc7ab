"""Runs of graphs, on threads and without: started, waited for, streamed, joined and called off."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from core.errors import InvalidInput, NotServed
from core.people import Person
from core.wire_threads import RunIn, RunsIn, RunStatus
from ledger.thread_tables import ThreadRunRow
from serving.api.deps import Caller, Rooms
from serving.api.replies import place, streamed, waited
from serving.api.sse import position, streams_of
from serving.house import House
from serving.threads import shapes
from serving.threads.shapes import answer
from serving.threads.wishes import modes_of, wish_of

router = APIRouter(tags=["threads"])

ThreadId = Annotated[str, Path(max_length=64)]
RunId = Annotated[str, Path(max_length=64)]
LastEvent = Annotated[str | None, Header(alias="Last-Event-ID", max_length=64)]
Action = Annotated[Literal["interrupt", "rollback"], Query()]


def _seat(request: Request, person: Person) -> ExitStack:
    """A place among the open streams, taken before anything begins. Raises `Busy`."""
    streams, seat = streams_of(request), ExitStack()
    seat.callback(streams.leave, streams.enter(person))
    return seat


async def _started(
    house: House, person: Person, thread_id: str, asked: RunIn, *, alone: bool = False, stays: bool = True
) -> ThreadRunRow:
    named = asked.model_copy(update={"assistant_id": shapes.graph_named(house.served, asked.assistant_id)})
    if alone:
        named.if_not_exists = "create"
    of_kind = named.assistant_id in house.kinds
    wish = wish_of(named, temporary=alone and asked.on_completion != "keep", of_kind=of_kind)
    return await house.runs.start(person, thread_id, wish, stays=stays)


# on a thread


@router.post("/threads/{thread_id}/runs")
async def create(house: Rooms, person: Caller, thread_id: ThreadId, asked: RunIn) -> Response:
    run = await _started(house, person, thread_id, asked, stays=False)
    return answer(shapes.run(run), headers=place(run))


@router.post("/threads/{thread_id}/runs/stream")
async def stream(house: Rooms, person: Caller, thread_id: ThreadId, asked: RunIn, request: Request) -> Response:
    with _seat(request, person) as seat:
        run = await _started(house, person, thread_id, asked)
        return streamed(house, person, run, seat.pop_all(), cancels=asked.on_disconnect == "cancel")


@router.post("/threads/{thread_id}/runs/wait")
async def wait(house: Rooms, person: Caller, thread_id: ThreadId, asked: RunIn, request: Request) -> Response:
    with _seat(request, person) as seat:
        run = await _started(house, person, thread_id, asked)
        return waited(house, person, run, seat.pop_all(), cancels=asked.on_disconnect == "cancel")


@router.get("/threads/{thread_id}/runs")
async def listed(
    house: Rooms,
    person: Caller,
    thread_id: ThreadId,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 10,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    status: RunStatus | None = None,
    select: Annotated[list[str] | None, Query()] = None,
) -> Response:
    found = await house.threads.runs(person, thread_id, status=status or "", limit=limit, offset=offset)
    return answer([shapes.chosen(shapes.run(each), select) for each in found])


@router.get("/threads/{thread_id}/runs/{run_id}")
async def get(house: Rooms, person: Caller, thread_id: ThreadId, run_id: RunId) -> Response:
    return answer(shapes.run(await house.threads.run(person, thread_id, run_id)))


@router.delete("/threads/{thread_id}/runs/{run_id}", status_code=204)
async def delete(house: Rooms, person: Caller, thread_id: ThreadId, run_id: RunId) -> None:
    await house.threads.drop_run(person, thread_id, run_id)


@router.get("/threads/{thread_id}/runs/{run_id}/join")
async def join(house: Rooms, person: Caller, thread_id: ThreadId, run_id: RunId, request: Request) -> Response:
    with _seat(request, person) as seat:
        return waited(house, person, await house.threads.run(person, thread_id, run_id), seat.pop_all())


@router.get("/threads/{thread_id}/runs/{run_id}/stream")
async def join_stream(
    house: Rooms,
    person: Caller,
    thread_id: ThreadId,
    run_id: RunId,
    last_event_id: LastEvent = None,
    stream_mode: Annotated[list[str] | None, Query()] = None,
    cancel_on_disconnect: Annotated[bool, Query()] = False,
    *,
    request: Request,
) -> Response:
    """The run's events from the beginning, or after the one that `Last-Event-ID` names."""
    after = 0 if last_event_id in ("", "-1") else position(last_event_id)  # as its clients ask for all of them
    modes = [each for each in stream_mode or () if each]
    only = modes_of(modes) if modes else ()
    with _seat(request, person) as seat:
        run = await house.threads.run(person, thread_id, run_id)
        return streamed(house, person, run, seat.pop_all(), after, only, cancels=cancel_on_disconnect)


@router.post("/threads/{thread_id}/runs/{run_id}/cancel")
async def cancel(
    house: Rooms,
    person: Caller,
    thread_id: ThreadId,
    run_id: RunId,
    wait: Annotated[bool, Query()] = False,
    action: Action = "interrupt",
) -> Response:
    run = await house.runs.cancel(person, thread_id, run_id, action)
    if wait:
        await house.runs.over(person.workspace, run.id)
    return Response(status_code=204 if wait else 202)


@router.post("/runs/cancel", status_code=204)
async def cancel_many(house: Rooms, person: Caller, asked: RunsIn, action: Action = "interrupt") -> None:
    """Those of one thread: the named ones, or all of a status."""
    if not asked.thread_id or not (asked.run_ids or asked.status):
        raise InvalidInput(
            "Say which runs of which thread.", field="thread_id", hint="Send thread_id with run_ids or status."
        )
    ids = asked.run_ids
    if not ids:
        named = {"pending", "running"} if asked.status == "all" else {asked.status}
        runs = await house.threads.runs(person, asked.thread_id, status="", limit=1_000, offset=0)
        ids = [each.id for each in runs if each.status in named]
    for run_id in ids:
        await house.runs.cancel(person, asked.thread_id, run_id, action)


# without one


@router.post("/runs")
async def create_alone(house: Rooms, person: Caller, asked: RunIn) -> Response:
    run = await _started(house, person, "", asked, alone=True, stays=False)
    return answer(shapes.run(run), headers=place(run))


@router.post("/runs/stream")
async def stream_alone(house: Rooms, person: Caller, asked: RunIn, request: Request) -> Response:
    with _seat(request, person) as seat:
        run = await _started(house, person, "", asked, alone=True)
        return streamed(house, person, run, seat.pop_all(), cancels=asked.on_disconnect == "cancel")


@router.post("/runs/wait")
async def wait_alone(house: Rooms, person: Caller, asked: RunIn, request: Request) -> Response:
    with _seat(request, person) as seat:
        run = await _started(house, person, "", asked, alone=True)
        return waited(house, person, run, seat.pop_all(), cancels=asked.on_disconnect == "cancel")


@router.post("/runs/batch", include_in_schema=False)
@router.post("/runs/crons", include_in_schema=False)
@router.post("/threads/{thread_id}/runs/crons", include_in_schema=False)
@router.post("/runs/crons/search", include_in_schema=False)
async def not_served(_person: Caller) -> None:
    raise NotServed(
        "Batches of runs and runs by the clock are not served.",
        hint="Start runs one by one; after_seconds delays one.",
    )
