"""Commands beside a running server: on its API, and on its data folder."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import attachments
from core.clock import FakeClock
from core.settings import Settings
from core.wire import CaseSummary
from serving.commands import telling
from serving.house import open_house
from tests.serving.live import Live, Typed, form, living, typed
from tests.support.returns_desk import NOW, asked

module = pytest.mark.asyncio(loop_scope="module")

Type = Callable[..., Any]


@pytest.fixture
def type_(live: Live) -> Type:
    """Types a command on the live server's folder, in a thread, while the server answers."""

    async def run(*words: str | Path, **more: Any) -> Typed:
        return await asyncio.to_thread(partial(typed, *words, "--data", live.house.settings.data, **more))

    return run


@module
async def test_a_request_is_submitted_and_waited_for(live: Live, type_: Type, tmp_path: Path) -> None:
    bought = await live.bought()
    payload = tmp_path / "request.json"
    payload.write_text(json.dumps({"lines": form(asked("fli_tee"), **bought)["lines"], "wants": "REFUND_ORIGINAL"}))
    words = ("submit", "returns", "--customer", bought["customer"], "--order", bought["order"], "--payload", payload)
    said = await type_(*words, "--key", "cli-1", "--wait", "60")
    assert said.code == 0
    assert "closed: refunded" in said.out
    assert "refunds.create: Refund 11.96 USD" in said.out
    assert "together" in said.out
    again = await type_(*words, "--key", "cli-1", "--json")
    assert again.json["case"]["id"] in said.out
    other = await type_("submit", "returns", "--customer", "cus_1", "--letter", "Hello", "--key", "cli-1")
    assert other.code == 1
    assert "was used for another request" in other.err


@module
async def test_a_letter_may_come_through_a_pipe_with_its_photos(live: Live, type_: Type, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    words = ("submit", "returns", "--customer", "cus_ann", "--letter-file", "-", "--photo", photo, "--json")
    said = await type_(*words, stdin="Order ord_usd: the phones hiss. Ann")
    sent = said.json["payload"]
    assert sent["letter"].startswith("Order ord_usd")
    (ref,) = sent["photos"]
    assert attachments.read(live.house.attachments / ref) == photo.read_bytes()
    assert photo.read_bytes() not in (live.house.attachments / ref).read_bytes()


@module
@pytest.mark.parametrize(
    ("words", "stdin", "code", "told"),
    [
        (["lunch", "--letter", "x"], None, 1, "There is no kind 'lunch'"),
        (["returns", "--letter", "x"], None, 2, "customer_id"),
        (["returns", "--letter", "x", "--letter-file", "-"], "y", 2, "exclude each other"),
        (["returns", "--letter-file", "-"], b"\xff\xfe\x00", 2, "is no UTF-8 text"),
        (["returns", "--payload", "-"], "{", 2, "is no JSON"),
        (["returns", "--payload", "-"], "[1]", 2, "is no JSON object"),
    ],
)
async def test_a_request_that_cannot_be_sent_is_told(
    type_: Type, words: list[str], stdin: str | bytes | None, code: int, told: str
) -> None:
    said = await type_("submit", *words, stdin=stdin)
    assert said.code == code
    assert told in said.err


@module
async def test_cases_are_listed_shown_and_followed(live: Live, type_: Type) -> None:
    closed = (await live.submit(await live.small()))["case"]["id"]
    waiting, _ = await live.waiting(await live.dear())
    everything = await type_("cases")
    assert everything.out.index(waiting["case"]["id"]) < everything.out.index(closed)
    few = await type_("cases", "--status", "waiting", "--json")
    ids = {case["id"] for case in few.json["items"]}
    assert waiting["case"]["id"] in ids
    assert closed not in ids
    shown = await type_("cases", waiting["case"]["id"])
    assert "waiting, for desk" in shown.out
    assert "review by RF-03" in shown.out
    followed = await type_("cases", closed, "--follow")
    assert "case.opened" in followed.out.splitlines()[0]
    assert "case.closed" in followed.out.splitlines()[-1]
    entries = [json.loads(line) for line in (await type_("cases", closed, "--follow", "--json")).out.splitlines()]
    assert [entry["seq"] for entry in entries] == sorted({entry["seq"] for entry in entries})
    assert (await type_("cases", "case_nope")).code == 1
    assert (await type_("cases", "--follow")).code == 2


def test_what_comes_from_outside_cannot_steer_the_terminal() -> None:
    case = CaseSummary(
        id="case_1",
        kind="returns",
        status="failed",
        subject="\x1b[2J\u202egnp.exe",
        outcome="",
        problem="It said:\r\x07 done",
        opened_at=NOW,
        closed_at=None,
    )
    said = telling.row(case)
    assert said.isprintable()
    assert "�[2J�gnp.exe" in said


@module
async def test_people_come_and_go_while_the_server_runs(live: Live, type_: Type) -> None:
    said = await type_("people", "add", "anna", "--role", "finance_controller", "--role", "viewer", "--days", "9")
    assert said.code == 0
    token = said.out.strip()

    async def status(of: str) -> int:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {of}"}) as http:
            return (await http.get(f"{live.url}/api/v1/me")).status_code

    assert await status(token) == 200
    listed = (await type_("people", "list", "--json")).json
    assert {"id": "anna", "roles": ["finance_controller", "viewer"]} in listed
    second = (await type_("people", "token", "anna")).out.strip()
    assert await status(second) == 200
    assert "2 tokens" in (await type_("people", "revoke", "anna")).out
    assert (await status(token), await status(second)) == (401, 401)
    assert (await type_("people", "token", "nobody")).code == 1
    assert (await type_("people", "add", "no/body", "--role", "viewer")).code == 2
    wrong = await type_("people", "add", "otto", "--role", "retuns_reviewer")
    assert "No policy here asks for the role retuns_reviewer" in wrong.err
    entries = await live.house.database.read("default", lambda ledger: ledger.audit.entries(limit=10_000))
    assert [row.type for row in entries if '"person":"anna"' in row.body] == [
        "person.added",
        "token.issued",
        "tokens.revoked",
    ]
    assert not any(token in row.body or second in row.body for row in entries)


@module
async def test_the_books_are_checked_beside_a_running_server(live: Live, type_: Type) -> None:
    await live.submit(await live.small())
    verified, checked = await type_("audit", "verify", "--json"), await type_("audit", "check", "--json")
    assert (verified.code, checked.code) == (0, 0)
    assert verified.json["holds"]
    assert verified.json["entries"]["default"] > 5
    assert checked.json["findings"] == []
    assert checked.json["runs"] >= 4
    assert (await type_("migrate")).code == 2


async def _chained(folder: Path) -> None:
    async with open_house(Settings(data=folder), bell="tasks", clock=FakeClock(NOW)) as house:

        def log(ledger: Any) -> None:
            for number in range(5):
                ledger.audit.append("something.happened", {"number": number})

        await house.database.write("default", log)
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger:
        for (name,) in ledger.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            ledger.execute(f'DROP TRIGGER "{name}"')  # whoever can write the file can do so
        ledger.commit()


def test_one_byte_of_any_audit_row_is_found(tmp_path: Path) -> None:
    asyncio.run(_chained(tmp_path))
    assert typed("audit", "verify", "--data", tmp_path).code == 0
    columns = {"at": 3, "type": 1, "body": 3, "prev": 5, "hash": 2, "case_id": 4}
    for column, seq in columns.items():
        with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
            (before,) = ledger.execute(f"SELECT {column} FROM audit WHERE seq = ?", (seq,)).fetchone()
            changed = chr(ord(before[0]) ^ 1) + before[1:] if before else "x"
            ledger.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (changed, seq))
            ledger.commit()
            said = typed("audit", "verify", "--data", tmp_path)
            assert said.code == 1
            assert f"broken at entry {seq}:" in said.out
            ledger.execute(f"UPDATE audit SET {column} = ? WHERE seq = ?", (before, seq))
            ledger.commit()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute("DELETE FROM audit WHERE seq = 5")
        ledger.commit()
    said = typed("audit", "verify", "--data", tmp_path, "--json")
    assert said.code == 1
    assert said.json["broken"][0]["seq"] == 5


async def test_an_effect_that_the_ledger_does_not_know_is_found(tmp_path: Path) -> None:
    async with living(Settings(data=tmp_path)) as live:
        case = await live.submit(await live.small())
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        with pytest.raises(sqlite3.IntegrityError, match="it happened, and stays"):
            ledger.execute("DELETE FROM run WHERE tool = 'refunds.create'")
        ledger.execute("DROP TRIGGER run_guard_delete")  # whoever may do that is found out by the provider's log
        ledger.execute("DELETE FROM run WHERE tool = 'refunds.create'")
        ledger.commit()
    said = await asyncio.to_thread(typed, "audit", "check", "--data", tmp_path)
    assert said.code == 1
    assert f"unrecorded: {case['case']['id']}: the provider did refunds.create" in said.out


@pytest.mark.parametrize("command", ["audit verify", "audit check", "people list", "people token anna"])
def test_a_folder_without_data_is_told_and_left_alone(tmp_path: Path, command: str) -> None:
    said = typed(*command.split(), "--data", tmp_path / "empty")
    assert said.code == 2
    assert "There is no data in" in said.err
    assert not (tmp_path / "empty").exists()


def test_people_may_be_added_before_the_server_ever_ran(tmp_path: Path) -> None:
    assert typed("people", "add", "anna", "--role", "operator", "--data", tmp_path / "new").out.startswith("cs_")
    assert "anna  operator" in typed("people", "list", "--data", tmp_path / "new").out
    assert typed("migrate", "--data", tmp_path / "new").code == 0
    assert typed("migrate", "--data", tmp_path / "new", "--to", "0999").code == 2


def test_without_a_server_it_is_said_how_to_start_one(tmp_path: Path) -> None:
    for command in (("cases",), ("submit", "returns", "--letter", "x")):
        said = typed(*command, "--data", tmp_path)
        assert said.code == 2
        assert "countersign up" in said.err
    gone = typed("cases", env={"COUNTERSIGN_URL": "http://127.0.0.1:9", "COUNTERSIGN_TOKEN": "x"})
    assert gone.code == 2
    assert "does not answer" in gone.err
    odd = typed("cases", env={"COUNTERSIGN_URL": "gopher://[", "COUNTERSIGN_TOKEN": "x"})
    assert odd.code == 2
