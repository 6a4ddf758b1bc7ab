"""The demo's customers as another system: requests come in as events by NATS JetStream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress

from core.actions import JSON
from core.errors import SetupError
from core.events import STRUCTURED, SUBMIT, CloudEvent
from core.people import Person
from core.settings import BusSettings

_ANSWER_S = 10.0


async def clear(bus: BusSettings) -> None:
    """Takes a demo's streams off the server: nobody reads them any more."""
    import nats
    from nats.errors import Error as NatsError
    from nats.js.errors import NotFoundError

    with suppress(NatsError, OSError):
        connection = await nats.connect(bus.url, connect_timeout=5, max_reconnect_attempts=1)
        for part in ("IN", "OUT", "DEAD"):
            with suppress(NotFoundError):
                await connection.jetstream(timeout=_ANSWER_S).delete_stream(f"{bus.prefix.upper()}_{part}")
        await connection.close()


async def post(bus: BusSettings, person: Person, kind: str, requests: Sequence[tuple[str, Mapping[str, JSON]]]) -> None:
    """Each under its own id: whoever sends it again sends nothing new. Raises `SetupError`."""
    import nats
    from nats.errors import Error as NatsError

    try:
        connection = await nats.connect(bus.url, connect_timeout=5, max_reconnect_attempts=3)
        try:
            streams = connection.jetstream(timeout=_ANSWER_S)
            for key, payload in requests:
                event = CloudEvent(id=key, source="demo", type=SUBMIT, data={"kind": kind, "payload": dict(payload)})
                await streams.publish(
                    f"{bus.prefix}.in.{person.workspace}.{person.id}",
                    json.dumps(event.structured()).encode(),
                    headers={"Nats-Msg-Id": key, "content-type": STRUCTURED},
                )
        finally:
            await connection.close()
    except (NatsError, OSError) as lost:
        raise SetupError(
            f"Requests can't be sent to the bus: {lost or type(lost).__name__}.", hint="Check --bus, and that it runs."
        ) from lost
