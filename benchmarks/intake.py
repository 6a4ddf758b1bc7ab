"""A case submitted over HTTP (token, limits, schema, ledger, audit) beside a bare FastAPI route with the same body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from benchmarks.measure import Cost, Figure, Lap, Report, in_turns
from core.settings import EngineSettings, Settings
from core.wire import SubmitCase
from engine.intake import Intake
from graphs.returns.kind import KIND
from graphs.returns.rehearsal import rehearse
from serving.api.app import make_app
from serving.house import House, open_house, owner
from serving.local import issue_local_token


async def measured(quick: bool) -> Report:
    many = 5 if quick else 60
    payloads = [payload for _, payload in rehearse(7, many, datetime.now(UTC)).requests]
    with TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), engine=EngineSettings(sweep_s=3600))
        async with open_house(settings, bell="tasks") as house:
            token = issue_local_token(house.database, settings.data, owner(settings))
            app = make_app(_without_work(house))
            ours, floor = await in_turns(
                2 if quick else 5,
                lambda: _posted(app, "/api/v1/cases", token, payloads),
                lambda: _posted(_bare(), "/cases", token, payloads),
            )
    beside = "a bare FastAPI route, same body, nothing kept"
    return Report([Figure("a case submitted over HTTP, in process", ours, beside, floor, per_second=True)])


async def _posted(app: FastAPI, path: str, token: str, payloads: Sequence[Mapping[str, Any]]) -> Cost:
    headers = {"Authorization": f"Bearer {token}"}
    async with AsyncClient(transport=ASGITransport(app), base_url="http://bench", headers=headers) as client:
        await client.post(path, json={"kind": KIND.name, "payload": payloads[0]})
        lap = Lap()
        for payload in payloads:
            answer = await client.post(path, json={"kind": KIND.name, "payload": payload})
            assert answer.status_code == 201, answer.text
        return lap.cost(len(payloads))


def _without_work(house: House) -> House:
    """The same house, whose doorbell is not heard and whose sweeper sleeps: cases pile up."""

    async def unheard(workspace: str, case_id: str) -> None:
        pass

    return replace(house, intake=Intake(house.database, house.stream, unheard, queue_limit=1_000_000))


def _bare() -> FastAPI:
    app = FastAPI()

    @app.post("/cases", status_code=201)
    async def submit(body: SubmitCase) -> SubmitCase:
        return body

    return app
