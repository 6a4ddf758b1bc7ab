"""Plays a rehearsal through the whole house, and holds what came of it against the provider's own log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Literal

from core.actions import JSON
from core.clock import SystemClock
from core.errors import Busy, SetupError
from core.people import Person
from core.settings import Settings, ShopSettings
from core.states import CaseStatus
from engine.checker import Report
from graphs.catalog import kinds
from graphs.kind import Rehearsal, TaskKind
from ledger.audit import BrokenLink
from ledger.kpis import Figures, figures
from serving.demo.crew import crew
from serving.demo.folder import Playbill, enrol
from serving.demo.post import clear, post
from serving.house import House, open_house, owner
from tools.fulfillment.shop import EmbeddedShop

_LOOK_S = 0.1
"""Between two looks at how far it is, for the display."""

_TRIES = 100
"""Looks at a bus that is just being connected to."""
_NEWS_S = 1.0
"""How long to wait for news before looking anyway."""

Tell = Callable[[int, Mapping[str, int]], None]
"""Gets how many cases are settled, and the cases by status."""


@dataclass(frozen=True)
class Played:
    """What came of a demo."""

    kind: TaskKind
    bill: Playbill
    seconds: float
    """From the first request until nothing moved any more."""
    figures: Figures
    checked: Report
    chain: int
    """Entries of the audit chain that hold."""
    broken: BrokenLink | None
    resumed: bool
    """It went on with what an earlier run left, so its time tells nothing."""
    people: list[str]
    """Who can decide, each with a token in the folder."""

    def wrong(self) -> list[str]:
        """What did not go as it should; empty after a good run."""
        status = self.figures.by_status
        found = [f"{each.what}: {each.case_id}: {each.detail}" for each in self.checked.findings]
        if self.broken is not None:
            found.append(f"The audit chain breaks at entry {self.broken.seq}: {self.broken.why}.")
        if many := status.get(CaseStatus.FAILED, 0):
            found.append(f"{many} cases failed and wait for an operator.")
        unsettled = sum(status.get(each, 0) for each in (CaseStatus.OPEN, CaseStatus.RUNNING, CaseStatus.PAUSED))
        if unsettled:
            found.append(f"{unsettled} cases have not settled.")
        if self.figures.cases != self.bill.cases:
            found.append(f"There are {self.figures.cases} cases instead of {self.bill.cases}.")
        return found


def playable() -> TaskKind:
    """The first kind that can be rehearsed. Raises `SetupError`."""
    for kind in kinds().values():
        if kind.rehearse is not None:
            return kind
    raise SetupError("No kind here has a world to play in.", hint="A kind's manifest may bring one as `rehearse`.")


def rehearsal(kind: TaskKind, bill: Playbill) -> Rehearsal:
    assert kind.rehearse is not None
    return kind.rehearse(bill.seed, bill.cases, bill.now)


async def play(
    settings: Settings,
    kind: TaskKind,
    bill: Playbill,
    stage: Rehearsal,
    tell: Tell,
    *,
    bell: Literal["queue", "tasks"] = "queue",
    workers: int = 0,
) -> Played:
    """Runs every request until it is closed or waits for somebody. `settings.data` is the demo's folder.

    With `workers`, that many processes beside this one run the cases; `settings.database` is a server then.
    """
    person = owner(settings)
    resumed = await _stock(settings, kind, stage)
    with (
        crew(settings, workers) if workers else nullcontext(settings.model_copy(update={"shop": ShopSettings()})) as at
    ):
        async with open_house(at, bell=bell, role="api" if workers else "all") as house:
            played = await _played(house, person, kind, bill, stage, tell, resumed=resumed)
    if settings.bus.url:
        await clear(settings.bus)
    return played


async def _stock(settings: Settings, kind: TaskKind, stage: Rehearsal) -> bool:
    """Fills the shop; True if it was filled by an earlier run."""
    masters = settings.keys.opening(settings.data, frozenset())
    dialects = [kind.dialect for kind in kinds().values()]
    shop = EmbeddedShop(settings.data / "shop.db", dialects, SystemClock(), masters=masters)
    try:
        resumed = not await shop.is_empty()
        if not resumed:
            await shop.load(stage.records)
    finally:
        await shop.close()
    return resumed


async def _played(
    house: House, person: Person, kind: TaskKind, bill: Playbill, stage: Rehearsal, tell: Tell, *, resumed: bool
) -> Played:
    await enrol(house, person, stage.people)
    began = time.perf_counter()
    watching = asyncio.create_task(_watch(house, person.workspace, tell))
    try:
        await house.settled(person.workspace, await _sent(house, person, kind.name, stage.requests))
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
    seconds = time.perf_counter() - began
    await _look(house, person.workspace, tell)
    chain, broken = await house.database.read(person.workspace, lambda ledger: ledger.audit.verify(person.workspace))
    return Played(
        kind=kind,
        bill=bill,
        seconds=seconds,
        figures=await house.database.read(person.workspace, lambda ledger: figures(ledger.session)),
        checked=await house.checker.check(),
        chain=chain,
        broken=broken,
        resumed=resumed,
        people=list(stage.people),
    )


async def _sent(
    house: House, person: Person, kind: str, requests: Sequence[tuple[str, Mapping[str, JSON]]]
) -> set[str]:
    """Through the bus if there is one, otherwise straight in. Returns the cases that came of them."""
    bus = house.settings.bus
    if not bus.url:
        return await _submit(house, person, kind, requests)
    await _reached(house)
    await post(bus, person, kind, requests)
    while True:
        news = house.stream.ticket()
        opened = await house.database.read(
            person.workspace, lambda ledger: ledger.cases.find(kind=kind, opened_by=person.id, limit=2 * len(requests))
        )
        if len(opened) >= len(requests):
            return {case.id for case in opened}
        with suppress(TimeoutError):
            await asyncio.wait_for(news.wait(), _NEWS_S)


async def _reached(house: House) -> None:
    """Raises `SetupError` where the bus does not answer."""
    for _ in range(_TRIES):
        if (health := await house.mail.bus.health()).ok:
            return
        await asyncio.sleep(_LOOK_S)
    raise SetupError(f"{health.detail}.", hint="Check --bus, and that it runs.")


async def _submit(
    house: House, person: Person, kind: str, requests: Sequence[tuple[str, Mapping[str, JSON]]]
) -> set[str]:
    """Under the request's own key: a demo that was interrupted goes on where it was."""
    found = set()
    for key, payload in requests:
        while True:
            try:
                case, _ = await house.submit(person, kind, payload, key)
                break
            except Busy as busy:
                await asyncio.sleep(busy.retry_after)
        found.add(case.id)
    return found


async def _watch(house: House, workspace: str, tell: Tell) -> None:
    while True:
        ticket = house.stream.ticket()
        await _look(house, workspace, tell)
        with suppress(TimeoutError):  # of other processes there may be no news
            await asyncio.wait_for(ticket.wait(), _NEWS_S)
        await asyncio.sleep(_LOOK_S)


async def _look(house: House, workspace: str, tell: Tell) -> None:
    status = await house.database.read(workspace, lambda ledger: ledger.cases.by_status())
    moving = status.get(CaseStatus.OPEN, 0) + status.get(CaseStatus.RUNNING, 0)
    tell(sum(status.values()) - moving, status)
