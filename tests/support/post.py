"""Events on their way to a till: by HTTP, or by NATS JetStream, with what goes wrong on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import nats
from nats.aio.client import Client
from pydantic import BaseModel, ConfigDict
from sqlmodel import col, select

from core.events import CloudEvent
from engine.bus.nats import REASON, NatsBus
from engine.bus.port import Again, Answer, Bus, Delivery, Take, Unsent
from engine.bus.reception import Reception
from graphs.kind import TaskKind
from ledger.database import Ledger
from ledger.process_tables import OutboxRow
from ledger.tables import InboxRow
from tests.support.till import Till
from tests.support.till_kind import KIND

NEWS = "till.refilled"


class Refilled(BaseModel):
    model_config = ConfigDict(extra="forbid")

    coins: int


class Told(BaseModel):
    """Anything at all."""

    model_config = ConfigDict(extra="allow")


HEARING: TaskKind = replace(KIND, news={NEWS: Refilled, "till.told": Told})
"""A till that takes up news."""


def event(case: str, number: int | None = None, *, source: str = "bank", **more: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": f"{case}-{number or uuid4().hex}",
        "source": source,
        "type": NEWS,
        "subject": case,
        "data": {"coins": number or 0},
    }
    if number is not None:
        made |= {"sequence": str(number), "sequencetype": "Integer"}
    return made | more


async def news(till: Till, case: str) -> list[InboxRow]:
    """What is in a case's inbox from outside, in its order."""

    def read(ledger: Ledger) -> list[InboxRow]:
        rows = select(InboxRow).where(InboxRow.case_id == case, InboxRow.type == "case.news")
        return list(ledger.session.exec(rows.order_by(col(InboxRow.seq))))

    found: list[InboxRow] = await till.read(read)
    return found


async def numbers(till: Till, case: str) -> list[int]:
    return [row.payload["event"]["sequence"] for row in await news(till, case) if not row.note.startswith("number")]


async def outbox(till: Till) -> list[OutboxRow]:
    found: list[OutboxRow] = await till.read(lambda ledger: ledger.outbox.published(0, 1000))
    return found


class Jetstream:
    """A broker between the sender and the till."""

    def __init__(self, till: Till, url: str, luck: random.Random | None = None) -> None:
        self.prefix = f"t{uuid4().hex[:12]}"
        self.bus = NatsBus(url, prefix=self.prefix, ack_s=1.0)
        self._reception = Reception(till.house.database, till.house.mail.arrivals)
        self._url = url
        self._luck = luck
        self._client: Client | None = None

    async def open(self, take: Take | None = None) -> None:
        await self.bus.start(take or self.take)
        await self.ready()
        self._client = await nats.connect(
            self._url, max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=_unheard
        )

    async def take(self, deliveries: Sequence[Delivery]) -> list[Answer]:
        """One in ten is refused: half of them before they were written down, half of them afterwards."""
        luck = [self._luck.random() if self._luck else 1.0 for _ in deliveries]
        tried = [each for each, lost in zip(deliveries, luck, strict=True) if lost >= 0.05]
        answers = iter(await self._reception.take(tried))
        told: list[Answer] = []
        for lost in luck:
            answer = next(answers) if lost >= 0.05 else Again("lost")
            told.append(Again("lost") if lost < 0.1 else answer)
        return told

    async def ready(self, ok: bool = True) -> None:
        while (await self.bus.health()).ok is not ok:  # noqa: ASYNC110 - nobody tells when a broker is there
            await asyncio.sleep(0.02)

    async def send(
        self, *events: Mapping[str, Any] | bytes, by: str = "ops", headers: dict[str, str] | None = None
    ) -> None:
        assert self._client is not None
        for each in events:
            body = each if isinstance(each, bytes) else json.dumps(each).encode()
            await self._client.jetstream().publish(f"{self.prefix}.in.default.{by}", body, headers=headers)

    async def settled(self) -> None:
        while (health := await self.bus.health()).ok is not True or health.waiting:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    async def refused(self) -> list[str]:
        return [headers[REASON] for headers, _ in await self.kept("DEAD")]

    async def heard(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in await self.kept("OUT")]

    async def kept(self, part: str) -> list[tuple[dict[str, str], bytes]]:
        assert self._client is not None
        streams, name = self._client.jetstream(), f"{self.prefix.upper()}_{part}"
        state = (await streams.stream_info(name)).state
        found = [await streams.get_msg(name, seq) for seq in range(max(1, state.first_seq), state.last_seq + 1)]
        return [(each.headers or {}, each.data or b"") for each in found]

    async def close(self) -> None:
        await self.bus.stop()
        if self._client is not None:
            for part in ("IN", "OUT", "DEAD"):
                with suppress(nats.errors.Error, OSError):  # the broker may be gone
                    await self._client.jetstream().delete_stream(f"{self.prefix.upper()}_{part}")
            with suppress(OSError):  # the broker may be gone
                await self._client.close()


class Shaky:
    """A bus that loses one in five on the way out, and one in five answers."""

    def __init__(self, bus: Bus, luck: random.Random) -> None:
        self._bus = bus
        self._luck = luck
        self.lost = 0

    async def publish(self, told: CloudEvent) -> None:
        fate = self._luck.random()
        if fate > 0.2:
            await self._bus.publish(told)
        if fate < 0.4:
            self.lost += 1
            raise Unsent("lost")

    async def start(self, take: Any) -> None: ...

    async def health(self) -> Any:
        return await self._bus.health()

    async def stop(self) -> None: ...


async def token_of(till: Till, name: str) -> str:
    return str(
        await till.house.database.write(
            "default", lambda ledger: ledger.people.new_token("default", name, timedelta(1))
        )
    )


async def _unheard(_error: Exception) -> None: ...
