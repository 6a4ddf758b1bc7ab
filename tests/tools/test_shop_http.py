"""What the wire adds to a shop: doubt, tokens, limits, and servers that are no shop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from core.errors import CountersignError, OutcomeUnknown, ProviderRefused, ProviderUnavailable, SetupError, TooLarge
from tools.fulfillment.http import HttpShop
from tools.fulfillment.ports import Dialect, Records
from tools.fulfillment.server import shop_app
from tools.fulfillment.shop import EmbeddedShop


def _add(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    records.put("notes", args["note_id"], {"note_id": args["note_id"], "text": args.get("text", "")})
    return {"note_id": args["note_id"]}


def _broken(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
    _add(records, args)
    raise ZeroDivisionError("a defect in a handler")


NOTES = Dialect(
    name="notes",
    collections={"notes": "note_id"},
    queries={"notes.get": lambda records, args: records.get("notes", args["note_id"])},
    operations={"notes.add": _add, "notes.break": _broken},
)


@pytest.fixture
async def shop() -> AsyncIterator[EmbeddedShop]:
    embedded = EmbeddedShop(None, [NOTES])
    yield embedded
    await embedded.close()


@asynccontextmanager
async def direct(app: Starlette, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers=headers) as client:
        yield client


async def test_nothing_but_the_heartbeat_answers_without_the_token(shop: EmbeddedShop) -> None:
    app = shop_app(shop, "right", faults=True)
    for sent in (b"", b"Bearer wrong", b"right", "Bearer é".encode()):
        async with direct(app) as client:
            for method, path in (
                ("POST", "/read/notes.get"),
                ("POST", "/write/notes.add"),
                ("GET", "/calls/k"),
                ("GET", "/log"),
                ("PUT", "/faults"),
            ):
                answer = await client.request(method, path, json={}, headers={b"Authorization": sent})
                assert answer.status_code == 401
                assert answer.headers["content-type"] == "application/problem+json"
            assert (await client.get("/ok")).json() == {"ok": True}


async def test_a_shop_without_a_token_is_not_served(shop: EmbeddedShop) -> None:
    with pytest.raises(SetupError):
        shop_app(shop, "")


async def test_faults_are_for_tests_only(shop: EmbeddedShop) -> None:
    async with direct(shop_app(shop, "t"), Authorization="Bearer t") as client:
        assert (await client.put("/faults", json={})).status_code == 404
    async with direct(shop_app(shop, "t", faults=True), Authorization="Bearer t") as client:
        assert (await client.put("/faults", json={"rates": {"error": 2}})).status_code == 422
        assert (await client.put("/faults", json={"rates": {"error": 0.5}})).status_code == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"nonsense", 422),
        (b"[]", 422),
        (b"\xff\xfe", 422),
        (b"[" * 100_000, 422),
        (b'{"note_id": "n", "text": NaN}', 422),
        (b'{"note_id": "n", "text": "' + b"x" * 999_974 + b'"}', 413),
        (b'{"note_id": "n", "text": "' + b"x" * 999_972 + b'"}', 200),
    ],
    ids=["empty", "nonsense", "a list", "no text", "deep", "NaN", "one byte too many", "just not too large"],
)
async def test_bodies_that_are_no_call(shop: EmbeddedShop, body: bytes, status: int) -> None:
    headers = {"Authorization": "Bearer t", "Idempotency-Key": "k", "X-Case-Id": "c"}
    async with direct(shop_app(shop, "t"), **headers) as client:
        answer = await client.post("/write/notes.add", content=body)
    assert answer.status_code == status, answer.text
    assert len(await shop.log()) == (status == 200)


async def test_a_write_without_a_key_or_a_case_is_refused(shop: EmbeddedShop) -> None:
    async with direct(shop_app(shop, "t"), Authorization="Bearer t") as client:
        for headers in ({}, {"Idempotency-Key": "k"}, {"X-Case-Id": "c"}):
            answer = await client.post("/write/notes.add", json={"note_id": "n"}, headers=headers)
            assert answer.status_code == 422
        assert (await client.get("/log?after=first")).status_code == 422
    assert await shop.log() == []


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncIterator[str]:
    """A server that reads a request, sends these bytes and hangs up; None never answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()  # until the caller gives up
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def _http(status: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _problem(status: str, code: str, members: bytes = b"") -> bytes:
    return _http(status, b'{"type": "urn:countersign:%s", "detail": "so"%s}' % (code.encode(), members))


PAGE = b"<html>Bad gateway</html>"


@pytest.mark.parametrize(
    ("answer", "on_write", "on_read"),
    [
        (None, OutcomeUnknown, ProviderUnavailable),
        (b"", OutcomeUnknown, ProviderUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", OutcomeUnknown, ProviderUnavailable),
        (b"SSH-2.0-OpenSSH\r\n", OutcomeUnknown, ProviderUnavailable),
        (_http("200 OK", PAGE, "text/html"), OutcomeUnknown, ProviderUnavailable),
        (_http("200 OK", b"[]"), OutcomeUnknown, ProviderUnavailable),
        (_http("502 Bad Gateway", PAGE, "text/html"), OutcomeUnknown, ProviderUnavailable),
        (_http("500 Oops", b"{}"), OutcomeUnknown, ProviderUnavailable),
        (_problem("500 Oops", "setup-error"), OutcomeUnknown, ProviderUnavailable),
        (_http("404 Not Found", PAGE, "text/html"), ProviderUnavailable, ProviderUnavailable),
        (_http("301 Moved\r\nLocation: /elsewhere"), ProviderUnavailable, ProviderUnavailable),
        (_problem("401 Who", "unauthenticated"), ProviderUnavailable, ProviderUnavailable),
        (_problem("429 Busy", "busy"), ProviderUnavailable, ProviderUnavailable),
        (_problem("409 Conflict", "already-decided"), ProviderRefused, ProviderRefused),
        (_problem("502 No", "provider-refused", b', "reason": "final_sale"'), ProviderRefused, ProviderRefused),
        (_problem("502 No", "provider-unavailable"), ProviderUnavailable, ProviderUnavailable),
        (_problem("502 No", "outcome-unknown"), OutcomeUnknown, OutcomeUnknown),
    ],
)
async def test_every_answer_means_something(
    answer: bytes | None, on_write: type[CountersignError], on_read: type[CountersignError]
) -> None:
    async with answering(answer) as url:
        shop = HttpShop(url, "t", timeout_s=0.2)
        with pytest.raises(CountersignError) as on_writing:
            await shop.write("notes.add", {"note_id": "n"}, key="k", case_id="c")
        with pytest.raises(CountersignError) as on_reading:
            await shop.read("notes.get", {"note_id": "n"})
        with pytest.raises(CountersignError) as on_finding:
            await shop.find("k")
        await shop.close()
    assert [type(on_writing.value), type(on_reading.value), type(on_finding.value)] == [on_write, on_read, on_read]


async def test_a_missing_call_is_told_from_a_wrong_address() -> None:
    async with answering(_problem("404 Not Found", "not-found")) as url:
        shop = HttpShop(url, "t")
        assert await shop.find("k") is None
        await shop.close()
    async with answering(_http("200 OK", b'{"something": "else"}')) as url:
        shop = HttpShop(url, "t")
        with pytest.raises(ProviderUnavailable):
            await shop.find("k")
        await shop.close()


async def test_a_shop_that_is_down_has_done_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    shop = HttpShop(f"http://127.0.0.1:{port}", "t")
    with pytest.raises(ProviderUnavailable) as down:
        await shop.write("notes.add", {"note_id": "n"}, key="k", case_id="c")
    assert "Is it running?" in str(down.value)
    await shop.close()


async def test_a_call_that_is_too_large_is_not_even_sent() -> None:
    shop = HttpShop("http://127.0.0.1:1", "t")
    with pytest.raises(TooLarge):
        await shop.write("notes.add", {"note_id": "n", "text": "x" * 1_000_000}, key="k", case_id="c")
    await shop.close()


@pytest.mark.parametrize(
    "url", ["http://shop.example", "http://127.0.0.1.example", "http://[::2]", "http://10.0.0.1:80", "http://0.0.0.0"]
)
def test_a_token_never_travels_in_the_clear(url: str) -> None:
    with pytest.raises(SetupError, match="https"):
        HttpShop(url, "secret")


@pytest.mark.parametrize("url", ["shop.example", "ftp://shop.example", "http://", "http://a:b:c", "http://x:99999999"])
def test_what_is_no_url_is_told_at_once(url: str) -> None:
    with pytest.raises(SetupError):
        HttpShop(url, "secret")


async def test_addresses_that_may_have_a_token() -> None:
    for url in ("https://shop.example", "http://localhost:1", "http://127.0.0.9:1", "http://[::1]:1/"):
        await HttpShop(url, "secret").close()


async def test_a_defect_in_a_handler_is_rolled_back_and_loud(shop: EmbeddedShop) -> None:
    with pytest.raises(ZeroDivisionError):
        await shop.write("notes.break", {"note_id": "n"}, key="k", case_id="c")
    assert await shop.dump("notes") == {}
    assert await shop.find("k") is None
    headers = {"Authorization": "Bearer t", "Idempotency-Key": "k", "X-Case-Id": "c"}
    async with direct(shop_app(shop, "t"), **headers) as client:
        assert (await client.post("/write/notes.break", json={"note_id": "n"})).status_code == 500
    assert await shop.dump("notes") == {}
