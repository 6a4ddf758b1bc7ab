"""The embedded shop: a whole system of record in this process, with a database of its own.

All work on the database runs in one thread that belongs to the shop, so the event loop never waits for
a disk, and writes are serial as SQLite wants them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any, ParamSpec, TypeVar

from core.actions import JSON
from core.clock import Clock, SystemClock
from core.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from core.key_file import beside, read
from core.ports import LoggedCall
from core.sealing import MasterRing
from tools.fulfillment.callbacks import Subscriber, Subscription
from tools.fulfillment.calls import call_digest
from tools.fulfillment.faults import Fault, Faults, PlannedFault
from tools.fulfillment.ports import Dialect, FoundCall
from tools.fulfillment.records import Vocabulary
from tools.fulfillment.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class EmbeddedShop:
    """Implements `ports.Shop`. `path` is the database file; None keeps everything in memory.

    `busy_timeout_s` is how long a lock of another process on the same file is waited for.
    """

    def __init__(
        self,
        path: Path | None,
        dialects: Iterable[Dialect],
        clock: Clock | None = None,
        faults: Faults | None = None,
        *,
        busy_timeout_s: float = 5.0,
        masters: MasterRing | None = None,
    ) -> None:
        """Its keys are those that are given, or lie beside the file."""
        self.faults = faults
        self._clock = clock or SystemClock()
        masters = masters or (read(beside(path.parent)) if path is not None else None)
        self._store = Store(path, Vocabulary(dialects), busy_timeout_s, masters)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shop")
        self._entry = Lock()
        self._under_way: set[str] = set()
        self._subscriptions: list[Subscription] = []

    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        await self._suffer_read(query)
        return await self._run(self._store.read, query, args, self._clock.now())

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        args_digest = call_digest(args, key, case_id)
        with self._entry:
            if key in self._under_way:
                raise ProviderRefused(
                    f"A call with the key {key} is under way.", reason="concurrent_request", hint="Wait for it."
                )
            self._under_way.add(key)
        # Shielded: a caller that goes away does not stop what it has set off, as with any provider.
        return await asyncio.shield(asyncio.ensure_future(self._carry_out(operation, args, args_digest, key, case_id)))

    async def _carry_out(
        self, operation: str, args: Mapping[str, JSON], args_digest: str, key: str, case_id: str
    ) -> dict[str, JSON]:
        try:
            planned = await self._suffer(operation, key)
            result = await self._run(self._store.write, operation, args, args_digest, key, case_id, self._clock.now())
        finally:
            self._under_way.discard(key)
        for subscription in self._subscriptions:
            subscription.wake()
        if planned is not None and planned.fault is Fault.LATE:
            await asyncio.sleep(planned.seconds)
        if planned is not None and planned.fault is Fault.TIMEOUT_AFTER:
            raise OutcomeUnknown(f"{operation} timed out.", hint="Look the call up by its key.")
        return result

    async def find(self, key: str) -> FoundCall | None:
        await self._suffer_read("find")
        call = await self._run(self._store.find, key)
        return FoundCall.model_validate(call.model_dump()) if call else None

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        return await self._run(self._store.log, after, limit)

    async def load(self, records: Mapping[str, Iterable[Mapping[str, Any]]]) -> int:
        """Puts records of a world in, all or nothing, by collection; returns how many. Not logged."""
        return await self._run(self._store.load, records)

    async def dump(self, collection: str) -> dict[str, dict[str, Any]]:
        """Every record of a collection by its id, for exact comparisons."""
        return await self._run(self._store.dump, collection)

    async def is_empty(self) -> bool:
        return await self._run(self._store.is_empty)

    def subscribe(self, subscriber: Subscriber, *, name: str, first_pause_s: float = 0.2) -> Subscription:
        """Delivers an event for every row of the log, in order, at least once, from where `name` had got to.

        A subscriber that raises is tried again after `first_pause_s`, then after twice that, up to 30 s.
        """
        subscription = Subscription(
            subscriber,
            log=lambda after: self.log(after, 100),
            position=lambda: self._run(self._store.delivered, name),
            keep=lambda seq: self._run(self._store.set_delivered, name, seq),
            copies=lambda call: self.faults.copies(call.operation, call.key) if self.faults else 1,
            first_pause_s=first_pause_s,
        )
        self._subscriptions.append(subscription)
        return subscription

    async def close(self) -> None:
        for subscription in self._subscriptions:
            await subscription.stop()
        await asyncio.to_thread(self._thread.shutdown)
        self._store.close()

    def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        try:
            return asyncio.wrap_future(self._thread.submit(work, *args, **kwargs))
        except RuntimeError as error:  # the thread takes no more work
            raise ProviderUnavailable("The shop is closed.") from error

    async def _suffer(self, operation: str, key: str = "") -> PlannedFault | None:
        planned = self.faults.on_call(operation, key) if self.faults else None
        match planned.fault if planned else None:
            case Fault.SLOW:
                assert planned is not None
                await asyncio.sleep(planned.seconds)
            case Fault.ERROR:
                raise ProviderUnavailable(f"{operation} failed (500).", hint="Try again later.")
            case Fault.TIMEOUT_BEFORE:
                raise OutcomeUnknown(f"{operation} timed out.", hint="Look the call up by its key.")
            case _:
                pass
        return planned

    async def _suffer_read(self, query: str) -> None:
        """A read that times out has no outcome to be unknown: it is simply not available."""
        try:
            planned = await self._suffer(query)
        except OutcomeUnknown as error:
            raise ProviderUnavailable(error.detail, hint="Try again later.") from error
        if planned is not None and planned.fault is Fault.LATE:
            await asyncio.sleep(planned.seconds)
        if planned is not None and planned.fault is Fault.TIMEOUT_AFTER:
            raise ProviderUnavailable(f"{query} timed out.", hint="Try again later.")
