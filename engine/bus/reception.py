"""Takes what a broker delivers, for the people in whose names it comes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from core.errors import Busy, CountersignError, Forbidden, NotFound
from core.events import Found, read_message
from core.people import Person
from engine.arrivals import Arrivals
from engine.bus.port import Accepted, Again, Answer, Delivery, Refused
from ledger.database import Database, Ledger
from ledger.trouble import RECORDS_AWAY

log = logging.getLogger("countersign.bus")

_ATTEMPTS = 10
"""Deliveries of a message at which something of ours breaks, until it is kept apart for people to look at."""


class Reception:
    def __init__(self, database: Database, arrivals: Arrivals) -> None:
        self._database = database
        self._arrivals = arrivals

    async def take(self, deliveries: Sequence[Delivery]) -> list[Answer]:
        """Raises `Busy` or `DatabaseUnavailable`: then all of it is to come again, and does no harm."""
        answers: list[Answer] = [Accepted()] * len(deliveries)
        by_sender: dict[tuple[str, str], list[int]] = {}
        for number, delivery in enumerate(deliveries):
            by_sender.setdefault((delivery.workspace, delivery.person), []).append(number)
        for sender, numbers in by_sender.items():
            told = await self._from(*sender, [deliveries[number] for number in numbers])
            for number, answer in zip(numbers, told, strict=True):
                answers[number] = answer
        return answers

    async def _from(self, workspace: str, name: str, deliveries: Sequence[Delivery]) -> list[Answer]:
        try:
            person = await self._person(workspace, name)
        except (NotFound, Forbidden) as unknown:
            return [Refused(str(unknown))] * len(deliveries)
        found: list[Found] = []
        owner: list[int] = []
        answers: list[Answer] = [Accepted()] * len(deliveries)
        for number, delivery in enumerate(deliveries):
            try:
                events, _ = read_message(delivery.content_type, delivery.headers, delivery.body)
            except CountersignError as malformed:
                answers[number] = Refused(str(malformed))
                continue
            found += events
            owner += [number] * len(events)
        try:
            told = await self._arrivals.take(person, found)
        except RECORDS_AWAY:
            raise
        except Forbidden as no:
            return [Refused(str(no))] * len(deliveries)
        except Exception as broken:  # noqa: BLE001 - one that breaks us may not hold up the others: each by itself
            if len(deliveries) == 1:
                return [self._broken(deliveries[0], broken)]
            return [answer for each in deliveries for answer in await self._from(workspace, name, [each])]
        for number, answer in zip(owner, told, strict=True):
            if isinstance(answer, Busy):
                answers[number] = Again(str(answer))
            elif isinstance(answer, CountersignError) and not isinstance(answers[number], Again):
                answers[number] = Refused(str(answer))
        return answers

    def _broken(self, delivery: Delivery, error: Exception) -> Answer:
        log.error("an event of %s can't be taken", delivery.person, exc_info=error)
        reason = f"{type(error).__name__}: {error}"[:300]
        return Refused(reason) if delivery.attempt >= _ATTEMPTS else Again(reason)

    async def _person(self, workspace: str, name: str) -> Person:
        def find(ledger: Ledger) -> Person:
            row = ledger.people.get(workspace, name)
            return Person(id=row.id, workspace=row.workspace, roles=frozenset(row.roles))

        return await self._database.read(workspace, find)
