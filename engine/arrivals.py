"""Events from outside, whichever way they came: checked, each once, in the order of their source, into inboxes.

An event opens a case, or is news for one. It never is a decision: those are votes of authenticated people.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import Busy, CountersignError, DatabaseUnavailable, InvalidInput, KeyReused
from core.events import SUBMIT, SUBMIT_SCHEMA, CloudEvent, Found
from core.people import Permission, Person, require
from engine.in_turn import Contradicted, Raced, Receipt, State, Turns, channel
from engine.stream import Stream
from ledger.database import Database, Ledger
from ledger.tables import SYSTEM, CaseRow
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.events")

T = TypeVar("T")

_RUNG_AT_ONCE = 16
"""Cases whose bell is rung at once; the sweeper rings for the others within seconds."""
_IN_ONE = 250
"""Events in one transaction: others of this process wait meanwhile."""
_TIMES = 10
"""How often a transaction is tried that another process came before."""

Submit = Callable[[Person, str, Mapping[str, Any], str], Awaitable[tuple[CaseRow, bool]]]
"""Opens a case: who, which kind, with which payload, under which key."""

News = Mapping[str, Mapping[str, type[BaseModel]]]
"""For each kind, the types of events that it takes up, and the schema of their data."""


class Order(BaseModel):
    """The data of an event that opens a case."""

    kind: str
    payload: dict[str, Any]


def schema_of(event: str) -> str:
    """The `dataschema` that data of this type follows here."""
    return SUBMIT_SCHEMA if event == SUBMIT else f"urn:countersign:schema:{event}:1"


class Arrivals:
    def __init__(
        self,
        database: Database,
        stream: Stream,
        ring: Callable[[str, str], Awaitable[None]],
        submit: Submit,
        news: News,
        *,
        gap: timedelta,
        queue_limit: int,
    ) -> None:
        """`gap` is how long an event waits for those before it."""
        self._database = database
        self._stream = stream
        self._ring = ring
        self._submit = submit
        self._news = news
        self._gap = gap
        self._queue_limit = queue_limit

    async def take(self, person: Person, events: Sequence[Found]) -> list[Receipt | CountersignError]:
        """What became of each, in the same order. What could not be read comes in as its error, and goes out as such.

        Raises `Forbidden`, and `Busy` or `DatabaseUnavailable` where all of it may be sent again.
        """
        require(person, Permission.SUBMIT)
        answers: list[Receipt | CountersignError | None] = [
            each if isinstance(each, CountersignError) else None for each in events
        ]
        news: list[tuple[int, CloudEvent]] = []
        for number, event in enumerate(events):
            if isinstance(event, CountersignError):
                continue
            if event.dataschema not in (None, schema_of(event.type)):
                answers[number] = InvalidInput(
                    f"The schema '{event.dataschema}' of {event.type} is not known here.",
                    field="dataschema",
                    hint=f"Send {schema_of(event.type)}, or none.",
                )
            elif event.type == SUBMIT:
                answers[number] = await self._opened(person, event)
            else:
                news.append((number, event))
        for start in range(0, len(news), _IN_ONE):
            some = news[start : start + _IN_ONE]
            told = await self._taken(person, [event for _, event in some])
            for (number, _), answer in zip(some, told, strict=True):
                answers[number] = answer
        return [each for each in answers if each is not None]

    async def release(self) -> None:
        """What has waited long enough for others goes on without them; done now and then."""
        for workspace, source, case_id in await self._database.read(SYSTEM, lambda ledger: ledger.arrivals.due()):
            line = (source, case_id)

            def go_on(ledger: Ledger, line: tuple[str, str] = line) -> set[str]:
                turns = Turns(ledger, gap=self._gap)
                turns.release(line)
                return turns.rung

            try:
                await self._rung(workspace, await self._again(workspace, go_on))
            except DatabaseUnavailable:
                raise
            except Exception:  # whatever is wrong with one line, the others have waited long enough too
                log.exception("what waits for case %s can't go on", case_id)

    async def _taken(self, person: Person, events: Sequence[CloudEvent]) -> list[Receipt | CountersignError]:
        def take(ledger: Ledger) -> tuple[list[Receipt | CountersignError], set[str]]:
            if ledger.cases.backlog() >= self._queue_limit:
                raise Busy("Too many cases wait to be worked on.", retry_after=5, hint="Send it again later.")
            turns = Turns(ledger, gap=self._gap)
            return turns.take(person, events, self._takes_up), turns.rung

        answers, rung = await self._again(person.workspace, take)
        await self._rung(person.workspace, rung)
        return answers

    async def _again(self, workspace: str, step: Callable[[Ledger], T]) -> T:
        for _ in range(_TIMES):
            try:
                return await self._database.write(workspace, step)
            except Raced:
                continue
        raise Busy("The same events come in from several sides.", hint="Send them again later.")

    async def _rung(self, workspace: str, cases: set[str]) -> None:
        self._stream.publish()
        for case_id in sorted(cases)[:_RUNG_AT_ONCE]:
            await self._ring(workspace, case_id)

    def _takes_up(self, case: CaseRow, event: CloudEvent) -> None:
        known = self._news.get(case.kind, {})
        schema = known.get(event.type)
        if schema is None:
            raise InvalidInput(
                f"A case of the kind '{case.kind}' takes up no '{event.type}'.",
                field="type",
                hint=f"It takes up: {', '.join(sorted(known)) or 'no events'}.",
            )
        try:
            schema.model_validate(event.data)
        except ValidationError as error:
            raise _unfit("data", error) from error

    async def _opened(self, person: Person, event: CloudEvent) -> Receipt | CountersignError:
        try:
            order = Order.model_validate(event.data)
        except ValidationError as error:
            return _unfit("data", error)
        if event.sequence is not None:
            return InvalidInput("What opens a case has no number among its events.", field="sequence")
        name = f"{channel(person.id, event.source)} {event.id}"
        key = hashlib.sha256(name.encode()).hexdigest()
        try:
            case, new = await self._submit(person, order.kind, order.payload, key)
        except KeyReused as reused:
            return await self._other_order(person, event, str(reused.extra["present"]))
        except RECORDS_AWAY:
            raise  # it comes again
        except CountersignError as refused:
            return refused
        state = State.TAKEN if new else State.KNOWN
        return Receipt(id=event.id, source=event.source, case=case.id, state=state)

    async def _other_order(self, person: Person, event: CloudEvent, case_id: str) -> CountersignError:
        def note(ledger: Ledger) -> str:
            earlier = ledger.cases.get(case_id).payload_digest
            body = {"source": event.source, "id": event.id, "earlier": earlier, "now": event.digest, "by": person.id}
            ledger.trace.add(case_id, "event.contradicted", body)
            return earlier

        earlier = await self._database.write(person.workspace, note)
        return Contradicted(
            "An event with this source and id opened a case before, from another request.",
            hint="The first one counts. Send what is new under an id of its own.",
            present=case_id,
            earlier=earlier,
        )


def _unfit(where: str, error: ValidationError) -> InvalidInput:
    first = error.errors()[0]
    path = ".".join([where, *(str(part) for part in first["loc"])])
    return InvalidInput(f"{path}: {first['msg']}", field=path, hint="Correct it and send it again.")
