"""A real local server that speaks OpenAI chat completions, with a brain that tests choose and faults they switch on.

It stands where vLLM would: tool calls, streaming with usage, structured output, /v1/models, API keys.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import uvicorn
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import convert_to_messages
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agents.planner import EmbeddedPlanner
from agents.procedure import Procedure

Brain = Callable[[list[BaseMessage], dict[str, Any]], AIMessage]
"""The messages and the whole request, to an answer."""


class Fault(StrEnum):
    SLOW = "slow"  # no answer until the server stops
    STALL = "stall"  # a stream that stands still after its first words
    BUSY = "busy"  # 429
    ERROR = "error"  # 500
    ERROR_MID_STREAM = "error_mid_stream"  # an error event after some chunks
    CUT = "cut"  # the connection is gone in the middle of the arguments
    ENDS_EARLY = "ends_early"  # the stream ends in good order, but without its finish
    TOO_LONG = "too_long"  # cut off at the limit of tokens
    REFUSED = "refused"  # 400: context length exceeded
    HTML = "html"  # 200 from something that is no model server
    WRONG_SHAPE = "wrong_shape"  # 200, JSON, no choices
    CHATTER = "chatter"  # words in place of a call
    UNKNOWN_TOOL = "unknown_tool"
    BROKEN_ARGUMENTS = "broken_arguments"  # no JSON
    WRONG_ARGUMENTS = "wrong_arguments"  # JSON that does not fit the schema
    LOOP = "loop"  # the same read for ever


def planning(procedure: Procedure) -> Brain:
    """The embedded planner as the mind of the server, so that a whole case can be run over HTTP."""
    model = EmbeddedPlanner(procedure=procedure)

    def think(messages: list[BaseMessage], request: dict[str, Any]) -> AIMessage:
        answer = model.invoke(messages, tool_choice=request.get("tool_choice"))
        assert isinstance(answer, AIMessage)
        return answer

    return think


@dataclass
class ModelServer:
    """`faults` are used up one a request; when there are none, `always` counts."""

    brain: Brain
    model: str = "tiny"
    api_key: str = "secret"
    faults: list[Fault] = field(default_factory=list)
    always: Fault | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._stopping = asyncio.Event()
        self.app = Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
            ]
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": self.model, "object": "model", "owned_by": "tests"}]})

    async def _complete(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _error(401, "Incorrect API key provided.")
        asked = await request.json()
        self.requests.append(asked)
        if asked["model"] != self.model:
            return _error(404, f"The model `{asked['model']}` does not exist.")
        fault = self.faults.pop(0) if self.faults else self.always
        match fault:
            case Fault.SLOW:
                await self._stopping.wait()
                return _error(503, "stopping")
            case Fault.BUSY:
                return _error(429, "Too many requests.", {"retry-after": "0"})
            case Fault.ERROR:
                return _error(500, "The engine died.")
            case Fault.REFUSED:
                return _error(400, "This model's maximum context length is 8 tokens.")
            case Fault.HTML:
                return HTMLResponse("<h1>Welcome to the router</h1>")
            case Fault.WRONG_SHAPE:
                return JSONResponse({"answer": 42})
        answer = _spoilt(self.brain(convert_to_messages(asked["messages"]), asked), fault)
        if schema := asked.get("response_format", {}).get("json_schema", {}).get("schema"):
            answer = AIMessage(json.dumps(_smallest(schema, schema.get("$defs", {}))))
        if asked.get("stream"):
            return StreamingResponse(self._events(asked, answer, fault), media_type="text/event-stream")
        return JSONResponse(
            self._body("chat.completion", [_choice("message", _message(answer), _finish(answer, fault))])
        )

    async def _events(self, asked: dict[str, Any], answer: AIMessage, fault: Fault | None) -> AsyncIterator[str]:
        for number, piece in enumerate(_pieces(answer)):
            if fault is Fault.STALL and number:
                await self._stopping.wait()
            last = number == len(list(_pieces(answer))) - 1
            if last and fault is Fault.ERROR_MID_STREAM:
                yield f"data: {json.dumps({'error': {'message': 'The engine died.', 'type': 'server_error'}})}\n\n"
                return
            if last and fault is Fault.CUT:
                raise ConnectionResetError("the cable was pulled")
            if last and fault is Fault.ENDS_EARLY:
                return
            yield self._event([_choice("delta", piece, None)])
        yield self._event([_choice("delta", {}, _finish(answer, fault))])
        if asked.get("stream_options", {}).get("include_usage"):
            yield self._event([])
        yield "data: [DONE]\n\n"

    def _event(self, choices: list[dict[str, Any]]) -> str:
        body = self._body("chat.completion.chunk", choices)
        if choices:
            body["usage"] = None
        return f"data: {json.dumps(body)}\n\n"

    def _body(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return {
            "id": "chatcmpl-1",
            "object": kind,
            "created": 0,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        }


@contextmanager
def serve(brain: Brain, **more: Any) -> Iterator[ModelServer]:
    """The server in a thread of its own, on a free port, for as long as the block lasts."""
    served = ModelServer(brain, **more)
    listening = socket.create_server(("127.0.0.1", 0))
    served.port = listening.getsockname()[1]
    config = uvicorn.Config(served.app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_until_complete(server.serve(sockets=[listening]))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(served._stopping.set)
        server.should_exit = True
        thread.join(10)
        loop.close()
        listening.close()


def nobody() -> str:
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"message": message, "type": "invalid_request_error"}}, status, headers)


def _spoilt(answer: AIMessage, fault: Fault | None) -> AIMessage:
    match fault:
        case Fault.CHATTER:
            return AIMessage("As a language model I would love to help you with your return!")
        case Fault.UNKNOWN_TOOL:
            return AIMessage("", tool_calls=[{"name": "safe__open", "args": {"code": 1234}, "id": "call_x"}])
        case Fault.WRONG_ARGUMENTS:
            return AIMessage("", tool_calls=[{"name": "orders__get", "args": {"number": 7}, "id": "call_x"}])
        case Fault.LOOP:
            args = {"customer_id": "cus_ann"}
            return AIMessage("", tool_calls=[{"name": "customers__return_history", "args": args, "id": "call_x"}])
        case Fault.BROKEN_ARGUMENTS:
            call = {"name": "orders__get", "args": '{"order_id": "ord_u', "id": "call_x", "error": None}
            return AIMessage("", invalid_tool_calls=[call])
    return answer


def _calls(answer: AIMessage) -> list[dict[str, Any]]:
    told = [(call["id"], call["name"], json.dumps(call["args"])) for call in answer.tool_calls]
    told += [(call["id"], str(call["name"]), str(call["args"])) for call in answer.invalid_tool_calls]
    return [{"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in told]


def _message(answer: AIMessage) -> dict[str, Any]:
    calls = _calls(answer)
    return {"role": "assistant", "content": answer.text or None} | ({"tool_calls": calls} if calls else {})


def _pieces(answer: AIMessage) -> Iterator[dict[str, Any]]:
    """Words, then each call's name, then its arguments in two halves, as real servers do."""
    yield {"role": "assistant", "content": ""}
    for word in answer.text.split():
        yield {"content": f"{word} "}
    for index, call in enumerate(_calls(answer)):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        yield {"tool_calls": [{**call, "index": index, "function": {"name": name, "arguments": ""}}]}
        half = len(arguments) // 2
        for part in (arguments[:half], arguments[half:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _choice(key: str, value: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {"index": 0, key: value, "finish_reason": finish, "logprobs": None}


def _finish(answer: AIMessage, fault: Fault | None) -> str:
    if fault is Fault.TOO_LONG:
        return "length"
    return "tool_calls" if _calls(answer) else "stop"


def _smallest(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """The smallest value of a schema: what a server held to it would at least give."""
    if "$ref" in schema:
        return _smallest(defs[schema["$ref"].rpartition("/")[2]], defs)
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "object":
            return {name: _smallest(part, defs) for name, part in schema.get("properties", {}).items()}
        case "array":
            return []
        case "integer" | "number":
            return 0
        case "boolean":
            return False
    return ""
