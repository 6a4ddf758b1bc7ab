"""Threads: conversations with a graph, their state and the way it took."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query
from starlette.responses import Response

from core.errors import InvalidInput
from core.people import Person
from core.wire_threads import HistoryQuery, StateIn, StateQuery, ThreadIn, ThreadPatch, ThreadQuery, ThreadsIn
from engine.served import Served, State
from engine.threads import thread_id_of
from serving.api.deps import Caller, Rooms
from serving.api.replies import thread_shape
from serving.house import House
from serving.threads import shapes
from serving.threads.shapes import answer
from serving.threads.wishes import checkpoint_of

router = APIRouter(prefix="/threads", tags=["threads"])

ThreadId = Annotated[str, Path(max_length=64)]
Subgraphs = Annotated[bool, Query()]
Step = Annotated[str, Path(max_length=64)]


@router.post("")
async def create(house: Rooms, person: Caller, asked: ThreadIn) -> Response:
    if asked.supersteps:
        raise InvalidInput(
            "A thread does not begin with steps that nobody made.",
            field="supersteps",
            hint="Copy a thread, or run its graph.",
        )
    row = await house.threads.open(
        person, asked.thread_id or "", asked.metadata or {}, or_get=asked.if_exists == "do_nothing"
    )
    return answer(await thread_shape(house, person, row))


@router.post("/search")
async def search(house: Rooms, person: Caller, query: ThreadQuery) -> Response:
    """Those that the caller may see, the last changed first."""
    rows = await house.threads.search(
        person,
        query,
        sort=query.sort_by or "updated_at",
        descending=query.sort_order != "asc",
        limit=query.limit,
        offset=query.offset,
    )
    found = [await thread_shape(house, person, row) for row in rows]
    await house.threads.shown(person, {each["thread_id"]: _ids(each["interrupts"]) for each in found})
    return answer([shapes.chosen(each, query.select) for each in found])


@router.post("/count")
async def count(house: Rooms, person: Caller, query: ThreadQuery) -> int:
    return await house.threads.count(person, query)


@router.post("/prune")
async def prune(house: Rooms, person: Caller, asked: ThreadsIn) -> dict[str, int]:
    if asked.strategy == "keep_latest":
        raise InvalidInput("Steps of threads are not cut by clients.", field="strategy", hint="Send strategy: delete.")
    for thread_id in asked.thread_ids:
        await house.threads.delete(person, thread_id)
    return {"pruned_count": len(asked.thread_ids)}


@router.get("/{thread_id}")
async def get(house: Rooms, person: Caller, thread_id: ThreadId) -> Response:
    found = await thread_shape(house, person, await house.threads.get(person, thread_id))
    await house.threads.shown(person, {found["thread_id"]: _ids(found["interrupts"])})
    return answer(found)


@router.patch("/{thread_id}")
async def patch(
    house: Rooms,
    person: Caller,
    thread_id: ThreadId,
    asked: ThreadPatch,
    prefer: Annotated[str | None, Header()] = None,
) -> Response:
    row = await house.threads.describe(person, thread_id, asked.metadata)
    return Response(status_code=204) if prefer == "return=minimal" else answer(await thread_shape(house, person, row))


@router.delete("/{thread_id}", status_code=204)
async def delete(house: Rooms, person: Caller, thread_id: ThreadId) -> None:
    await house.threads.delete(person, thread_id)


@router.post("/{thread_id}/copy")
async def copy(house: Rooms, person: Caller, thread_id: ThreadId) -> Response:
    return answer(await thread_shape(house, person, await house.threads.copy(person, thread_id)))


@router.get("/{thread_id}/state")
async def state(house: Rooms, person: Caller, thread_id: ThreadId, subgraphs: Subgraphs = False) -> Response:
    return await _state(house, person, thread_id, "", subgraphs)


@router.get("/{thread_id}/state/{checkpoint_id}")
async def state_at(
    house: Rooms, person: Caller, thread_id: ThreadId, checkpoint_id: Step, subgraphs: Subgraphs = False
) -> Response:
    return await _state(house, person, thread_id, checkpoint_id, subgraphs)


@router.post("/{thread_id}/state/checkpoint")
async def state_by(house: Rooms, person: Caller, thread_id: ThreadId, query: StateQuery) -> Response:
    return await _state(house, person, thread_id, checkpoint_of(query.checkpoint, None), query.subgraphs)


@router.post("/{thread_id}/state")
async def update(house: Rooms, person: Caller, thread_id: ThreadId, asked: StateIn) -> Response:
    """Writes values as a node would have. What an inbox sends to put something aside changes nothing."""
    step = await house.threads.write_state(
        person, thread_id, asked.values, asked.as_node, checkpoint_of(asked.checkpoint, asked.checkpoint_id)
    )
    where = shapes.checkpoint(thread_id_of(thread_id), step)
    return answer({"checkpoint": where, "configurable": where, "checkpoint_id": step or None})


@router.post("/{thread_id}/history")
async def history(house: Rooms, person: Caller, thread_id: ThreadId, query: HistoryQuery) -> Response:
    return await _history(house, person, thread_id, query.limit, _before(query.before))


@router.get("/{thread_id}/history")
async def history_by(
    house: Rooms,
    person: Caller,
    thread_id: ThreadId,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 10,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    return await _history(house, person, thread_id, limit, before or "")


async def _history(house: House, person: Person, thread_id: str, limit: int, before: str) -> Response:
    named, served = await _served(house, person, thread_id)
    if served is None:
        return answer([])
    states = await served.history(person, named, limit, before)
    if states and not before:
        await house.threads.shown(person, {named: [each.id for each in states[0].asked]})
    return answer([shapes.state(named, each) for each in states])


async def _state(house: House, person: Person, thread_id: str, step: str, subgraphs: bool) -> Response:
    named, served = await _served(house, person, thread_id)
    if served is None:
        return answer(shapes.state(named, State({}, [], [], "", "", {}, None)))
    found = await served.state(person, named, step, subgraphs)
    if not step:
        await house.threads.shown(person, {named: [each.id for each in found.asked]})
    return answer(shapes.state(named, found))


async def _served(house: House, person: Person, thread_id: str) -> tuple[str, Served | None]:
    row = await house.threads.get(person, thread_id)
    return row.id, house.threads.graph(row.graph) if row.graph else None


def _before(given: str | dict[str, Any] | None) -> str:
    """A step, or a config or checkpoint that names one."""
    match given:
        case None:
            return ""
        case str(step):
            return step[:64]
        case {"checkpoint_id": str(step)} | {"configurable": {"checkpoint_id": str(step)}}:
            return step[:64]
        case _:
            raise InvalidInput("It names no step.", field="before", hint="Send {checkpoint_id}.")


def _ids(interrupts: dict[str, Any]) -> list[str]:
    return [str(each["id"]) for asked in interrupts.values() for each in asked]
