"""Callbacks come from the log: in order, at least once, over failures and restarts."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.errors import SetupError
from tools.fulfillment.callbacks import PostedCallback, ShopEvent
from tools.fulfillment.faults import Fault, Faults, PlannedFault
from tools.fulfillment.ports import Dialect, Records
from tools.fulfillment.shop import EmbeddedShop


def _ring(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    records.put("bells", args["bell_id"], args)
    return {"rung": args["bell_id"]}


BELLS = Dialect(name="bells", collections={"bells": "bell_id"}, operations={"bells.ring": _ring})


async def ring(shop: EmbeddedShop, *names: str) -> None:
    for name in names:
        await shop.write("bells.ring", {"bell_id": name}, key=f"key-{name}", case_id=f"case-{name}")


class Listener:
    """Takes events, except that it fails as often as told."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: asyncio.Queue[str] = asyncio.Queue()

    async def __call__(self, event: ShopEvent) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("nobody at home")
        await self.taken.put(event.subject)

    async def next(self, count: int) -> list[str]:
        return [await self.taken.get() for _ in range(count)]


async def test_a_listener_that_fails_gets_the_same_event_again() -> None:
    shop = EmbeddedShop(None, [BELLS])
    listener = Listener(failures=2)
    shop.subscribe(listener, name="test", first_pause_s=0.001)
    await ring(shop, "a", "b")
    assert await listener.next(2) == ["case-a", "case-b"]
    await shop.close()


async def test_a_restart_goes_on_where_the_listener_had_got_to(tmp_path: Path) -> None:
    shop = EmbeddedShop(tmp_path / "shop.db", [BELLS])
    first = Listener()
    subscription = shop.subscribe(first, name="house")
    await ring(shop, "a")
    assert await first.next(1) == ["case-a"]
    await subscription.stop()
    await ring(shop, "b")  # nobody listens
    await shop.close()

    shop = EmbeddedShop(tmp_path / "shop.db", [BELLS])
    await ring(shop, "c")
    second, newcomer = Listener(), Listener()
    shop.subscribe(second, name="house")
    shop.subscribe(newcomer, name="auditor")
    assert await second.next(2) == ["case-b", "case-c"]
    assert await newcomer.next(3) == ["case-a", "case-b", "case-c"]
    await shop.close()


async def test_a_listener_stopped_in_the_middle_of_an_event_gets_it_again() -> None:
    shop = EmbeddedShop(None, [BELLS])
    entered = asyncio.Event()

    async def stuck(event: ShopEvent) -> None:
        if event.subject == "case-b":
            entered.set()
            await asyncio.Event().wait()

    subscription = shop.subscribe(stuck, name="house")
    await ring(shop, "a", "b")
    await entered.wait()
    await subscription.stop()
    again = Listener()
    shop.subscribe(again, name="house")
    assert await again.next(1) == ["case-b"]
    await shop.close()


async def test_a_long_log_is_delivered_whole() -> None:
    shop = EmbeddedShop(None, [BELLS])
    names = [f"{n:03}" for n in range(250)]
    await ring(shop, *names)
    listener = Listener()
    shop.subscribe(listener, name="house")
    assert await listener.next(250) == [f"case-{name}" for name in names]
    await shop.close()


async def test_events_are_posted_as_cloud_events_until_they_are_taken() -> None:
    received: asyncio.Queue[tuple[dict[str, Any], Mapping[str, str]]] = asyncio.Queue()
    refusals = [503, 500]

    async def take(request: Request) -> Response:
        if refusals:
            return Response(status_code=refusals.pop())
        await received.put((json.loads(await request.body()), dict(request.headers)))
        return Response(status_code=202)

    app = Starlette(routes=[Route("/events", take, methods=["POST"])])
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    shop = EmbeddedShop(None, [BELLS], faults=Faults.script([("bells.ring", Fault.DUPLICATE_CALLBACK)]))
    callback = PostedCallback(f"{url}/events", "secret")
    shop.subscribe(callback, name="house", first_pause_s=0.001)
    await ring(shop, "a")
    event, headers = await received.get()
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["authorization"] == "Bearer secret"
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", "shop:1", "bells.ring.done")
    assert (event["source"], event["subject"]) == ("urn:countersign:shop", "case-a")
    assert event["data"] == {"seq": 1, "key": "key-a", "result": {"rung": "a"}}
    await shop.close()
    await callback.close()
    server.should_exit = True
    await serving


def test_a_callbacks_token_never_travels_in_the_clear() -> None:
    with pytest.raises(SetupError):
        PostedCallback("http://house.example/events", "secret")


def test_random_faults_repeat_exactly_and_follow_their_rates() -> None:
    rates = {Fault.ERROR: 0.2, Fault.TIMEOUT_AFTER: 0.1, Fault.DUPLICATE_CALLBACK: 0.5}
    keys = [f"k{n}" for n in range(2000)]

    def drawn(order: list[str]) -> dict[str, tuple[Fault | None, int]]:
        faults = Faults.random(7, rates)
        calls = {}
        for key in order:
            planned = faults.on_call("op", key)
            calls[key] = (planned.fault if planned else None, faults.copies("op", key))
        return calls

    calls = drawn(keys)
    assert calls == drawn(keys[::-1])
    struck = [fault for fault, _ in calls.values()]
    assert 340 < struck.count(Fault.ERROR) < 460
    assert 150 < struck.count(Fault.TIMEOUT_AFTER) < 250
    assert 900 < sum(copies == 2 for _, copies in calls.values()) < 1100


def test_a_script_strikes_in_its_order_as_often_as_it_says() -> None:
    faults = Faults.script([PlannedFault(operation="a", fault=Fault.ERROR, times=2), ("*", Fault.SLOW)])
    struck = [planned.fault if planned else None for planned in (faults.on_call(op, "k") for op in "baaab")]
    assert struck == [Fault.SLOW, Fault.ERROR, Fault.ERROR, None, None]
