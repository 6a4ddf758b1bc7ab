"""The processes that the house speaks with, asked how they are: the bus, the model server, the executor, the shop, its
own server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import httpx

from core.settings import Settings
from serving import told_settings
from serving.local import ADDRESS
from serving.symptoms import Line, fail, ok, skew, warn


async def bus(settings: Settings, within_s: float) -> list[Line]:
    if not settings.bus.url:
        return [ok("bus", "events by HTTP alone")]
    try:
        from engine.bus.look import look
    except ImportError as missing:
        return [fail("bus", f"NATS needs the package {missing.name}", "pip install 'countersign-desk[bus]'")]
    found = await look(settings.bus.url, settings.bus.prefix, within_s)
    if not found.ok:
        return [fail("bus", found.detail, "Is it running with JetStream on? See COUNTERSIGN_BUS__URL.")]
    lines = [ok("bus", f"{found.detail}, {found.waiting:,} events waiting there")]
    if found.refused:
        lines.append(warn("bus", f"{found.refused:,} events could not be taken", "countersign events dead lists them."))
    return lines


class _Answer(NamedTuple):
    response: httpx.Response
    took_s: float
    before: datetime

    def skew(self, part: str) -> Iterator[Line]:
        date = self.response.headers.get("date")
        try:
            theirs = parsedate_to_datetime(date) if date else None
        except ValueError:
            theirs = None
        yield from skew(part, theirs, self.before, timedelta(seconds=1))


async def _get(url: str, within_s: float, token: str = "", method: str = "GET") -> _Answer:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(timeout=within_s, headers=headers) as client:
        before, begun = datetime.now(UTC), time.perf_counter()
        response = await client.request(method, url)
        return _Answer(response, time.perf_counter() - begun, before)


async def model(settings: Settings, within_s: float) -> list[Line]:
    wanted = settings.model
    if wanted.backend == "embedded":
        return [ok("model", "the embedded planner: no server needed")]
    url = f"{wanted.base_url.rstrip('/')}/models"
    do = "Is it running? See COUNTERSIGN_MODEL__BASE_URL and __API_KEY."
    try:
        answer = await _get(url, within_s, wanted.api_key.get_secret_value())
        offered = [str(each["id"]) for each in answer.response.raise_for_status().json()["data"]]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [fail("model", f"{told_settings.address(url)}: {error or type(error).__name__}", do)]
    except (ValueError, KeyError, TypeError):
        return [fail("model", f"{told_settings.address(url)} does not answer like a model server", do)]
    says = f"{told_settings.address(url)} answers in {answer.took_s * 1000:.0f} ms"
    if wanted.name not in offered:
        has = ", ".join(offered)[:200] or "none"
        line = fail("model", f"{says}, without the model {wanted.name}", f"COUNTERSIGN_MODEL__NAME: it has {has}.")
    else:
        line = ok("model", f"{says} and has {wanted.name}")
    return [line, *answer.skew("model server")]


async def executor(settings: Settings, within_s: float) -> list[Line]:
    wanted = settings.executor
    if not wanted.url:
        return [ok("executor", "in the workers themselves")]
    from serving.effects import line_to_executor  # heavy: only who has an executor needs it

    # What keeps a process with these settings from starting. Raises `SetupError`, which the doctor tells.
    line = line_to_executor(settings, shared=bool(settings.database.url.get_secret_value()))
    if line is not None:
        await line.close()
    url = wanted.url.rstrip("/")
    do = "Is 'countersign executor' running? See COUNTERSIGN_EXECUTOR__URL and __TOKEN."
    try:
        answer = await _get(f"{url}/health", within_s)
        # Facts of nothing: whoever knows the token hears what is missing, and whoever does not gets no further.
        guarded = await _get(f"{url}/facts", within_s, wanted.token.get_secret_value(), "POST")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [fail("executor", f"{told_settings.address(url)}: {error or type(error).__name__}", do)]
    if not answer.response.is_success:
        return [fail("executor", f"{told_settings.address(url)} answers {answer.response.status_code}", do)]
    says = f"{told_settings.address(url)} answers in {answer.took_s * 1000:.0f} ms"
    if guarded.response.status_code in (401, 403):
        return [fail("executor", f"{says}, and does not know our token", "See COUNTERSIGN_EXECUTOR__TOKEN.")]
    if guarded.response.status_code not in (415, 422):
        return [fail("executor", f"{says}, and not like an executor", "Look at COUNTERSIGN_EXECUTOR__URL.")]
    return [ok("executor", says), *answer.skew("executor")]


async def shop(settings: Settings, within_s: float) -> list[Line]:
    if settings.executor.url:
        return [ok("shop", "by the executor")]
    if not settings.shop.url:
        there = (settings.data / "shop.db").exists()
        return [ok("shop", "the embedded one" + ("" if there else ", made at the first start"))]
    url = settings.shop.url.rstrip("/")
    do = "Is it running? See COUNTERSIGN_SHOP__URL and __TOKEN."
    try:
        answer = await _get(f"{url}/ok", within_s)
        guarded = await _get(f"{url}/log?limit=1", within_s, settings.shop.token.get_secret_value())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return [fail("shop", f"{told_settings.address(url)}: {error or type(error).__name__}", do)]
    if not answer.response.is_success:
        return [fail("shop", f"{told_settings.address(url)} answers {answer.response.status_code}", do)]
    says = f"{told_settings.address(url)} answers in {answer.took_s * 1000:.0f} ms"
    if guarded.response.status_code in (401, 403):
        return [fail("shop", f"{says}, and does not know our token", "See COUNTERSIGN_SHOP__TOKEN.")]
    return [ok("shop", says), *answer.skew("shop")]


async def server(settings: Settings, within_s: float) -> list[Line]:
    file = settings.data / ADDRESS
    if not file.exists():
        return [ok("server", "none runs in this folder")]
    url = file.read_text(encoding="utf-8").strip()
    try:
        answer = await _get(f"{url}/ok", within_s)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        do = "It was killed, or hangs: start it again, or look at its log."
        return [fail("server", f"{url}: {error or type(error).__name__}", do)]
    if not answer.response.is_success:
        return [fail("server", f"{url} answers {answer.response.status_code}", "Look at its log.")]
    return [ok("server", f"{url} answers in {answer.took_s * 1000:.0f} ms")]
