"""The desk in plain lines, as scripts and screen readers use it."""

from __future__ import annotations

import asyncio
import json
import sys
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core.errors import AlreadyDecided, Forbidden, InvalidInput, SetupError, StaleState
from core.wire_approvals import VoteView
from desk.command import desk
from tests.support.desk_server import TOKEN, DeskServer, serving


async def run(server: DeskServer, *args: str) -> Result:
    whole = ["--url", server.url, "--token", TOKEN, *args]
    return await asyncio.to_thread(CliRunner().invoke, desk, whole)


def two() -> DeskServer:
    server = DeskServer(datetime.now(UTC))
    server.opens("rev_8120", due_s=-180, claimed_by="ben")
    server.opens("rev_8121", due_s=4000, high_risk=True)
    return server


async def test_the_queue_and_a_case_are_read_out_line_by_line() -> None:
    async with serving(two()) as server:
        listed = await run(server, "list")
        assert "rev_8120 | late by 3:0" in listed.output
        assert "held by ben" in listed.output
        assert listed.output.endswith("2 waiting.\n")
        following = await run(server, "next")
        assert following.exit_code == 0
        told = following.output
        assert told.startswith("rev_8121 | due in 1h0")
        assert "High risk" in told
        assert told.index("FOR\n") < told.index("AGAINST\n") < told.index("WHY A PERSON\n")
        assert "\x1b" not in told
        shown = json.loads((await run(server, "show", "rev_8121", "--json")).output)
        assert shown["args"]["amount"] == {"amount_minor": 41200, "currency": "USD"}


async def test_next_passes_over_what_is_voted_on_and_what_is_not_for_these_eyes() -> None:
    server = DeskServer(datetime.now(UTC))
    for name, due_s in (("rev_8120", 100), ("rev_8121", 200), ("rev_8122", 300)):
        detail = server.opens(name, due_s=due_s, people=2)
    mine = VoteView(person=server.me.id, choice="approve", reason_code="", note="", at=server.now)
    others = mine.model_copy(update={"person": "ben"})
    server.details["rev_8120"] = server.details["rev_8120"].model_copy(update={"votes": [others, mine]})
    server.failing["rev_8121"] = Forbidden("It is another workspace's.", hint="Take another one.")
    server.details["rev_8122"] = detail.model_copy(update={"votes": [others]})
    async with serving(server):
        assert (await run(server, "next")).output.startswith("rev_8122 | ")
        server.details["rev_8122"] = detail.model_copy(update={"votes": [mine]})
        del server.details["rev_8121"]
        assert (await run(server, "next")).output == "Nothing waits for you.\n"


async def test_nothing_to_do_is_exit_1() -> None:
    async with serving(DeskServer()) as server:
        result = await run(server, "next")
        assert (result.exit_code, result.output) == (1, "Nothing waits for you.\n")


async def test_deciding_in_lines_sends_what_was_shown() -> None:
    async with serving(two()) as server:
        seen = server.details["rev_8120"].seen
        edit = ("decide", "rev_8120", "edit", "--set", "amount=12.50 usd", "--set", "keep_item=yes", "--yes")
        assert (await run(server, *edit)).output == "rev_8120 is edited.\n"
        reject = ("decide", "rev_8121", "reject", "--reason", "fraud_suspected", "--note", "again", "--yes", "--json")
        assert json.loads((await run(server, *reject)).output)["status"] == "rejected"
        first, second = server.decided
        assert (first["seen"], first["args"]["amount"]["amount_minor"], first["args"]["keep_item"]) == (
            seen,
            1250,
            True,
        )
        assert (second["reason_code"], second["note"], second["args"]) == ("fraud_suspected", "again", None)


async def test_a_lost_answer_is_asked_for_again() -> None:
    async with serving(two()) as server:
        server.lose_answers = 1
        assert (await run(server, "decide", "rev_8121", "approve", "--yes")).output == "rev_8121 is approved.\n"
        assert server.decided[0] == server.decided[1]


@pytest.mark.parametrize(
    ("args", "field"),
    [
        (("approve",), "yes"),
        (("reject", "--yes"), "reason"),
        (("reject", "--reason", "other", "--yes"), "note"),
        (("approve", "--reason", "other", "--yes"), "reason"),
        (("edit", "--yes"), "set"),
        (("edit", "--set", "amount", "--yes"), "set"),
        (("edit", "--set", "amount=412.00 USD", "--yes"), "set"),
        (("edit", "--set", "amount=1.005 USD", "--yes"), "args.amount"),
        (("edit", "--set", "price=1.00 USD", "--yes"), "args.price"),
    ],
)
async def test_a_decision_that_makes_no_sense_is_not_sent(args: tuple[str, ...], field: str) -> None:
    async with serving(two()) as server:
        result = await run(server, "decide", "rev_8121", *args)
        assert isinstance(result.exception, InvalidInput)
        assert result.exception.field == field
        assert result.exception.hint
        assert server.decided == []


async def test_conflicts_reach_the_caller_as_what_they_are() -> None:
    async with serving(two()) as server:
        server.failing["rev_8121/decide"] = StaleState("It changed since you looked at it.", present="3")
        stale = await run(server, "decide", "rev_8121", "approve", "--seen", "0" * 64, "--yes")
        assert isinstance(stale.exception, StaleState)
        assert server.decided == []
        server.settles("rev_8121", "approved", "ben")
        late = await run(server, "decide", "rev_8121", "approve", "--yes")
        assert isinstance(late.exception, AlreadyDecided)
        claimed = await run(server, "claim", "rev_8120")
        assert "ben" in str(claimed.exception)


async def test_claim_and_release() -> None:
    async with serving(two()) as server:
        assert (await run(server, "claim", "rev_8121")).output.startswith("rev_8121 is held by anna until")
        assert (await run(server, "release", "rev_8121")).output == "rev_8121 is free.\n"


async def test_a_picture_is_an_svg_that_fetches_nothing(tmp_path: Path) -> None:
    async with serving(two()) as server:
        out = tmp_path / "desk.svg"
        result = await run(server, "picture", "--out", str(out), "--width", "120", "--height", "30")
        assert result.output == f"{out} is written.\n"
    told = " ".join("".join(ET.parse(out).getroot().itertext()).split())
    assert "REFUNDS.CREATE (IRREVERSIBLE)" in told
    assert "LIVE" in told
    assert "url(http" not in out.read_text().replace('"', "").replace("'", "")
    assert "@font-face" not in out.read_text()


async def test_without_a_terminal_the_way_on_is_told() -> None:
    result = await asyncio.to_thread(CliRunner().invoke, desk, [])
    assert isinstance(result.exception, SetupError)
    assert "desk next" in result.exception.hint


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (("--url", "http://127.0.0.1:9", "--token", "t", "list"), 2, "countersign up"),
        (("list",), 2, "countersign demo desk"),
        (("decide", "x", "refuse"), 2, "approve"),
    ],
)
async def test_errors_are_words_and_an_exit_code(
    command: tuple[str, ...], code: int, told: str, tmp_path: Path
) -> None:
    root = Path(__file__).parents[2]
    env = {"COUNTERSIGN_DATA": str(tmp_path / "data"), "PYTHONPATH": str(root), "PATH": ""}
    asked = [sys.executable, "-m", "core.console", "desk", *command]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*asked, stdout=pipe, stderr=pipe, env=env, cwd=tmp_path)
    _, errors = await process.communicate()
    assert process.returncode == code
    assert told in errors.decode()
    assert "Traceback" not in errors.decode()
