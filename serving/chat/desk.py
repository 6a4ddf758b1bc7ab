"""Takes a chat's request to its case: finds or opens it, tells it what is new, and follows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from agents.conversation import Standing
from core.errors import Busy, InvalidInput, KeyReused, NotFound
from core.people import Permission, Person, require
from graphs.plain import PlainGraph
from ledger.database import Ledger
from serving.chat.following import Event, Feed, Follower, Says
from serving.chat.plain import PlainTalk
from serving.chat.sessions import At, Sitting, Spoken, ToAsk, ToOpen
from serving.chat.wire import ChatRequest
from serving.house import House
from serving.standing import standing_of

_ROUNDS = 5
"""Looks at where a conversation is: others may open its case meanwhile."""


@dataclass(frozen=True)
class Answering:
    """What answers a request. `case_id` is empty while there is no case."""

    case_id: str
    events: AsyncGenerator[Event, None]


def models(house: House) -> list[str]:
    return [name for name in {**house.kinds, **house.served} if _converses(house, name)]


def require_model(house: House, model: str) -> str:
    """Raises `NotFound` where there is none of this name."""
    if not _converses(house, model):
        raise NotFound(
            f"The model '{model[:60]}' does not exist.",
            hint=f"There are: {', '.join(models(house))}.",
            field="model",
            code="model_not_found",
        )
    return model


def _converses(house: House, name: str) -> bool:
    """Kinds that have a way to, and plain graphs whose state has messages."""
    if name in house.kinds:
        return house.kinds[name].converse is not None
    served = house.served.get(name)
    return isinstance(served, PlainGraph) and served.talks


async def answer(
    house: House, feed: Feed, person: Person, request: ChatRequest, session: str, *, wait_s: float
) -> Answering:
    """Raises what a request can have wrong before anything is said; what comes later is in the events."""
    require(person, Permission.SUBMIT)
    model, chat = require_model(house, request.model), house.settings.chat
    request.refuse()
    if not any(message.role == "user" for message in request.messages):
        raise InvalidInput("No message is of the user.", field="messages", hint="Send what the customer said.")
    spoken = Spoken.of(request)
    kind = house.kinds.get(model)
    if kind is None:
        talk = PlainTalk(house, person, model, request.customer(needed=not session), session, spoken)
        return Answering("", talk.events(spoken.answers, chat.settle_s))
    assert kind.converse is not None
    sitting = Sitting(person, kind.name, kind.converse, request.customer(), session)
    place, after = await _placed(house, sitting, spoken)
    if isinstance(place, ToAsk):
        return Answering(place.after, _asked(house, sitting, place))
    follower = Follower(house, feed, person.workspace, kind.converse, place.case_id, after)
    return Answering(place.case_id, follower.events(chat.settle_s, wait_s, brief=place.polite))


async def _placed(house: House, sitting: Sitting, spoken: Spoken) -> tuple[At | ToAsk, int]:
    """Where the conversation is, once its case is open and knows what was said, and the last of its log that is old."""
    person = sitting.person
    old: int | None = None

    def look(ledger: Ledger) -> tuple[At | ToAsk | ToOpen, int]:
        return sitting.place(ledger, spoken), ledger.trace.last()

    for _ in range(_ROUNDS):
        place, last = await house.database.read(person.workspace, look)
        match place:
            case ToAsk():
                return place, last
            case ToOpen(key, payload):
                with suppress(KeyReused):  # another request of this session was faster, with other words: those count
                    await house.submit(person, sitting.kind, payload, key)
                old = 0
            case At(case_id, news):
                old = last if old is None else old
                for words in news:
                    await house.intake.say(person, case_id, words)
                if not news:
                    return place, old
            case _:
                assert_never(place)
    raise Busy("This conversation moves faster than it can be followed.", hint="Send it again.")


async def _asked(house: House, sitting: Sitting, place: ToAsk) -> AsyncGenerator[Event, None]:
    """A question back; after a case that is over, first how that one ended."""
    if place.after:
        standing = await house.database.read(sitting.person.workspace, partial(_ended, sitting, place.after))
        yield Says(sitting.talk.words(standing))
    yield Says(place.text)


def _ended(sitting: Sitting, case_id: str, ledger: Ledger) -> Standing:
    return standing_of(ledger, ledger.cases.get(case_id), sitting.talk)
