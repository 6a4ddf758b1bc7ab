"""A policy file is tried on a data folder, beside whatever runs there: figures, a page, and an exit code."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core.settings import Settings
from graphs.catalog import book_of
from ledger.history import decisions
from tests.serving.live import living, typed
from tests.support.decided_world import decided_world, shipped
from tests.support.folders import quick_folder

SHIPPED = book_of("returns")
LOOSER = ("auto_refund: [150 USD", "auto_refund: [600 USD")
HOSTILE = '<script>alert("x")</script>'


@dataclass(frozen=True)
class Past:
    folder: Path
    looser: Path
    """A book with a higher automatic limit, a hostile reason, and no examples."""


@pytest.fixture(scope="module")
def past() -> Iterator[Past]:
    with quick_folder() as folder:
        asyncio.run(decided_world(folder / "data", seed=7, cases=24))
        looser = folder / "returns.next.yaml"
        text = shipped().replace(*LOOSER).replace("reason: A small refund", f"reason: '{HOSTILE}' #")
        looser.write_text(text.replace("version: 2026", "version: 2027", 1))
        yield Past(folder / "data", looser)


class Page(HTMLParser):
    """What a browser makes of a page: its text, and the tags that are there."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_book_that_decided_changes_nothing(past: Past) -> None:
    said = typed("policy", "backtest", SHIPPED, "--data", past.folder)
    assert said.code == 0
    assert "No verdict changes" in said.out
    assert "(100.0%); asked again, the book of then gave the same verdict in all" in said.out


def test_a_looser_book_says_what_goes_out_and_exits_by_it(past: Past) -> None:
    said = typed("policy", "backtest", past.looser, "--data", past.folder)
    assert said.code == 1
    assert re.search(r"refunds\.create +review -> allow +\d", said.out)
    assert re.search(r"goes out without a person +[\d,.]+ USD +95%: [\d,.]+ USD to", said.out)
    found = typed("policy", "backtest", past.looser, "--data", past.folder, "--json").json
    assert found["replayed"] == found["decisions"] == found["compared"] == found["reproduced"]
    assert found["policy"]["version"].startswith("2027")
    money = next(each for each in found["figures"] if each["unit"] == "USD")
    assert 0 < money["interval"][0] < money["change"] < money["interval"][1]
    changed = sum(
        each["decisions"] for each in found["verdicts"]["refunds.create"] if (each["then"], each["now"])
        == ("review", "allow")
    )  # fmt: skip
    assert found["changed"] == changed == len(found["largest"])


def test_a_window_takes_what_lies_in_it(past: Past) -> None:
    words = ("policy", "backtest", past.looser, "--data", past.folder)
    whole = typed(*words, "--json").json
    assert typed(*words, "--since", "2026-11-02", "--until", "2026-11-03", "--json").json == whole
    assert typed(*words, "--since", "2026-11-03", "--json").json["decisions"] == 0
    assert typed(*words, "--until", "2026-11-02T09:00:00+00:00", "--json").json["decisions"] == 0
    assert "0 decisions" in typed(*words, "--since", "2026-11-03").out


def test_what_could_not_be_judged_is_the_headline_and_no_pass(past: Past, tmp_path: Path) -> None:
    """A rule that asks what nobody looked up then: its decisions are the ones it was written for."""
    curious, out = tmp_path / "returns.yaml", tmp_path / "trial.html"
    rule = "- {id: VIP-1, tools: [refunds.create], decide: review by finance, when: customer.tier == vip,\n"
    curious.write_text(shipped().replace("rules:\n", f"rules:\n{rule}   reason: New., cite: New 1}}\n", 1))
    words = ("policy", "backtest", curious, "--data", past.folder)
    said, found = typed(*words, "--html", out), typed(*words, "--json").json
    assert (found["changed"], said.code) == (0, 1)
    assert {each["what"] for each in found["left_out"]} == {"customer.tier"}
    many = found["unjudged"]
    assert many == found["decisions"] - found["replayed"] > 0
    for text in (said.out, Page(out).text):
        assert f"{many} decisions could not be judged" in text
        assert f"No verdict changes in the {found['replayed']:,} that were judged" in text
        assert "3.7" not in text


@pytest.mark.parametrize("since", ["yesterday", "0d", "2026-13-01", "30"])
def test_a_day_that_is_none_is_told(past: Past, since: str) -> None:
    from click.exceptions import UsageError

    with pytest.raises(UsageError, match="is no day"):
        typed("policy", "backtest", SHIPPED, "--data", past.folder, "--since", since)


def test_without_data_it_is_told(past: Past, tmp_path: Path) -> None:
    said = typed("policy", "backtest", SHIPPED, "--data", tmp_path)
    assert said.code == 2
    assert "There is no data" in said.err


def test_the_ledger_has_the_book_that_decided(past: Past, tmp_path: Path) -> None:
    """Where another book is installed by now, the text of then is found in the ledger by its digest."""
    installed = tmp_path / "policies"
    installed.mkdir()
    for book in SHIPPED.parent.glob("*.yaml"):
        (installed / book.name).write_bytes(book.read_bytes())
    (installed / SHIPPED.name).write_text(shipped().replace(*LOOSER))
    env = {"COUNTERSIGN_POLICIES": str(installed)}
    words = ("policy", "backtest", past.looser, "--data", past.folder, "--json")
    found = typed(*words, env=env).json
    assert found["compared"] > 0
    assert found["left_out"] == []
    assert typed(*words, "--old", SHIPPED, env=env).json["changed"] == found["changed"] > 0


def test_a_report_is_one_page_that_loads_nothing_and_runs_nothing(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    said = typed("policy", "report", SHIPPED, past.looser, "--data", past.folder, "--out", out)
    assert said.code == 0
    page = Page(out)
    assert "Tried on" in said.out
    assert not page.open
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not re.search(r"https?://|@import|url\(", out.read_text().replace("http://www.w3.org", ""))
    assert page.tags.count("svg") >= 3
    assert HOSTILE in page.text
    assert "The new version is looser" in page.text
    assert "rule RF-01" in page.text
    assert "limit auto_refund" in page.text
    assert "Bayesian bootstrap (Rubin 1981)" in page.text
    found = typed("policy", "backtest", past.looser, "--data", past.folder, "--json").json
    assert all(each["case_id"] in page.text for each in found["largest"])
    assert found["policy"]["digest"] in page.text


def test_a_report_tries_on_the_folder_of_the_settings(past: Past, tmp_path: Path) -> None:
    out, env = tmp_path / "report.html", {"COUNTERSIGN_DATA": str(past.folder)}
    assert (
        f"recorded decisions of {past.folder}"
        in typed("policy", "report", SHIPPED, past.looser, "--out", out, env=env).out
    )
    text = Page(out).text
    assert "What it would have decided" in text
    assert "No trial" not in text


def test_a_page_leads_with_the_money_that_no_person_sees_any_more(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    typed("policy", "report", SHIPPED, past.looser, "--data", past.folder, "--out", out)
    found = typed("policy", "backtest", past.looser, "--data", past.folder, "--json").json
    usd = {each["name"]: each["change"] / 100 for each in found["figures"] if each["unit"] == "USD"}
    head = Page(out).text.partition("What changes, in words")[0]
    assert f"{usd['goes out without a person']:,.2f} USDwould newly go out without a person" in head
    assert f"{usd['of it, refused by people']:,.2f} USDof which people had refused" in head


def test_few_changed_cases_are_said_to_be_few(past: Past) -> None:
    found = typed("policy", "backtest", past.looser, "--data", past.folder, "--json").json
    said = " ".join(typed("policy", "backtest", past.looser, "--data", past.folder).out.split())
    assert 0 < found["changed_cases"] < 10
    assert "Where fewer than ten cases change they are too narrow" in said
    same = typed("policy", "backtest", SHIPPED, "--data", past.folder).out
    assert "fewer than ten" not in same


def test_a_report_without_records_or_proofs_says_so(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the extra is not installed: the import of z3 finds nothing."""
    for name in [name for name in sys.modules if name == "z3" or name.startswith(("z3.", "policies.proofs"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "z3", None)
    out = tmp_path / "report.html"
    env = {"COUNTERSIGN_DATA": str(tmp_path / "none")}
    said = typed("policy", "report", SHIPPED, past.looser, "--out", out, env=env)
    assert said.code == 0
    page = Page(out)
    for text in (said.out, page.text):
        assert "No trial was made on recorded decisions" in text
    assert "It is not proved what changes: Proofs need z3" in page.text
    assert "limit auto_refund" in page.text
    assert "What it would have decided" not in page.text


def test_a_trial_can_be_a_page_too(past: Past, tmp_path: Path) -> None:
    out = tmp_path / "trial.html"
    assert typed("policy", "backtest", past.looser, "--data", past.folder, "--html", out).code == 1
    assert "What it would have decided" in Page(out).text
    refused = typed("policy", "backtest", past.looser, "--data", past.folder, "--html", tmp_path / "no" / "where.html")
    assert refused.code == 2
    assert "can't be written" in refused.err


async def test_what_people_said_is_told_to_the_end_of_their_edits() -> None:
    """Approved, refused, made smaller and paid, made smaller and refused, nobody came: each as the ledger tells it."""
    with quick_folder() as folder:
        async with living(Settings(data=folder)) as live:
            asked = [await live.waiting(await live.dear()) for _ in range(5)]
            reviews = [detail["approval"]["id"] for _, detail in asked]

            async def vote(person: str, review: str, choice: str, **more: object) -> str:
                async with live.as_(person) as http:
                    seen = (await http.get(f"/approvals/{review}")).json()["seen"]
                    body = {"choice": choice, "seen": seen, "dwell_s": 90, "reason_code": "other", **more}
                    answer = await http.post(f"/approvals/{review}/decide", json=body)
                    assert answer.status_code == 200, answer.text
                    return str(answer.json()["approval"])

            def less(place: int, cents: int) -> dict[str, object]:
                args = asked[place][1]["args"]
                minor = args["amount"]["amount_minor"] - cents
                return {"args": {**args, "amount": {**args["amount"], "amount_minor": minor}}}

            await vote("rita", reviews[0], "approve")
            await vote("rita", reviews[1], "reject")
            await vote("sam", await vote("rita", reviews[2], "edit", **less(2, 5_000)), "approve")
            following = await vote("rita", reviews[3], "edit", **less(3, 1))
            assert following != reviews[3]
            await vote("sam", following, "reject")
            await live.house.settled("default", {case["case"]["id"] for case, _ in asked})
            live.house.database.clock.advance(timedelta(days=1))  # type: ignore[attr-defined]
            await live.house.sweeper.sweep()
            read = await live.house.database.read("default", lambda ledger: list(decisions(ledger.session, "returns")))
    by_review = {each.case_id: each for each in read if each.asked and each.tool == "refunds.create"}
    told = [by_review[case["case"]["id"]].asked[0] for case, _ in asked]
    assert [each.status for each in told] == ["approved", "rejected", "edited", "edited", "expired"]
    assert [each.ended for each in told] == ["approved", "rejected", "approved", "rejected", "expired"]
    whole = by_review[asked[0][0]["case"]["id"]].args["amount"]["amount_minor"]
    amounts = [whole - each.edited_args["amount"]["amount_minor"] if each.edited_args else None for each in told]
    assert amounts == [None, None, 5_000, 1, None]
    assert [[vote.dwell_s for vote in each.votes] for each in told] == [[90], [90], [90], [90], []]
    assert len({each.action_id for each in read}) == len(read)


def test_what_was_decided_counts_for_coverage(past: Past, tmp_path: Path) -> None:
    bare = tmp_path / "returns.yaml"
    bare.write_text(shipped())
    nothing = typed("policy", "coverage", bare, "--json")
    with_records = typed("policy", "coverage", bare, "--data", past.folder, "--json")
    assert nothing.code == with_records.code == 1
    assert nothing.json["tried"]["rule"]["met"] == 0
    assert with_records.json["tried"]["rule"]["met"] > 8
    untried = {hole["clause"] for hole in with_records.json["untried"] if hole["kind"] == "rule"}
    assert "RF-01" not in untried
    assert "RF-12" in untried
