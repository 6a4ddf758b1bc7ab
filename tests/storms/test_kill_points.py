"""A house that is killed at any named point, on both databases, ends each case as if nothing had been."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support import kill_points
from tests.support.folders import quick_folder
from tests.support.servers import POSTGRES, fresh_database, needs_postgres
from tests.support.till import open_till

STEPS = (
    "bell",
    "tx.begin",
    "checkpoint",
    "tx.propose",
    "writes",
    "tx.reserve",
    "intent",
    "call",
    "done",
    "tx.finish",
    "review",
    "processed",
    "tx.end",
    "tx.vote",
    "checkpoint",
    "writes",
    "call",
    "tx.finish",
    "tx.end",
)
"""On the way of the case, so that a house that was killed at one comes to the next. Some lie on it twice."""
WHEN = ("before", "after")
LATE = ("tx.timer:before", "tx.timer:after")
QUEUE = ("bell:after",)


def on_the_way(when: str) -> tuple[str, ...]:
    first = ("tx.submit:after",) if when == "after" else ()
    return (*first, *(f"{step}:{when}" for step in STEPS))


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    """A data folder with an empty ledger and two accounts."""

    async def open_and_close(folder: Path, server: str = "") -> None:
        async with open_till(folder, server=server):
            pass

    with quick_folder() as folder:
        asyncio.run(open_and_close(folder / "house"))
        yield folder / "house"


@pytest.fixture(scope="module")
def server(prepared: Path) -> Iterator[str]:
    """A database to be copied."""

    async def open_and_close(server: str) -> None:
        with quick_folder() as folder:
            async with open_till(Path(shutil.copytree(prepared, folder / "house")), server=server):
                pass

    with fresh_database() as url:
        asyncio.run(open_and_close(url))
        with psycopg.connect(POSTGRES, autocommit=True) as admin:  # a copy is made of what nobody is connected to
            name = urlsplit(url).path.lstrip("/")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=needs_postgres)])
def template(request: pytest.FixtureRequest) -> str:
    """A database to be copied; none for SQLite, whose file lies in the folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("server"))


def lives(prepared: Path, template: str, *points: str, **more: Any) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = stack.enter_context(quick_folder())
        shutil.copytree(prepared, folder / "house")
        server = stack.enter_context(fresh_database(template)) if template else ""
        return kill_points.run(folder, server, *points, **more)


def two_by_two(prepared: Path, template: str, ways: Iterable[tuple[str, ...]], **more: Any) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(2) as two:
        return list(two.map(lambda points: lives(prepared, template, *points, **more), ways))


@needs_postgres
def test_a_kill_at_every_point_of_the_way_changes_nothing_of_how_a_case_ends(prepared: Path, server: str) -> None:
    """One house dies before each of them, another one after each, some twenty times."""
    oracle, *ended = two_by_two(prepared, server, [(), *map(on_the_way, WHEN)])
    assert oracle["status"] == ["closed", "done", "All is done.", ""]
    assert oracle["findings"] == []
    assert ended == [oracle, oracle]


def test_a_kill_at_any_one_point_changes_nothing(prepared: Path) -> None:
    """In a folder, where a start is quick, each of them has a house of its own."""
    points = {(point,) for when in WHEN for point in on_the_way(when)}
    oracle, *ended = two_by_two(prepared, "", [(), *points])
    assert {point: end for point, end in zip(points, ended, strict=True) if end != oracle} == {}


@pytest.mark.parametrize(("story", "points", "bell"), [(kill_points.LATE, LATE, "tasks"), ("", QUEUE, "queue")])
def test_nor_one_at_a_timer_or_at_the_bell_of_the_queue(
    prepared: Path, template: str, story: str, points: tuple[str, ...], bell: str
) -> None:
    oracle, *ended = two_by_two(prepared, template, [(), *((point,) for point in points)], story=story, bell=bell)
    assert oracle["findings"] == []
    assert {point: end for point, end in zip(points, ended, strict=True) if end != oracle} == {}


def test_without_the_effects_ledger_a_kill_between_call_and_done_is_found_out(prepared: Path, template: str) -> None:
    """The same points, so that nobody takes a harness that hits nothing for a house that loses nothing."""
    points = ("call:after", "done:before")
    for end in two_by_two(prepared, template, [(point,) for point in points], ledger_on=False):
        assert any(finding.startswith("duplicated") for finding in end["findings"]), end


@needs_postgres
@pytest.mark.parametrize("point", ["call:before", "call:after"])
def test_a_worker_that_stops_for_two_leases_in_a_call_changes_nothing_when_it_goes_on(
    prepared: Path, server: str, point: str
) -> None:
    """Another one looks its effect up at the provider; what the late one has to say is known already."""
    oracle = lives(prepared, server, story=kill_points.STOPPED)
    with quick_folder() as folder, fresh_database(server) as url:
        shutil.copytree(prepared, folder / "house")
        assert kill_points.stop_and_go(folder, url, point) == [oracle, oracle]
