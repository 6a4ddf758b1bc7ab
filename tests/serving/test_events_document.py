"""Events in documents and commands: the AsyncAPI document is that of the code, and what is sent fits it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from core.events import TYPES, event_of
from engine.bus.told import TOLD
from tests.serving.live import Live, typed
from tests.support.repository import ROOT

DOCUMENT = ROOT / "docs" / "asyncapi.yaml"


def _refs(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref")
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from _refs(each)


def test_the_document_is_valid_and_that_of_the_code() -> None:
    found = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))

    ApplicationSchema.model_validate(found)
    for ref in set(_refs(found)):
        place = found
        for step in ref.removeprefix("#/").split("/"):
            assert step in place, ref
            place = place[step]
    assert typed("events", "schema").out == DOCUMENT.read_text(encoding="utf-8"), (
        "it is old: countersign events schema > docs/asyncapi.yaml"
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_commands_send_events_and_read_what_is_published(live: Live, tmp_path: Path) -> None:
    async def type_(*words: str | Path) -> Any:
        return await asyncio.to_thread(partial(typed, *words, "--data", live.house.settings.data))

    waiting = (await live.submit(await live.dear()))["case"]["id"]
    scanned = {
        "specversion": "1.0",
        "id": "scan-1",
        "source": "carrier",
        "type": "parcel.scanned",
        "subject": waiting,
        "data": {"order_id": "ord_1", "parcel": "1Z", "status": "arrived", "at": "2026-11-02T09:00:00Z"},
    }
    file = tmp_path / "events.json"
    file.write_text(json.dumps([scanned, scanned, scanned | {"id": "scan-2", "data": {}}]))
    said = await type_("events", "send", file)
    assert said.code == 1
    assert [line.split()[0] for line in said.out.splitlines()] == ["taken", "known", "refused"]
    assert "data.order_id" in said.out
    file.write_text(json.dumps(scanned))
    assert (await type_("events", "send", file, "--json")).json["state"] == "known"
    file.write_text("{")
    assert (await type_("events", "send", file)).code == 2

    while await live.house.mail.publisher.publish():
        pass
    page = (await type_("events", "published", "--json")).json
    assert page["items"]
    for item in page["items"]:
        found = event_of(item)
        name = found.type.removeprefix(TYPES)
        TOLD[name].model_validate(found.data)
        assert found.dataschema == f"urn:countersign:schema:{name}:1"
    said = await type_("events", "published", "--after", page["next"])
    assert said.out == ""

    async with (
        live.as_(next(iter(live.tokens))) as http,
        http.stream(
            "GET", "/events/published", headers={"Accept": "text/event-stream", "Last-Event-ID": "0"}
        ) as stream,
    ):
        lines = [line async for line in _until(stream.aiter_lines(), len(page["items"]))]
    assert [json.loads(line[6:])["id"] for line in lines] == [item["id"] for item in page["items"]]


async def _until(lines: Any, many: int) -> Any:
    async for line in lines:
        if line.startswith("data: "):
            yield line
            many -= 1
        if not many:
            return
