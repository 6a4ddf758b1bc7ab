"""Events by NATS JetStream, through FastStream.

Three streams, made where they are missing and otherwise left as operators set them: `….in.WORKSPACE.PERSON` for what
others tell us, `….out.TYPE` for what we tell them, `….dead.…` for what could not be taken, with the reason. The
server's permissions hold each publisher to a subject, so the subject says in whose name an event comes.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from faststream.exceptions import FastStreamException, NackMessage
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StorageType, StreamConfig
from nats.js.errors import NotFoundError

from core.errors import CountersignError
from core.events import STRUCTURED, CloudEvent
from engine.bus.port import Accepted, Again, Delivery, Health, Refused, Take, Unsent

log = logging.getLogger("countersign.bus")

CONSUMER = "house"
"""The durable consumer: all processes of the house share it."""
REASON = "Countersign-Reason"

_AT_ONCE = 250
_GATHER_S = 0.1
_SAME_S = {"IN": 0.1, "OUT": 600.0, "DEAD": 600.0}
"""So long the server remembers the ids of what it was sent. Of what comes in, as short as servers take: there, one
sender's id would swallow another's message, and the inbox knows each sender's own."""
_TRIES = 3
"""After so many a message is kept apart without its sender's headers: they may be why it can't be."""
_ANSWER_S = 5.0
_LATER_S = (0.2, 1.0, 5.0, 30.0)
"""After so many seconds what could not be taken comes again."""
_LOOK_S = 5.0
"""How often it is seen to that the streams and the consumer are there."""
_LOST = (NatsError, FastStreamException, OSError, asyncio.TimeoutError)


def stream_of(prefix: str, part: str) -> str:
    """The name of a stream: IN, OUT or DEAD."""
    return f"{''.join(each if each.isalnum() else '_' for each in prefix).upper()}_{part}"


def place_of(url: str) -> str:
    """The address without a password."""
    return url.rpartition("@")[2].rpartition("//")[2]


class NatsBus:
    """One connection. Broken, it is made anew, for as long as it takes."""

    def __init__(self, url: str, *, prefix: str = "countersign", ack_s: float = 30.0) -> None:
        """`ack_s` is how long a message that was delivered and not answered waits to be delivered again."""
        self._url = url
        self._prefix = prefix
        self._ack_s = ack_s
        self._tries: dict[int, int] = {}
        """How often a message could not be kept apart, by its number in the stream."""
        self._broker: NatsBroker | None = None
        self._take: Take | None = None
        self._tending: asyncio.Task[None] | None = None
        self._problem = "it has not been reached yet"

    async def start(self, take: Take) -> None:
        self._take = take
        self._tending = asyncio.create_task(self._tend(), name="bus")

    async def publish(self, event: CloudEvent) -> None:
        subject = f"{self._prefix}.out.{event.type}"
        body = json.dumps(event.structured(), separators=(",", ":")).encode()
        await self._send(subject, body, {"Nats-Msg-Id": event.id, "content-type": STRUCTURED}, self._stream("OUT"))

    async def health(self) -> Health:
        broker = self._broker
        if broker is None or not self._connected(broker):
            return Health(
                False, f"NATS at {self._place()} can't be reached: {self._problem or 'the connection is lost'}"
            )
        try:
            streams = self._jetstream(broker)
            mine = await streams.consumer_info(self._stream("IN"), CONSUMER, timeout=_ANSWER_S)
            dead = await streams.stream_info(self._stream("DEAD"))
        except _LOST as lost:
            return Health(False, f"NATS at {self._place()} does not answer: {_words(lost)}")
        waiting = int(mine.num_pending or 0) + int(mine.num_ack_pending or 0)
        return Health(True, f"NATS at {self._place()}", waiting, int(dead.state.messages))

    async def stop(self) -> None:
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await self._close()

    # the connection

    async def _tend(self) -> None:
        """Connects, and sees to it now and then that nothing is missing at the server."""
        pauses = iter(_LATER_S)
        while True:
            try:
                if self._broker is None:
                    await self._open()
                    log.info("the bus is at %s", self._place())
                else:
                    await self._look()
                self._problem, pauses = "", iter(_LATER_S)
                await asyncio.sleep(_LOOK_S)
            except _LOST as lost:
                if self._problem != (problem := _words(lost)):
                    log.warning("the bus at %s can't be used: %s", self._place(), problem)
                self._problem = problem
                await asyncio.sleep(next(pauses, _LOOK_S))
            except Exception as broken:  # whatever it is, the house works on without its bus, and it is tried again
                log.exception("the bus at %s can't be used", self._place())
                self._problem = _words(broken)
                await self._close()
                await asyncio.sleep(_LOOK_S)

    async def _open(self) -> None:
        broker = NatsBroker(
            self._url,
            name="countersign",
            apply_types=False,
            logger=None,
            connect_timeout=2,
            max_reconnect_attempts=-1,
            reconnect_time_wait=1,
            ping_interval=5,
            max_outstanding_pings=2,
            allow_reconnect=True,
            error_cb=_say,
        )
        subscriber = broker.subscriber(
            f"{self._prefix}.in.>",
            durable=CONSUMER,
            stream=JStream(self._stream("IN"), declare=False),
            pull_sub=PullSub(batch_size=_AT_ONCE, timeout=_GATHER_S, batch=True),
            ack_policy=AckPolicy.NACK_ON_ERROR,
            config=ConsumerConfig(
                ack_wait=self._ack_s, max_deliver=-1, max_ack_pending=4 * _AT_ONCE, filter_subjects=[]
            ),
            decoder=_raw,
        )
        subscriber(self._taken)
        try:
            async with asyncio.timeout(_ANSWER_S):
                await broker.connect()
            await self._declare(self._jetstream(broker))
            await broker.start()
        except BaseException:  # cancelled or refused: a connection that nobody holds would stay open
            with suppress(*_LOST):
                await broker.stop()
            raise
        self._broker = broker

    async def _look(self) -> None:
        """A server that lost its disk has nothing any more: all is made anew."""
        assert self._broker is not None
        try:
            await self._jetstream(self._broker).consumer_info(self._stream("IN"), CONSUMER, timeout=_ANSWER_S)
        except NotFoundError:
            log.warning("the bus has lost its streams or its consumer: they are made anew")
            await self._close()
            await self._open()

    async def _declare(self, streams: JetStreamContext) -> None:
        for part in ("IN", "OUT", "DEAD"):
            try:
                await streams.stream_info(self._stream(part))
            except NotFoundError:
                await streams.add_stream(
                    StreamConfig(
                        name=self._stream(part),
                        subjects=[f"{self._prefix}.{part.lower()}.>"],
                        storage=StorageType.FILE,
                        duplicate_window=_SAME_S[part],
                        max_age=0,
                    )
                )

    async def _close(self) -> None:
        broker, self._broker = self._broker, None
        if broker is not None:
            with suppress(*_LOST):
                async with asyncio.timeout(_ANSWER_S):
                    await broker.stop()

    # messages

    async def _taken(self, messages: Sequence[Msg]) -> None:
        """What is neither terminated nor put off here is acknowledged when this returns, all at once."""
        assert self._take is not None
        try:
            answers = await self._take([self._delivery(each) for each in messages])
        except CountersignError as away:
            log.warning("events can't be taken now: %s", away)
            raise NackMessage(delay=_LATER_S[1]) from away
        for message, answer in zip(messages, answers, strict=True):
            match answer:
                case Refused(reason):
                    await self._bury(message, reason)
                case Again():
                    await message.nak(delay=_LATER_S[min(message.metadata.num_delivered, len(_LATER_S)) - 1])
                case Accepted():
                    pass

    def _delivery(self, message: Msg) -> Delivery:
        headers = {name.lower(): value for name, value in (message.headers or {}).items()}
        workspace, _, person = message.subject.removeprefix(f"{self._prefix}.in.").partition(".")
        return Delivery(
            workspace=workspace,
            person=person,
            body=message.data,
            content_type=headers.get("content-type", ""),
            headers=headers,
            attempt=message.metadata.num_delivered,
        )

    async def _bury(self, message: Msg, reason: str) -> None:
        """Kept apart first and only then taken off: a crash in between buries it once more, under the same id."""
        subject = f"{self._prefix}.dead.{message.subject.removeprefix(f'{self._prefix}.in.')}"
        number = message.metadata.sequence.stream
        kept = _of_the_sender(message) if self._tries.get(number, 0) < _TRIES else {}
        told = {REASON: _one_line(reason), "Nats-Msg-Id": f"{number}:{hashlib.sha256(message.data).hexdigest()}"}
        try:
            await self._send(subject, message.data, kept | told, self._stream("DEAD"))
        except Unsent as unsent:
            self._tries[number] = self._tries.get(number, 0) + 1
            log.warning("a message that can't be taken can't be kept apart yet: %s", unsent)
            await message.nak(delay=_LATER_S[1])
            return
        self._tries.pop(number, None)
        log.warning("a message on %s was kept apart: %s", message.subject, reason)
        await message.term()

    async def _send(self, subject: str, body: bytes, headers: dict[str, str], stream: str) -> None:
        broker = self._broker
        if broker is None or not self._connected(broker):
            raise Unsent(self._problem or "the connection is lost")
        try:
            await broker.publish(body, subject, headers=headers, stream=stream, timeout=_ANSWER_S)
        except _LOST as lost:
            raise Unsent(_words(lost)) from lost

    # names

    def _stream(self, part: str) -> str:
        return stream_of(self._prefix, part)

    def _place(self) -> str:
        return place_of(self._url)

    @staticmethod
    def _connected(broker: NatsBroker) -> bool:
        return bool(broker.config.connection_state.connection.is_connected)

    @staticmethod
    def _jetstream(broker: NatsBroker) -> JetStreamContext:
        stream: JetStreamContext = broker.config.connection_state.stream
        return stream


def _of_the_sender(message: Msg) -> dict[str, str]:
    """Headers that say something to people. Those of NATS are orders to the server, under which it may refuse."""
    headers: dict[str, str] = message.headers or {}
    return {name: value for name, value in headers.items() if not name.strip().lower().startswith("nats-")}


async def _raw(message: Any) -> Any:
    """Messages as they came: one that is malformed may not keep the others from being read."""
    return message.raw_message


async def _say(error: Exception) -> None:
    log.debug("NATS: %s", _words(error))


def _words(error: BaseException) -> str:
    return _one_line(str(error)) or type(error).__name__


def _one_line(text: str) -> str:
    """For a header: a line break in it would be the next header."""
    return " ".join(text.split()).encode("ascii", "replace").decode()[:300]
