"""What befalls the processes of a storm. A strike waits for work to fall into: one that hits nothing shows nothing."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.support.storm_books import Books
from tests.support.storm_crew import Crew, Member

if TYPE_CHECKING:
    from tests.support.storm_server import PrivateServer

_LOOK_S = 0.02


@dataclass
class Field:
    """Where strikes fall, and what they have done so far."""

    crew: Crew
    books: Books
    draw: random.Random
    ledger_on: bool
    lease_s: float
    late_s: float
    cut_off: list[int] = field(default_factory=list)
    """For each strike: the effects that were begun, with nothing told of their end."""

    async def at_work(self) -> Member:
        """A process that has just set off an effect whose answer is on its way."""
        acted = {each.name: self.books.acted(each.name) for each in self._workers()}
        while True:
            for each in self._workers():
                if self.ledger_on:
                    busy = self.books.in_the_air(each.name) > 0
                else:
                    busy = self.books.acted(each.name) > acted.get(each.name, 0)
                if busy:
                    return each
            await asyncio.sleep(_LOOK_S)

    def _workers(self) -> list[Member]:
        found = self.crew.of("worker", "all")
        self.draw.shuffle(found)
        return found

    def note(self, *victims: Member) -> None:
        if self.ledger_on:
            self.cut_off.append(sum(self.books.in_the_air(each.name) for each in victims))
        else:
            self.cut_off.append(1)


Strike = Callable[[Field], Awaitable[None]]


async def kill(field: Field) -> None:
    """SIGKILL, and another process in its place. Now and then the process that takes requests goes too."""
    victim = await field.at_work()
    await asyncio.sleep(field.draw.uniform(0, field.late_s / 2))
    while field.ledger_on and not field.books.in_the_air(victim.name):  # it was told just now: another one
        victim = await field.at_work()
    victim.end(signal.SIGKILL)
    field.note(victim)
    for api in field.crew.of("api"):
        if len(field.cut_off) % 10 == 3:
            api.end(signal.SIGKILL)
            field.crew.house("api")
    field.crew.house("all" if victim.role == "all" else "worker")


async def kill_for_good(field: Field) -> None:
    """SIGKILL, and nobody in its place."""
    victim = await field.at_work()
    victim.end(signal.SIGKILL)
    field.note(victim)


async def freeze(field: Field) -> None:
    """SIGSTOP for two leases: others take its work over, and then it wakes up and goes on as if nothing had been."""
    victim = await field.at_work()
    victim.send(signal.SIGSTOP)
    field.note(victim)
    await asyncio.sleep(2 * field.lease_s + 0.5)
    victim.send(signal.SIGCONT)


def restart(server: PrivateServer) -> Strike:
    """The database goes away in the middle of whatever it does, and comes back."""

    async def strike(field: Field) -> None:
        await field.at_work()
        field.note(*field.crew.of("worker"))
        await asyncio.to_thread(server.restart, 5 * field.late_s)

    return strike
