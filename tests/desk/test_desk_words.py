"""Keys, forms, filters, problem documents, streams: what the desk is made of, without a screen."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from core.errors import AlreadyDecided, Busy, CountersignError, Forbidden, InvalidInput, PolicyInvalid, SetupError
from desk import filter as filters
from desk import forms, keymap
from desk.client import problem
from desk.connection import find_connection
from desk.reading import Urgency, clean, countdown, words
from desk.sse import Message, messages
from desk.trigger import Trigger
from tests.support.desk_pilot import Ticks
from tests.support.desk_server import SCHEMA, START, DeskServer

ARGS = {
    "order_id": "O-1", "amount": {"amount_minor": 41200, "currency": "USD"}, "reason": "DEFECTIVE",
    "keep_item": False, "fees": None, "quantity": 1, "photos": ["p1.jpg"],
}  # fmt: skip


def test_no_key_means_two_things_and_the_footer_leaves_out_what_may_not_run() -> None:
    keys = [key for action in keymap.ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    nothing = keymap.Situation()
    deciding = keymap.Situation(rows=True, case=True, live=True, undecided=True, reviewer=True)
    assert [action.id for action in keymap.footer(nothing, 80)] == ["filter", "help"]
    shown = [action.id for action in keymap.footer(deciding, 80)]
    assert shown == ["approve", "reject", "edit", "claim", "release", "next", "help"]
    for lacking in ("live", "undecided", "reviewer", "case"):
        situation = keymap.Situation(**{**vars(deciding), lacking: False})
        assert keymap.why_not(keymap.BY_ID["approve"], situation)
    assert not keymap.why_not(keymap.BY_ID["approve"], deciding)


def test_a_form_is_made_from_the_schema_and_reads_its_own_texts_back() -> None:
    found = {field.path: field for field in forms.fields(SCHEMA, ARGS)}
    kinds = {path: field.input.value for path, field in found.items()}
    assert kinds == {
        "order_id": "text", "amount": "money", "reason": "choice", "keep_item": "boolean", "fees": "money",
        "quantity": "integer", "photos": "json",
    }  # fmt: skip
    assert found["amount"].shown(ARGS["amount"]) == "412.00 USD"
    assert found["fees"].optional
    for path, field in found.items():
        assert field.read(field.shown(ARGS[path])) == ARGS[path]


def test_only_what_was_touched_changes() -> None:
    texts = {"amount": "380.00 usd", "reason": "DEFECTIVE", "keep_item": "yes", "fees": "5.95 USD"}
    new = forms.edited(ARGS, SCHEMA, texts)
    assert new["amount"] == {"amount_minor": 38000, "currency": "USD"}
    told = [(change.path, change.old, change.new) for change in forms.changes(ARGS, new)]
    assert told == [("amount", "412.00 USD", "380.00 USD"), ("keep_item", "no", "yes"), ("fees", "—", "5.95 USD")]
    assert ARGS["keep_item"] is False


def test_objects_that_are_set_are_taken_apart_and_those_that_are_not_stay_whole() -> None:
    schema = {
        "$defs": {"T": {"properties": {"amount": SCHEMA["$defs"]["Money"], "how": {"type": "string"}}}},
        "properties": {"transfer": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]}},
    }  # fmt: skip
    args = {"transfer": {"amount": {"amount_minor": 100, "currency": "JPY"}, "how": "original"}}
    assert [field.path for field in forms.fields(schema, args)] == ["transfer.amount", "transfer.how"]
    assert forms.edited(args, schema, {"transfer.amount": "90 JPY"})["transfer"]["amount"]["amount_minor"] == 90
    assert [field.path for field in forms.fields(schema, {"transfer": None})] == ["transfer"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("amount", "12.345 USD"), ("amount", "12.50"), ("amount", "1.00 XXX"), ("amount", ""), ("quantity", "1.5"),
        ("keep_item", "perhaps"), ("reason", "HATE"), ("photos", "[p1"), ("nothing", "1"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_value_names_its_field(path: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        forms.edited(ARGS, SCHEMA, {path: text})
    assert refused.value.field == f"args.{path}"


def test_the_filter_knows_a_few_words_and_says_which() -> None:
    server = DeskServer()
    one = server.opens("rev_0001", due_s=60).approval
    two = server.opens("rev_0002", due_s=60, tool="messages.send", claimed_by="ben").approval
    rows = (one, two)
    assert [row.id for row in rows if filters.parse("action:MESSAGES")(row)] == ["rev_0002"]
    assert [row.id for row in rows if filters.parse("group:returns by:ben")(row)] == ["rev_0002"]
    assert [row.id for row in rows if filters.parse("o-0001")(row)] == ["rev_0001"]
    assert all(filters.parse("")(row) for row in rows)
    with pytest.raises(InvalidInput, match="does not know 'colour:'") as refused:
        filters.parse("colour:red")
    assert "action:" in refused.value.hint


@pytest.mark.parametrize(
    ("left_s", "glyph", "text", "urgency"),
    [(-180, "!!", "-3:00", Urgency.LATE), (116, "!", "1:56", Urgency.SOON), (319, "", "5:19", Urgency.CALM),
     (7500, "", "2h05", Urgency.CALM), (5 * 86400, "", "5d", Urgency.CALM)],
)  # fmt: skip
def test_time_is_told_by_glyph_and_text(left_s: int, glyph: str, text: str, urgency: Urgency) -> None:
    clock = countdown(START + timedelta(seconds=left_s), START)
    assert (clock.glyph, clock.text, clock.urgency) == (glyph, text, urgency)


def test_text_from_outside_can_neither_steer_the_terminal_nor_hide() -> None:
    assert clean("a\x1b[2Jb\x07\u202ec\U000e0041\tde\r\nf") == "a�[2Jb��c� de\nf"
    assert words({"amount_minor": 5, "currency": "KWD"}) == "0.005 KWD"
    assert words({"amount_minor": 5, "currency": "???"}) == '{"amount_minor": 5, "currency": "???"}'


def test_a_key_counts_only_after_a_quiet_quarter_of_a_second() -> None:
    ticks = Ticks()
    trigger = Trigger(ticks)
    assert not trigger.pull("a")
    trigger.painted("a")
    ticks.now += 0.3
    assert not trigger.pull("b"), "something else is shown"
    assert not trigger.pull("a", waited_s=0.2), "typed ahead, before it could be read"
    ticks.now += 0.2
    assert not trigger.pull("a"), "the early key started the wait anew"
    ticks.now += 0.3
    trigger.painted("a")
    assert trigger.pull("a"), "painting the same again takes nothing back"
    trigger.disarm()
    assert not trigger.pull("a")


@pytest.mark.parametrize(
    "error",
    [
        AlreadyDecided("It is approved already, by ben.", hint="Nothing is left.", present="approved"),
        Forbidden("It takes a role.", missing_role="finance"),
        InvalidInput("No.", field="args.amount"),
        PolicyInvalid("Refused.", problems=["line 3"]),
        Busy("Full.", retry_after=7),
    ],
)
def test_a_problem_document_becomes_the_error_that_it_was(error: CountersignError) -> None:
    answer = httpx.Response(error.status, json=error.problem(), request=httpx.Request("GET", "http://x/"))
    found = problem(answer)
    assert type(found) is type(error)
    assert found.problem() == error.problem()


def test_an_answer_that_is_no_problem_document_is_told_as_what_it_is() -> None:
    request = httpx.Request("GET", "http://x/")
    assert isinstance(problem(httpx.Response(404, text="<html>", request=request)), SetupError)
    assert problem(httpx.Response(502, text="bad gateway", request=request)).status == 502
    unknown = httpx.Response(409, json={"type": "urn:other:thing", "title": "Odd"}, request=request)
    assert (problem(unknown).status, problem(unknown).detail) == (409, "Odd")


async def test_the_stream_is_read_as_the_standard_says() -> None:
    async def lines() -> AsyncIterator[str]:
        for line in (": hello", "", "event: review.opened", "id: 7", "data: {", "data: }", "", "data", "", "id: 8",
                     "data: cut off"):  # fmt: skip
            yield line

    assert [each async for each in messages(lines())] == [
        Message(":", "hello"),
        Message("review.opened", "{\n}", "7"),
        Message("message", "", "7"),
    ]


def test_the_connection_is_found_or_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERSIGN_URL", raising=False)
    monkeypatch.delenv("COUNTERSIGN_TOKEN", raising=False)
    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    with pytest.raises(SetupError) as missing:
        find_connection()
    assert "countersign demo desk" in missing.value.hint
    (tmp_path / "local-address").write_text("http://127.0.0.1:8642/\n")
    (tmp_path / "local-token").write_text("secret\n")
    found = find_connection()
    assert (found.url, found.token) == ("http://127.0.0.1:8642", "secret")
    assert "secret" not in repr(found)
    assert find_connection("https://desk.example", "t").url == "https://desk.example"
    with pytest.raises(SetupError, match="no token"):
        find_connection("https://desk.example")


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [("desk.client", "textual"), ("desk.store", "textual"), ("desk.feed", "textual"), ("desk.keymap", "textual"),
     ("desk.command", "textual"), ("desk.command", "httpx"), ("desk.command", "rich")],
)  # fmt: skip
def test_the_screen_is_loaded_only_when_it_is_opened(module: str, unwanted: str) -> None:
    code = f"import sys, {module}; sys.exit(any(name.split('.')[0] == {unwanted!r} for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_desk_knows_only_core_of_this_project() -> None:
    code = (
        "import sys, pathlib, importlib\n"
        "for path in pathlib.Path('desk').rglob('*.py'):\n"
        "    importlib.import_module('.'.join(path.with_suffix('').parts).removesuffix('.__init__'))\n"
        "ours = {'ledger', 'engine', 'policies', 'tools', 'agents', 'graphs', 'serving', 'evals'}\n"
        "print(*sorted(ours & {name.split('.')[0] for name in sys.modules}))"
    )
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == ""
