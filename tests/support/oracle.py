"""What may have happened: the guarantee told a second time, from raw rows and the provider's own log.

It recomputes ids, digests, sums, verdicts and seats by itself. Of the product it knows how a policy file
is read, and what a condition means to the naive interpreter; of the world it knows what it is told: which
policy, which people, which wishes and which balances held from when.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from core.money import Money
from core.verdicts import ReviewerSet
from tests.support.reckoning import (
    Ticking,
    Timeline,
    action_id,
    digest,
    dues,
    environment,
    judged,
    read_book,
    seated,
    seats,
    value_of,
)
from tests.support.rows import Row, Rows

MONEY = "gift.pay"
"""The tool of the till that moves money."""
_DAY = timedelta(days=1)
_NOTHING_BEFORE = "0" * 64


class Broken(AssertionError):
    """Something happened that the guarantee rules out."""


class Oracle:
    def __init__(self, folder: Path, clock: Ticking) -> None:
        self.rows = Rows()
        self.inspected: Counter[str] = Counter()
        """What was looked at, so that nobody takes an empty house for a safe one."""
        self.each_in_its_time = False
        """Whether a vote has to come in the time of the very group whose seat it takes."""
        self._folder = folder
        self._clock = clock
        self._policy: Timeline[str] = Timeline()
        self._people: Timeline[Mapping[str, frozenset[str]]] = Timeline()
        self._wishes: dict[str, Timeline[str]] = {}
        self._balances: dict[str, list[tuple[datetime, datetime, int]]] = {}
        self._done: set[tuple[str, Any]] = set()
        self._links = 0
        self._last = _NOTHING_BEFORE

    # what it is told, right before it holds

    def policy(self, text: str) -> None:
        self._policy.tell(self._clock.now(), text)

    def people(self, roles: Mapping[str, frozenset[str]]) -> None:
        """Who is there, with which roles; whoever is missing has left."""
        self._people.tell(self._clock.now(), dict(roles))

    def wish(self, case: str, desired: str, since: datetime) -> None:
        if case not in self._wishes:
            self._wishes[case] = Timeline()
            self._wishes[case].tell(datetime.min.replace(tzinfo=UTC), "run")
        self._wishes[case].tell(since, desired)

    def balance(self, account: str, minor: int, since: datetime, surely: datetime) -> None:
        """Somebody set it, at some moment between the two."""
        self._balances.setdefault(account, []).append((since, surely, minor))

    # what it says

    def check(self) -> None:
        """Looks at everything that came since it looked last. Raises `Broken` with all that is wrong."""
        self.rows.read(self._folder)
        wrong = [*self._wrong()]
        if wrong:
            raise Broken("\n".join(wrong))

    def check_again(self) -> None:
        """Everything from the beginning, as it lies there now."""
        self.rows, self._done, self._links, self._last = Rows(), set(), 0, _NOTHING_BEFORE
        self.check()

    def _wrong(self) -> Iterator[str]:
        yield from self.rows.changed
        for action in self._new("action"):
            if action_id(action) != action["id"]:
                yield f"action {action['id'][:8]} is not what its id says"
        for vote in self._new("vote"):
            yield from self._vote(vote)
        for run in self._new("run"):
            what = f"{run['tool']} {run['action_id'][:8]} of {run['case_id'][-6:]}"
            yield from (f"{what} ran {why}" for why in self._run(run))
        for key, effect in self.rows.effects.items():
            if ("effect", key) not in self._done:
                self._done.add(("effect", key))
                yield from self._effect(effect)
        yield from self._chain()

    def _new(self, table: str) -> Iterator[Row]:
        for key, row in self.rows[table].items():
            if (table, key) not in self._done:
                self._done.add((table, key))
                self.inspected[table] += 1
                yield row

    # what the provider did

    def _effect(self, effect: Row) -> Iterator[str]:
        """One run, begun before it, under whose id exactly these arguments were proposed."""
        self.inspected["effect"] += 1
        what = f"the provider's {effect['operation']} {effect['key'][-16:]}"
        runs = self.rows.of("run", key=effect["key"])
        if len(runs) != 1:
            yield f"{what} has {len(runs)} runs"
            return
        action = self.rows["action"].get(runs[0]["action_id"])
        if action is None:
            return  # told of its run
        if (effect["operation"], effect["case_id"]) != (action["tool"], action["case_id"]):
            yield f"{what} is not what was proposed"
        if effect["args_digest"] != digest(action["args"]) or not effect["result"].items() <= action["args"].items():
            yield f"{what} had other arguments than those proposed"
        if runs[0]["started_at"] > effect["at"]:
            yield f"{what} happened before it was reserved"
        if [each["key"] for each in self._effects_of(action)] != [effect["key"]]:
            yield f"{what} happened more than once"

    def _effects_of(self, action: Row) -> list[Row]:
        named = f"{action['case_id']}:{action['step_key']}:{action['id'][:16]}"
        return [effect for key, effect in self.rows.effects.items() if key.startswith(named)]

    # what ran

    def _run(self, run: Row) -> Iterator[str]:
        action = self.rows["action"].get(run["action_id"])
        if action is None:
            yield "and nobody proposed it"
            return
        if sum(self._same_step(each, action) for each in self.rows.of("run", case_id=run["case_id"])) > 1:
            yield f"and so did another action of step {action['step_key']}"
        if run["args_digest"] != digest(action["args"]) or action_id(action) != run["action_id"]:
            yield "with other arguments than those of its action"
        if run["key"] != f"{action['case_id']}:{action['step_key']}:{action['id'][:16]}":
            yield "under another key than its action's"
        case, at = self.rows["case"][action["case_id"]], run["started_at"]
        same = (run["case_id"], run["tool"], run["proposer"], run["subject"])
        if same != (action["case_id"], action["tool"], action["proposer"], case["subject"]):
            yield "in the name of somebody else"
        if self._wishes.get(case["id"]) and self._wishes[case["id"]].at(at) != "run":
            yield "although people had stopped the case"
        begun = [row for row in self._audit("effect.started") if json.loads(row["body"])["action"] == action["id"]]
        if len(begun) != 1:
            yield f"and the audit chain has {len(begun)} entries of it"
        made = [row for row in self.rows.of("decision", action_id=action["id"], stage="execute") if row["at"] == at]
        if len(made) != 1:
            yield "and policy was not asked when it began"
            return
        yield from self._judged(action, case, made[0]["body"], at)

    def _same_step(self, run: Row, action: Row) -> bool:
        other = self.rows["action"].get(run["action_id"])
        return other is not None and other["step_key"] == action["step_key"]

    def _judged(self, action: Row, case: Row, decision: Row, at: datetime) -> Iterator[str]:
        """What policy said, on what was true then; and the people that it asked for."""
        text = self._policy.at(at)
        if decision["book"]["digest"] != hashlib.sha256(text.encode()).hexdigest():
            yield "under a policy that was not in force"
        paid = self._paid(action, case, at)
        yield from self._facts(action, decision, paid, at)
        verdict, asked, rules = judged(read_book(text), action, environment(action, decision, paid))
        if verdict == "allow" and (asked := self._refused_before(action, at)):
            verdict = "review"
        if decision["verdict"] != verdict:
            yield f"on the verdict '{decision['verdict']}', and policy says '{verdict}'"
        if verdict == "deny":
            yield "although policy forbids it"
        self.inspected[f"run: {verdict}"] += 1
        unseen = list(self._countersigned(action, case, decision, asked, rules, at)) if verdict == "review" else []
        yield from unseen
        yield from self._refused(action, at)
        if action["tool"] == MONEY:
            yield from self._capped(text, paid, action["args"]["amount"], verdict == "review" and not unseen)

    def _facts(self, action: Row, decision: Row, paid: int, at: datetime) -> Iterator[str]:
        for path, fact in decision["facts"].items():
            told = value_of(fact["value"])
            since = datetime.fromisoformat(fact["at"])
            account = action["args"].get("account_id", "")
            if path == "account.exists":
                true: list[Any] = [account in self._balances]
            elif path == "account.balance":
                true = self._balance(account, since, at)
            elif path == "customer.paid":
                true = [Money(amount_minor=paid, currency=action["args"]["amount"]["currency"])]
            else:
                true = [value_of(action["args"].get(path.removeprefix("args.")))]
            if told not in true:
                yield f"on {path} = {told}, and it was {' or '.join(map(str, true))}"

    def _balance(self, account: str, start: datetime, end: datetime) -> list[Money]:
        """What was in it at any moment between the two, by who set it and by the provider's own log."""
        found: list[int] = []
        for which in (0, 1):
            moves = [(move[which], move[2], True) for move in self._balances.get(account, [])]
            for effect in self.rows.effects.values():
                if effect["operation"] == MONEY and effect["result"]["account_id"] == account:
                    moves.append((effect["at"], -effect["result"]["amount"]["amount_minor"], False))
            line: Timeline[int] = Timeline()
            held = 0
            for moment, minor, whole in sorted(moves):
                held = minor if whole else held + minor
                line.tell(moment, held)
            found += line.between(start, end)
        return [Money(amount_minor=minor, currency="USD") for minor in found]

    def _paid(self, action: Row, case: Row, at: datetime) -> int:
        """What the customer got within a day, or may have got: only what surely failed is left out."""
        total = 0
        for run in self.rows.of("run", tool=MONEY, subject=case["subject"]):
            failed = run["status"] == "failed" and run["finished_at"] <= at
            other = self.rows["action"].get(run["action_id"])
            if other is None or other["id"] == action["id"] or failed or not at - _DAY < run["started_at"] < at:
                continue
            amount, own = other["args"]["amount"], action["args"].get("amount", {})
            total += amount["amount_minor"] if amount["currency"] == own.get("currency") else 0
        return total

    def _capped(self, text: str, paid: int, amount: Row, countersigned: bool) -> Iterator[str]:
        """The day's cap, without any rule: a sum and a number."""
        cap = re.search(r"\bday: (\d+) USD", text)
        rule = re.search(r"id: T-5\n.*\n  decide: (\w+)", text)
        if cap and rule and amount["currency"] == "USD" and paid + amount["amount_minor"] > int(cap[1]) * 100:
            self.inspected["beyond the day's cap"] += 1
            if rule[1] == "deny" or not countersigned:
                yield f"beyond the cap of {cap[1]} a day: {paid + amount['amount_minor']} cents"

    # what people said

    def _vote(self, vote: Row) -> Iterator[str]:
        """It is on what was shown, and of somebody who was there, with no more roles than they had."""
        review = self.rows["review"].get(vote["review_id"])
        action = self.rows["action"].get(vote["action_id"])
        if review is None or action is None or review["action_id"] != action["id"]:
            yield f"{vote['person']}'s vote is on nothing that was asked"
            return
        facts = {path: fact.get("value") for path, fact in review["facts"].items()}
        shown = {"action": action["id"], "args": action["args"], "facts": facts, "book": review["book"]}
        if vote["seen"] != digest(shown):
            yield f"{vote['person']} voted on something else than what is stored"
        if not set(vote["roles"]) <= self._people.at(vote["at"]).get(vote["person"], frozenset()):
            yield f"{vote['person']} voted with roles that they did not have"

    def _countersigned(
        self, action: Row, case: Row, decision: Row, asked: Sequence[ReviewerSet], rules: set[str], at: datetime
    ) -> Iterator[str]:
        reviews = [row for row in self.rows.of("review", action_id=action["id"]) if row["opened_at"] < at]
        approved = [row for row in reviews if row["status"] == "approved" and row["decided_at"] < at]
        if len(approved) != 1:
            yield f"with {len(approved)} approvals of it"
            return
        review = approved[0]
        votes = [vote for vote in self.rows.of("vote", review_id=review["id"]) if vote["at"] < at]
        there = self._people.at(at)
        own = {action["proposer"], case["opened_by"]}
        voters = {
            vote["person"]: (there.get(vote["person"], frozenset()) & set(vote["roles"]), vote["at"])
            for vote in votes
            if vote["choice"] == "approve" and vote["action_id"] == action["id"] and vote["person"] not in own
        }
        if any(vote["choice"] != "approve" for vote in votes):
            yield "against somebody's will"
        if review["due_at"] not in dues(review).values():
            yield "after a time that no group was given"
        if not seated(seats(asked, review, each_in_its_time=self.each_in_its_time), voters):
            wanted = ", ".join(f"{each.people} {each.role}" for each in asked)
            given = ", ".join(f"{name} ({' '.join(sorted(has))}) at {since}" for name, (has, since) in voters.items())
            yield f"without the approval of {wanted}: there is {given or 'none'}"
        for path, fact in review["facts"].items():
            now = decision["facts"].get(path, {"value": None})
            if fact.get("witnessed") and now["value"] != fact["value"]:
                yield f"although {path} moved since it was approved"
        shown = [row for row in self.rows.of("decision", action_id=action["id"]) if row["at"] <= review["opened_at"]]
        seen = {match["rule"] for match in shown[-1]["body"]["matches"]}
        if rules - seen:
            yield f"for reasons that nobody saw: {', '.join(sorted(rules - seen))}"

    def _refused_before(self, action: Row, at: datetime) -> Sequence[ReviewerSet]:
        """Whoever refused the like of it in this case is asked of it again."""
        for review in reversed(self.rows.of("review", case_id=action["case_id"])):
            if review["status"] in ("rejected", "expired") and review["decided_at"] < at:
                earlier = self.rows["action"][review["action_id"]]
                if earlier["tool"] == action["tool"]:
                    return [ReviewerSet.model_validate(each) for each in review["reviewers"]]
        return ()

    def _refused(self, action: Row, at: datetime) -> Iterator[str]:
        for review in self.rows.of("review", case_id=action["case_id"]):
            earlier = self.rows["action"][review["action_id"]]
            if review["decided_at"] is None or review["decided_at"] >= at:
                continue
            if earlier["id"] == action["id"] and review["status"] in ("rejected", "expired", "edited"):
                yield f"although it was {review['status']}"
            elif (earlier["tool"], earlier["args"]) == (action["tool"], action["args"]) and earlier is not action:
                agents = action["proposer"].startswith("agent:")
                if (
                    agents
                    and review["status"] in ("rejected", "expired")
                    and review["decided_at"] < action["created_at"]
                ):
                    yield f"although the very same was {review['status']}"

    # the chain

    def _audit(self, entry: str) -> list[Row]:
        return self.rows.of("audit", type=entry)

    def _chain(self) -> Iterator[str]:
        for seq in range(self._links + 1, len(self.rows["audit"]) + 1):
            row = self.rows["audit"].get(seq)
            if row is None or row["prev"] != self._last:
                yield f"the audit chain is broken at {seq}"
                return
            hashed = {key: row[key] for key in ("workspace", "seq", "at", "type", "case_id", "body", "prev")}
            if digest(hashed) != row["hash"]:
                yield f"entry {seq} of the audit chain was changed"
            self._links, self._last = seq, row["hash"]
        head = self.rows["audit_head"].get("default")
        if (head["seq"], head["hash"]) != (self._links, self._last) if head else self._links:
            yield "the audit chain does not end as its head says"
