from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core.errors import CountersignError
from evals.command import evals
from evals.reviewers import REVIEWERS
from evals.suites.tau2_retail.files import Files, load
from evals.suites.tau2_retail.identity import ToldBy, user_of
from evals.suites.tau2_retail.report import SuiteReport
from evals.suites.tau2_retail.suite import run
from graphs.kind import TaskKind
from graphs.tau2_retail.kind import KIND
from policies import __file__ as policies_package
from tools.fulfillment.ports import Handler, Records

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tau2-retail"
NAMES = ("tasks.json", "db.json", "gold_deltas.json")


@dataclass
class Ran:
    code: int
    out: str
    err: str


def _evals(*args: str | Path) -> Ran:
    """As `countersign evals` would: errors of the house's own tree end with exit code 2 here."""
    result = CliRunner().invoke(evals, [*map(str, args)])
    if isinstance(result.exception, CountersignError):
        return Ran(2, result.stdout, str(result.exception))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def _run(data: Path, *args: str | Path) -> Ran:
    return _evals("run", "tau2-retail", "--data", data, *args)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A copy of the files, to be changed."""
    for name in NAMES:
        shutil.copyfile(FIXTURE / name, tmp_path / name)
    return tmp_path


def _change(file: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, SuiteReport]:
    out = tmp_path_factory.mktemp("evals") / "report.json"
    ran = _run(FIXTURE, "--reviewer", "approve-all", "--out", out)
    return ran, SuiteReport.model_validate_json(out.read_text())


def test_gold_actions_leave_the_golds_deltas_and_what_differs_is_told(approved: tuple[Ran, SuiteReport]) -> None:
    ran, report = approved
    assert ran.code == 0
    assert "8 of 9 deltas match the gold." in ran.out
    assert "task 21 differs: the benchmark's own defect: its modify_pending_order_items" in ran.out
    assert "orders #W9911714 items[2].price: 155.33 here, 268.77 in the gold" in ran.out
    assert "task 105: exchange_delivered_order_items: failed: Insufficient gift card balance" in ran.out
    assert "Other calls that did not run: none." in ran.out
    assert "9 of 9 tasks, 8 as they should be" in ran.err
    assert ran.out.strip() == report.as_text()


def test_each_task_begins_in_a_world_of_its_own(approved: tuple[Ran, SuiteReport]) -> None:
    """21 and 22 change the same order, one after the other: 22 finds it as it was, items and all."""
    _, report = approved
    gold = json.loads((FIXTURE / "gold_deltas.json").read_text())
    assert {"#W9911714"} <= gold["21"]["delta"]["orders"].keys() & gold["22"]["delta"]["orders"].keys()
    matching = {task.id: task.matches for task in report.tasks}
    assert [task_id for task_id in matching if task_id in ("21", "22")] == ["21", "22"]
    assert matching["22"]


def test_every_write_waited_for_the_votes_that_policy_asks_for(approved: tuple[Ran, SuiteReport]) -> None:
    _, report = approved
    assert len(report.writes) == 17
    assert all(call.verdict == "review" and "customer" in call.asked for call in report.writes)
    assert (report.books.runs, report.books.provider_calls, report.books.findings) == (17, 16, [])
    seats = sum(len(call.asked) for call in report.writes)
    assert sum(task.case.votes for task in report.tasks) == seats > len(report.writes)


def test_with_every_change_rejected_the_world_stays_as_it_is() -> None:
    ran = _run(FIXTURE, "--reviewer", "reject-all", "--json", "--task", "16", "--task", "78", "--task", "105")
    report = json.loads(ran.out)
    assert (ran.code, report["passed"], report["matching"], report["of"]) == (0, True, 3, 3)
    assert report["writes"] == 7
    assert (report["books"]["runs"], report["books"]["provider_calls"]) == (0, 0)


def test_a_gold_that_is_another_one_is_found_and_no_defect_excuses_it(data: Path) -> None:
    def dearer(gold: Any) -> None:
        gold["40"]["delta"]["orders"]["#W4923227"]["status"] = "cancelled"
        gold["21"]["delta"]["orders"]["#W9911714"]["items"][2]["price"] += 0.01
        gold["67"]["delta"] = {"users": {"noah_ito_3850": {"user_id": "noah_ito_3850"}}}

    _change(data / "gold_deltas.json", dearer)
    ran = _run(data, "--task", "40", "--task", "21", "--task", "67")
    assert ran.code == 1
    assert "0 of 3 deltas match the gold." in ran.out
    assert ran.out.count("nothing explains it") == 3
    assert "orders #W4923227 status: pending here, cancelled in the gold" in ran.out
    assert "users noah_ito_3850 as a whole: unchanged here, changed in the gold" in ran.out


def test_a_book_that_lets_writes_through_is_found_by_who_rejects_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = (Path(str(policies_package)).parent / "books" / "tau2_retail.yaml").read_text()
    loose = book[: book.index("# Held against")].replace("decide: review by customer", "decide: allow")
    loose = loose.replace("  customer: {role: customer_contact, people: 1, within: 1 day, if_late: deny}\n", "")
    (tmp_path / "tau2_retail.yaml").write_text(loose)
    monkeypatch.setenv("COUNTERSIGN_POLICIES", str(tmp_path))
    ran = _run(FIXTURE, "--reviewer", "reject-all", "--task", "78")
    assert ran.code == 1
    assert "The world is unchanged in 0 of 1 tasks." in ran.out
    assert "as a whole: changed here, unchanged in the gold" in ran.out


# A shop that does it wrongly.


def _with_operation(name: str, change: Callable[[Records, dict[str, Any], Mapping[str, Any]], None]) -> TaskKind:
    right: Handler = KIND.dialect.operations[name]

    def wrong(records: Records, args: Mapping[str, Any]) -> dict[str, Any]:
        order = right(records, args)
        change(records, order, args)
        records.put("orders", order["order_id"], order)
        return order

    operations = {**KIND.dialect.operations, name: wrong}
    return dataclasses.replace(KIND, dialect=dataclasses.replace(KIND.dialect, operations=operations))


def _files(*task_ids: str) -> Files:
    files = load(*(FIXTURE / name for name in NAMES))
    return dataclasses.replace(files, tasks=[task for task in files.tasks if task.id in task_ids])


async def test_a_tool_that_keeps_the_users_money_is_found() -> None:
    kind = _with_operation("cancel_pending_order", lambda _records, order, _args: order["payment_history"].pop())
    report = await run(_files("78"), REVIEWERS["approve-all"], kind=kind)
    assert not report.passed
    (task,) = report.tasks
    assert [(each.record, each.path) for each in task.differences] == [("orders #W5995614", "payment_history")]


async def test_with_the_benchmarks_defect_built_in_both_agree() -> None:
    """So it is that defect, and no other, which the explanation tells of."""

    def all_get_the_last(records: Records, order: dict[str, Any], args: Mapping[str, Any]) -> None:
        new = args["new_item_ids"]
        last = next(item for item in order["items"] if item["item_id"] == new[-1])
        for item in order["items"]:
            if item["item_id"] in new:
                item |= {"price": last["price"], "options": last["options"]}

    kind = _with_operation("modify_pending_order_items", all_get_the_last)
    report = await run(_files("21"), REVIEWERS["approve-all"], kind=kind)
    assert (report.passed, report.matching) == (True, 1)


# Who the user is.


def _told(known_info: str, data: Path) -> tuple[str | None, ToldBy]:
    def say(tasks: Any) -> None:
        tasks[:] = [each for each in tasks if each["id"] == "40"]
        tasks[0]["user_scenario"] = {"instructions": {"known_info": known_info, "reason_for_call": "Pay otherwise."}}

    _change(data / "tasks.json", say)
    files = load(*(data / name for name in NAMES))
    return user_of(files.tasks[0], files.world)


@pytest.mark.parametrize(
    ("known_info", "user", "by"),
    [
        ("You are ETHAN_GARCIA_1261.", "ethan_garcia_1261", ToldBy.SCENARIO),
        ("Your email address is isabella.lopez3271@example.com.", "isabella_lopez_6490", ToldBy.SCENARIO),
        ("You name is Yara Muller and your zip code is 85041.", "yara_muller_8652", ToldBy.SCENARIO),
        ("You are ethan_garcia_1261 or yara_muller_8652.", "isabella_lopez_6490", ToldBy.LOOKUP),
        ("", "isabella_lopez_6490", ToldBy.LOOKUP),
    ],
)
def test_the_user_is_whom_the_scenario_names(known_info: str, user: str, by: ToldBy, data: Path) -> None:
    assert _told(known_info, data) == (user, by)


def test_a_task_that_changes_somebody_elses_order_is_stopped_by_policy(data: Path) -> None:
    _told("You are ethan_garcia_1261.", data)
    ran = _run(data, "--json")
    report = json.loads(ran.out)
    assert (ran.code, report["matching"]) == (1, 0)
    denied = [call["rules"][0] for call in report["tasks"][0]["case"]["calls"] if call["verdict"] == "deny"]
    assert denied == ["ID-02", "ID-01", "ID-01"]
    assert report["books"]["runs"] == 0


# Wrong use.


def test_the_suites_are_listed() -> None:
    assert _evals("list").out.startswith("tau2-retail ")
    assert list(json.loads(_evals("list", "--json").out)) == ["tau2-retail"]


def _broken(name: str, text: str) -> Callable[[Path], None]:
    return lambda data: (data / name).write_text(text) and None


@pytest.mark.parametrize(
    ("prepare", "args", "says"),
    [
        (lambda data: (data / "tasks.json").unlink(), [], r"tasks.json can't be read: No such file"),
        (lambda data: (data / "db.json").unlink(), [], r"db.json can't be read: No such file"),
        (_broken("tasks.json", '[\n {"id": "1",}\n]'), [], r"tasks.json:2:13: no JSON"),
        (_broken("gold_deltas.json", "{"), [], r"gold_deltas.json:1:2: no JSON"),
        (_broken("db.json", "[]"), [], r"db.json has no users"),
        (_broken("tasks.json", "[]"), [], r"tasks.json holds no task"),
        (_broken("tasks.json", '[{"id": "7"}]'), [], r"task '7', 0.evaluation_criteria: Field required"),
        (lambda d: _change(d / "tasks.json", lambda t: t.append(t[0])), [], r"the task '16' is there twice"),
        (lambda d: _change(d / "gold_deltas.json", lambda g: g.pop("40")), [], r"has nothing for task '40' \(1 of 9"),
        (None, ["--task", "1055"], r"there is no task '1055'. Did you mean 105\?"),
        (None, ["--reviewer", "somebody"], r"Invalid value for '--reviewer'"),
        (None, ["--out", "/nowhere/at/all.json"], r"there is no folder /nowhere/at"),
    ],
)
def test_wrong_files_and_options_are_told_before_anything_runs(
    data: Path, prepare: Callable[[Path], None] | None, args: list[str], says: str
) -> None:
    if prepare:
        prepare(data)
    ran = _run(data, *args)
    assert ran.code == 2
    assert ran.out == ""
    assert re.search(says, ran.err), ran.err


def test_files_can_be_given_one_by_one_and_without_any_it_says_so(data: Path) -> None:
    assert "Give --data, or else --tasks." in _evals("run", "tau2-retail").err
    elsewhere = [data / name for name in NAMES]
    ran = _evals(
        "run", "tau2-retail", "--tasks", elsewhere[0], "--world", elsewhere[1], "--gold", elsewhere[2], "--task", "67"
    )
    assert (ran.code, "1 of 1 deltas match" in ran.out) == (0, True)
