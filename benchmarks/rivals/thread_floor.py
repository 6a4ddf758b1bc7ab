"""The floor of the comparison: FastAPI over the graph in memory, with the routes that the client calls and no more.

python -m benchmarks.rivals.thread_floor PORT
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from benchmarks.rivals.thread_graphs import asks, trivial


def asked(body: dict[str, Any], thread: str) -> tuple[Any, Any]:
    """What to run the graph with: its input, or the answer that it waits for."""
    command = body.get("command")
    goes_on = Command(resume=command["resume"]) if command else body.get("input")
    return goes_on, {"configurable": {"thread_id": thread}}


def app() -> FastAPI:
    saver = InMemorySaver()
    graphs = {"trivial": trivial.copy({"checkpointer": saver}), "asks": asks.copy({"checkpointer": saver})}
    served = FastAPI()

    @served.get("/ok")
    async def ok() -> dict[str, bool]:
        return {"ok": True}

    @served.post("/threads")
    async def open_thread() -> dict[str, str]:
        return {"thread_id": str(uuid4())}

    @served.post("/threads/{thread}/runs/wait")
    async def wait(thread: str, request: Request) -> Any:
        body = await request.json()
        return await graphs[body["assistant_id"]].ainvoke(*asked(body, thread))

    @served.post("/threads/{thread}/runs/stream")
    async def stream(thread: str, request: Request) -> StreamingResponse:
        body = await request.json()

        async def events() -> AsyncIterator[str]:
            yield 'event: metadata\ndata: {"run_id": "r"}\n\n'
            async for values in graphs[body["assistant_id"]].astream(*asked(body, thread), stream_mode="values"):
                yield f"event: values\ndata: {json.dumps(values, default=str)}\n\n"
            yield "event: end\ndata: null\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return served


if __name__ == "__main__":
    uvicorn.run(app(), port=int(sys.argv[1]), log_level="warning")
