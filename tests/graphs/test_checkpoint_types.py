"""A checkpoint is data from whoever may write one: reading it calls nothing that it names."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import ormsgpack
import psycopg
import pytest

from core.states import CaseStatus
from graphs.checkpoints_kept import Kept, Refused
from serving.storage import CHECKPOINTS
from tests.support.servers import fresh_database
from tests.support.till import open_till, pay, person


@pytest.fixture(params=["sqlite", "server"])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with ExitStack() as stack:
        yield stack.enter_context(fresh_database()) if request.param == "server" else ""


def planted(path: Path) -> bytes:
    """Every way in which the library lets a value name what is called with it."""
    call, made = f"mkdir {path}", {"name": str(path)}
    ways = {
        0: ("os", "system", call),
        1: ("os", "system", (call,)),
        2: ("os", "makedirs", made),
        3: ("pathlib", "os", call, "system"),
        4: ("os", "makedirs", made),
        5: ("os", "makedirs", made, ""),
    }
    return ormsgpack.packb([ormsgpack.Ext(code, ormsgpack.packb(named)) for code, named in ways.items()])


def plant(folder: Path, server: str, case: str, value: bytes) -> None:
    if server:
        with psycopg.connect(server) as records:
            records.execute(
                "INSERT INTO checkpoint_writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type,"
                " blob) SELECT thread_id, checkpoint_ns, checkpoint_id, 'worker', 0, 'plan', 'msgpack', %s"
                " FROM checkpoints WHERE thread_id = %s",
                (value, case),
            )
        return
    with closing(sqlite3.connect(folder / CHECKPOINTS)) as records, records:
        records.execute(
            "INSERT INTO writes (thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, value)"
            " SELECT thread_id, checkpoint_ns, checkpoint_id, 'worker', 0, 'plan', 'msgpack', ?"
            " FROM checkpoints WHERE thread_id = ?",
            (value, case),
        )


async def test_what_a_checkpoint_names_is_not_called_and_the_case_is_copied_and_goes_on(
    folder: Path, server: str
) -> None:
    target = folder.parent / "called"
    async with open_till(folder, server=server) as till:
        case = await till.run([pay("100.00")])
        plant(folder, server, case, planted(target))
        steps = await till.house.rewind.steps("till", case)
        copy = await till.house.forks.fork(person("ops"), case, steps[0].id)
        await till.settle(copy.id)
        await till.approve("ann", case)
        assert [await till.status(case), await till.happened(case)] == [CaseStatus.CLOSED, ["gift.pay"]]
    assert not target.exists()


@pytest.mark.parametrize("form", ["json", "pickle"])
def test_a_form_that_is_never_written_is_not_read(form: str) -> None:
    with pytest.raises(Refused):
        Kept().loads_typed((form, b"{}"))
