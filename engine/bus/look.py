"""A look at the bus from beside: nothing is declared there, and no message is taken."""

from __future__ import annotations

import asyncio

import nats
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from engine.bus.nats import CONSUMER, place_of, stream_of
from engine.bus.port import Health


async def look(url: str, prefix: str, within_s: float) -> Health:
    """How the house's streams are. Not well where the server can't be reached, well where they are yet to be made."""
    place = place_of(url)
    try:
        connecting = nats.connect(
            url,
            connect_timeout=max(1, int(within_s)),
            allow_reconnect=False,
            max_reconnect_attempts=1,  # none is without end
            reconnect_time_wait=0.1,
            error_cb=_quiet,
        )
        client = await asyncio.wait_for(connecting, within_s)
    except (TimeoutError, NatsError, OSError) as lost:
        return Health(False, f"NATS at {place} can't be reached: {lost or type(lost).__name__}")
    try:
        streams = client.jetstream(timeout=within_s)
        mine = await streams.consumer_info(stream_of(prefix, "IN"), CONSUMER, timeout=within_s)
        dead = await streams.stream_info(stream_of(prefix, "DEAD"))
    except NotFoundError:
        return Health(True, f"NATS at {place}; its streams are made when a server starts")
    except (TimeoutError, NatsError, OSError) as lost:
        return Health(False, f"NATS at {place} has no JetStream to offer: {lost or type(lost).__name__}")
    finally:
        await client.close()
    waiting = int(mine.num_pending or 0) + int(mine.num_ack_pending or 0)
    return Health(True, f"NATS at {place}", waiting, int(dead.state.messages))


async def _quiet(_error: Exception) -> None:
    """What goes wrong is told by what is raised."""
