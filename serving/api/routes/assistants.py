"""The graphs that can be run on threads, as stock clients look for them; and what this server is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from core.errors import MethodNotAllowed
from core.wire_threads import AssistantQuery
from engine.served import Served
from serving.api.deps import Caller, Rooms
from serving.house import House
from serving.threads import shapes
from serving.threads.shapes import answer

router = APIRouter(tags=["threads"])

Named = Annotated[str, Path(max_length=200, description="The graph's name, or the assistant's id.")]


@router.get("/info")
async def info() -> dict[str, Any]:
    """What this server speaks: asked by clients before anything else."""
    return shapes.info()


@router.post("/assistants/search")
async def search(house: Rooms, _person: Caller, query: AssistantQuery) -> Response:
    found = _found(house, query)
    page = found[query.offset : query.offset + query.limit]
    more = query.offset + query.limit < len(found)
    headers = {"X-Pagination-Total": str(len(found))}
    if more:
        headers["X-Pagination-Next"] = str(query.offset + query.limit)
    return answer([shapes.assistant(each) for each in page], headers=headers)


@router.post("/assistants/count")
async def count(house: Rooms, _person: Caller, query: AssistantQuery) -> int:
    return len(_found(house, query))


@router.get("/assistants/{assistant_id}")
async def get(house: Rooms, _person: Caller, assistant_id: Named) -> Response:
    return answer(shapes.assistant(_one(house, assistant_id)))


@router.get("/assistants/{assistant_id}/schemas")
async def schemas(house: Rooms, _person: Caller, assistant_id: Named) -> Response:
    served = _one(house, assistant_id)
    return answer({"graph_id": served.name, **served.schemas()})


@router.post("/assistants", include_in_schema=False)
@router.patch("/assistants/{assistant_id}", include_in_schema=False)
@router.delete("/assistants/{assistant_id}", include_in_schema=False)
async def fixed(_person: Caller) -> None:
    raise MethodNotAllowed(
        "Assistants are not made by clients: each graph of this server is one.",
        hint="POST /assistants/search lists them; plain graphs are named in the settings.",
    )


def _one(house: House, given: str) -> Served:
    return house.threads.graph(shapes.graph_named(house.served, given))


def _found(house: House, query: AssistantQuery) -> list[Served]:
    """The system's own are all that there are: other metadata finds none."""
    if any(value != "system" or key != "created_by" for key, value in (query.metadata or {}).items()):
        return []
    graphs = [house.served[name] for name in sorted(house.served)]
    if query.graph_id is not None:
        graphs = [each for each in graphs if each.name == shapes.graph_named(house.served, query.graph_id)]
    if query.name:
        graphs = [each for each in graphs if query.name.lower() in each.title.lower()]
    return graphs
