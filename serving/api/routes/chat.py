"""OpenAI's chat completions and models: `docs/chat.md` says what of them is here."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from serving.api.deps import Caller, Rooms
from serving.api.sse import TRACE, Following, streams_of
from serving.chat.desk import answer, models, require_model
from serving.chat.telling import Telling
from serving.chat.wire import ChatCompletion, ChatRequest, Model, Models, OpenAiError

_SAID: dict[int | str, str] = {
    400: "What was sent is not acceptable; `param` says where.",
    401: "There is no token, or it opens nothing.",
    403: "It takes a role that this person does not have.",
    404: "There is no such model.",
    405: "This is not done here.",
    409: "It is not in a state for this.",
    413: "The body is too large.",
    415: "The body is of another type than is read here.",
    429: "Too much at once. Come back after `Retry-After` seconds.",
    503: "The records can't be reached. Come back after `Retry-After` seconds.",
    "default": "Anything else that went wrong.",
}
_WRONG: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAiError, "description": why} for status, why in _SAID.items()
}

router = APIRouter(prefix="/v1", tags=["chat"], responses=_WRONG)

Session = Annotated[
    str,
    Header(
        alias="X-Session-Id", max_length=200, pattern=r"^[\x21-\x7e]*$", description="The client's name for a talk."
    ),
]


@router.get("/models")
async def listing(house: Rooms, _person: Caller) -> Models:
    """The agents that one can talk to."""
    return Models(data=[Model(id=name) for name in models(house)])


@router.get("/models/{model}")
async def one(house: Rooms, _person: Caller, model: str) -> Model:
    return Model(id=require_model(house, model))


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def complete(
    house: Rooms, person: Caller, body: ChatRequest, request: Request, response: Response, session: Session = ""
) -> Any:
    """Answers the last message of a conversation; with `stream`, as server-sent events that end with `[DONE]`."""
    asked = body.metadata or {}
    wait_s = house.settings.chat.wait_s if body.stream else 0.0
    streams, named = streams_of(request), session or asked.get("session", "")
    feed = partial(streams.feeds.following, person.workspace, "trace", TRACE)
    answering = await answer(house, feed, person, body, named, wait_s=wait_s)
    headers = {"X-Case-Id": answering.case_id} if answering.case_id else {}
    usage = body.stream_options is not None and body.stream_options.include_usage
    created = int(house.database.clock.now().timestamp())
    telling = Telling(body.model, created, usage=usage, shows=asked.get("progress") == "true")
    if body.stream:
        return Following(streams, person, telling.stream(answering.events), headers)
    response.headers.update(headers)
    return await telling.whole(answering.events)
