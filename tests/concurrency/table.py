"""The concurrency table of the design, row by row, against our own server. Each trial says what was wrong, if anything.

What two rival servers did is from our trials with the stock SDK client: langgraph dev 0.16.7 and Aegra 0.10.4.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.concurrency.bench import FIRST, JSON, OPENER, SECOND, WATCHER, Bench
from tests.support.till import pay

APPROVE = {"decisions": [{"type": "approve"}]}

Trial = Callable[[Bench], Awaitable[str]]
"""Empty where all was right."""


@dataclass(frozen=True)
class Row:
    name: str
    langgraph: str
    aegra: str
    ours: str
    trial: Trial
    of_all: bool = False
    """Run as often as was asked for; the others a few times."""


@dataclass
class Result:
    row: Row
    trials: int
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0


async def one_payment(bench: Bench, keyed: bool) -> str:
    thread = await bench.thread([pay("100.00", await bench.account())])
    for who in (FIRST, SECOND):
        asked = await bench.questions(thread, who)
    answer = {asked[0]: APPROVE["decisions"][0]} if keyed else APPROVE
    heard, refused = await bench.at_once(thread, answer)
    case = (await bench.values(thread))["case"]
    if len(heard) != 1 or len(refused) != 1:
        return f"{len(heard)} heard, {len(refused)} refused: {refused}"
    if (paid := await bench.paid(case["id"])) != 1:
        return f"paid {paid} times: {case}, {heard}"
    return _refusal(refused[0], 409, _winner(refused[0])) or (
        "" if case["status"] == "closed" else f"the case is {case}"
    )


async def unkeyed(bench: Bench) -> str:
    return await one_payment(bench, keyed=False)


async def keyed(bench: Bench) -> str:
    return await one_payment(bench, keyed=True)


async def one_payment_of_a_plain_graph(bench: Bench) -> str:
    name = str(uuid4())
    thread = await bench.thread(graph="one_gate", input={"name": name})
    for who in (FIRST, SECOND):
        await bench.questions(thread, who)
    heard, refused = await bench.at_once(thread, "yes", "one_gate")
    paid = _done().count(f"paid {name}")
    if paid != 1 or len(heard) != 1:
        return f"paid {paid} times, {len(heard)} heard, {refused}"
    return _refusal(refused[0], 409, "answered by")


async def gate_two_is_untouched(bench: Bench) -> str:
    """Both approve gate 1 at once; then one who looked at gate 1 only, once gate 2 is open."""
    thread = await bench.thread([pay("100.00", await bench.account())], [pay("110.00", await bench.account())])
    for who in (FIRST, SECOND):
        first = await bench.questions(thread, who)
    heard, refused = await bench.at_once(thread, APPROVE)
    if len(heard) != 1 or len(refused) != 1:
        return f"{len(heard)} heard at gate 1: {refused}"
    (second,) = await bench.questions(thread, WATCHER)
    case = (await bench.values(thread))["case"]["id"]
    loser = SECOND if _winner(refused[0]) == f"by {FIRST}" else FIRST  # the winner was shown gate 2 by now
    again = [await bench.resume(loser, thread, each) for each in (APPROVE, {first[0]: APPROVE["decisions"][0]})]
    if [each.status for each in again] != [409, 409]:
        return f"late approvals of gate 1 were told {again}"
    votes = await bench.house.database.read("default", lambda ledger: ledger.reviews.votes(second))
    paid = await bench.paid(case)
    return "" if paid == 1 and not votes and first[0] != second else f"paid {paid}, {len(votes)} votes at gate 2"


async def gate_two_of_a_plain_graph(bench: Bench) -> str:
    name = str(uuid4())
    thread = await bench.thread(graph="two_gates", input={"name": name})
    for who in (FIRST, SECOND):
        await bench.questions(thread, who)
    heard, refused = await bench.at_once(thread, "yes", "two_gates")
    if len(heard) != 1 or f"paid {name}" in _done():
        return f"{len(heard)} heard at gate 1, done: {name in str(_done())}"
    still = await bench.questions(thread, WATCHER)
    return _refusal(refused[0], 409, "answered by") or ("" if len(still) == 1 else "gate 2 is not open")


async def unknown_ids(bench: Bench) -> str:
    thread = await bench.thread([pay("100.00", await bench.account())], [pay("110.00", await bench.account())])
    stale = await bench.questions(thread, FIRST)
    await bench.resume(FIRST, thread, APPROVE)
    now = await bench.questions(thread, FIRST)
    told = [
        await bench.resume(FIRST, thread, {name: {"type": "approve"}})
        for name in ("rev_" + "0" * 26, "0123456789abcdef" * 2, stale[0])
    ]
    if [each.status for each in told] != [422, 422, 409] or not all(each.body.get("hint") for each in told):
        return f"told {told}"
    return "" if await bench.questions(thread, FIRST) == now else "the open question changed"


async def late_resume(bench: Bench) -> str:
    thread = await bench.thread([pay("100.00", await bench.account())])
    await bench.questions(thread, FIRST)
    await bench.questions(thread, SECOND)
    await bench.resume(FIRST, thread, APPROVE)
    late = await bench.resume(SECOND, thread, APPROVE)
    return _refusal({**late.body, "status": late.status}, 409, f"approved by {FIRST}")


async def new_input(bench: Bench) -> str:
    thread = await bench.thread([pay("100.00", await bench.account())], [pay("110.00", await bench.account())])
    asked = await bench.questions(thread, FIRST)
    said: Any = {"messages": [{"type": "human", "content": "There is more to say.", "id": f"m-{uuid4()}"}]}
    client = bench.clients[OPENER]
    parts = [each async for each in client.runs.stream(thread, "till", input=said, stream_mode=["values", "custom"])]
    told = [part.data["superseded"] for part in parts if part.event == "custom" and "superseded" in part.data]
    if told != [asked]:
        return f"the client was told {told}"
    late = await bench.resume(FIRST, thread, {asked[0]: {"type": "approve"}})
    if wrong := _refusal({**late.body, "status": late.status}, 409, "the customer wrote again"):
        return wrong
    entries = await bench.house.database.read("default", lambda ledger: _audited(ledger, asked[0]))
    return "" if "review.superseded" in entries else f"the audit has {entries}"


async def siblings_once(bench: Bench) -> str:
    """Two calls of a turn, one of which waits: on resume the other is not made again, and the agent does not think
    again."""
    thread = await bench.thread([pay("10.00", await bench.account()), pay("100.00", await bench.account())])
    await bench.questions(thread, FIRST)
    case = (await bench.values(thread))["case"]["id"]
    before = await bench.house.database.read("default", lambda ledger: _thought(ledger, case))
    if (paid := await bench.paid(case)) != 1:
        return f"the sibling ran {paid} times before the resume"
    await bench.resume(FIRST, thread, APPROVE)
    after = await bench.house.database.read("default", lambda ledger: _thought(ledger, case))
    paid = await bench.paid(case)
    twice = [each for each in after if after.count(each) > 1]
    return "" if paid == 2 and not twice and after[: len(before)] == before else f"paid {paid} times, twice: {twice}"


def _winner(body: JSON) -> str:
    return f"by {FIRST}" if f"by {FIRST}" in str(body.get("detail")) else f"by {SECOND}"


def _refusal(body: JSON, status: int, says: str) -> str:
    right = body.get("status") == status and says in str(body.get("detail"))
    return "" if right else f"told {body.get('status')}: {body.get('detail')}"


def _audited(ledger: object, review: str) -> list[str]:
    return [each.type for each in ledger.audit.entries(limit=1_000_000) if review in each.body]  # type: ignore[attr-defined]


def _thought(ledger: object, case: str) -> list[str]:
    """The agent's turns, and the gate's rulings of each call."""
    rows = ledger.trace.of_case(case, limit=10_000)  # type: ignore[attr-defined]
    return [f"{row.type} {row.body.get('turn', row.body.get('step'))}" for row in rows if row.type in _THINKING]


_THINKING = ("model.called", "action.judged")


def _done() -> list[str]:
    from tests.support.plain_graphs import DONE  # by the name under which the house loaded it

    return DONE


ROWS = (
    Row(
        "two reviewers approve one payment at once (unkeyed)",
        "0 of 4 trials doubled",
        "8 of 8 trials paid twice",
        "one payment; 409 names the winner",
        unkeyed,
        of_all=True,
    ),
    Row(
        "the same, keyed by interrupt id",
        "0 of 4 doubled",
        "7 of 8 paid twice",
        "one payment; 409 names the winner",
        keyed,
        of_all=True,
    ),
    Row(
        "the same in a plain graph",
        "",
        "",
        "one payment; 409 names the winner",
        one_payment_of_a_plain_graph,
        of_all=True,
    ),
    Row(
        "two approvals of gate 1 with two gates",
        "the second passes gate 2",
        "the second passes gate 2",
        "gate 2 is untouched",
        gate_two_is_untouched,
    ),
    Row("the same in a plain graph", "", "", "gate 2 is untouched", gate_two_of_a_plain_graph),
    Row("unknown or stale interrupt id", "200, ignored", "200, ignored", "422 or 409, says why", unknown_ids),
    Row("late resume on a finished thread", "200 success", "400", "409 names the winner", late_resume),
    Row(
        "new input while an approval is pending",
        "approval silently dropped",
        "silently dropped",
        "superseded, audited, told",
        new_input,
    ),
    Row("code before interrupt() and siblings on resume", "run twice", "run twice", "run once", siblings_once),
)


async def play(bench: Bench, row: Row, trials: int, at_once: int) -> Result:
    """So many trials of a row, some at the same time."""
    result, began = Result(row, trials), time.perf_counter()
    left = iter(range(trials))

    async def worker(numbers: Iterator[int]) -> None:
        for _ in numbers:
            if wrong := await row.trial(bench):
                result.wrong.append(wrong)

    await asyncio.gather(*(worker(left) for _ in range(at_once)))
    result.seconds = time.perf_counter() - began
    return result


def printed(results: Sequence[Result]) -> str:
    """The table, a line a row."""
    lines = [f"{'test':52} {'langgraph dev':26} {'Aegra':26} {'ours':34} right"]
    for each in results:
        right = f"{each.trials - len(each.wrong)} of {each.trials} in {each.seconds:.0f} s"
        lines.append(f"{each.row.name:52} {each.row.langgraph:26} {each.row.aegra:26} {each.row.ours:34} {right}")
        lines += [f"    wrong: {wrong[:300]}" for wrong in each.wrong[:3]]
    return "\n".join(lines)
