"""The gate: every proposal passes here, is judged by policy on facts that no model wrote, and is recorded.

The same decision is taken again by the executor when an action is about to run (`decide`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from core.actions import Effect, ProposedAction, ToolSpec
from core.ports import FactSource, Judge, Tools
from core.states import ReviewStatus
from core.verdicts import Deny, Fact, Review, ReviewerSet, Verdict
from engine import fence
from engine.counts import counted, remembered
from engine.journal import Journal, Note
from engine.labels import ARGS, Labels
from engine.model_use import ModelUse
from engine.provenance import Told
from engine.stream import Stream
from engine.superseding import WROTE
from ledger.database import Database, Ledger
from ledger.tables import ActionRow, CaseRow


class Ruling(BaseModel):
    """What the gate says of one proposal."""

    action_id: str
    verdict: Verdict
    effect: Effect


class Gate:
    def __init__(
        self,
        database: Database,
        tools: Tools,
        judge: Judge,
        facts: Mapping[str, FactSource],
        journal: Journal,
        stream: Stream,
    ) -> None:
        self._database = database
        self._tools = tools
        self._judge = judge
        self._facts = facts
        self._journal = journal
        self._stream = stream
        self.labels = Labels(judge, tools, database.clock)
        self.models = ModelUse(judge, database.clock)

    @property
    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        """All tools of the house."""
        return self._tools.specs()

    async def gather(self, action: ProposedAction, payload: Mapping[str, Any]) -> dict[str, Fact]:
        """Facts from the systems of record, and of all that the customer wrote. Raises `ProviderUnavailable`."""
        source = self._facts.get(action.kind)
        wants = self._judge.wants(action.kind, action.tool, self._database.clock.now())
        wanted = frozenset(path for path in wants if not path.startswith(ARGS))
        if source is None or not wanted:
            return {}
        later = await self._database.read(action.workspace, lambda ledger: ledger.cases.said(action.case_id))
        wrote = [str(each.payload.get("text", "")) for each in later]
        return await source.gather(action, {**payload, WROTE: wrote} if wrote else payload, wanted)

    def decide(
        self,
        ledger: Ledger,
        action: ProposedAction,
        subject: str,
        facts: Mapping[str, Fact],
        labels: Mapping[str, Fact] | None = None,
    ) -> Verdict:
        """The verdict on these facts and the counts of our own records, in flight included.

        Without `labels` its arguments are labelled as they were when it was proposed.
        """
        counts = self._judge.counts(action.kind, action.tool, ledger.now)
        told = counted(ledger, counts, action, subject, facts) if counts else {}
        if labels is None:
            labels = self.labels.stored(ledger, action)
        verdict = self._judge.judge(action, {**facts, **labels, **told}, ledger.now)
        if isinstance(verdict, Deny) or not (refused := self._refused_money(ledger, action)):
            return verdict
        own: tuple[ReviewerSet, ...] = ()
        reason = "People refused the like of it in this case."
        if isinstance(verdict, Review):
            own, reason = verdict.reviewers, f"{verdict.reason} {reason}"
        return Review(
            reason=reason,
            matches=verdict.matches,
            book=verdict.book,
            facts=verdict.facts,
            reviewers=_each_group_once(*own, *refused),
        )

    def groups(self, kind: str, now: datetime) -> Mapping[str, ReviewerSet]:
        """The reviewer groups that policy knows."""
        return self._judge.groups(kind, now)

    def counted_by(self, action: ProposedAction, facts: Mapping[str, Fact], now: datetime) -> dict[str, str]:
        """What its run has to remember for policy's counts."""
        return remembered(self._judge.remembers(action.kind, action.tool, now), facts)

    def _refused_money(self, ledger: Ledger, action: ProposedAction) -> list[ReviewerSet]:
        """Who refused this tool, or money, in this case: the same people see every later attempt, however split."""
        spends = self._spends(action.tool, action.args)
        asked: list[ReviewerSet] = []
        for review in reversed(ledger.reviews.of_case(action.case_id)):
            if review.status in (ReviewStatus.REJECTED, ReviewStatus.RESPONDED, ReviewStatus.EXPIRED):
                earlier = ledger.effects.action(review.action_id)
                if earlier.tool == action.tool or (spends and self._spends(earlier.tool, earlier.args)):
                    asked += ledger.reviews.asked(review)
        return asked

    def _spends(self, tool: str, args: Mapping[str, Any]) -> bool:
        spec = self._tools.specs().get(tool)
        return spec is not None and spec.spends(spec.parse(args)) is not None

    async def propose(
        self,
        workspace: str,
        case_id: str,
        actions: Sequence[ProposedAction],
        payload: Mapping[str, Any],
        notes: Sequence[Note] = (),
        told: Callable[[], Told] = Told,
    ) -> list[Ruling]:
        """Judges the proposals of one turn and records them, all in one transaction.

        `told` is asked what the case holds so far, if policy wants to know where an argument comes from.
        """
        gathered = [await self.gather(action, payload) for action in actions]
        labels = [self.labels.of(action, told) for action in actions]

        def record(ledger: Ledger) -> list[Ruling]:
            case = ledger.cases.get(case_id, lock=True)
            fence.hold(case)
            self._journal.write(ledger, case_id, notes)
            earlier = ledger.effects.actions(case_id)
            return [
                self._rule(ledger, case, action, facts, labelled, earlier)
                for action, facts, labelled in zip(actions, gathered, labels, strict=True)
            ]

        # On disk before the graph's checkpoint, which names these actions by their ids.
        rulings = await self._database.write(workspace, record)
        self._stream.publish()
        return rulings

    def _rule(
        self,
        ledger: Ledger,
        case: CaseRow,
        action: ProposedAction,
        facts: Mapping[str, Fact],
        labels: Mapping[str, Fact],
        earlier: list[ActionRow],
    ) -> Ruling:
        spec = self._tools.specs()[action.tool]
        verdict = self._known_no(ledger, action, spec.effect, earlier) or self.decide(
            ledger, action, case.subject, facts, labels
        )
        if spec.effect is Effect.READ and isinstance(verdict, Review):
            verdict = Deny(
                reason=f"{verdict.reason} Nothing of a read is kept that people could be asked about.",
                **{name: getattr(verdict, name) for name in ("matches", "book", "facts")},
            )
        entry = {
            "action": action.id,
            "tool": action.tool,
            "step": action.step_key,
            "verdict": verdict.verdict,
            "reason": verdict.reason,
            "rules": [match.rule for match in verdict.matches if not match.monitor],
            "book": verdict.book.model_dump(),
        }
        if spec.effect is not Effect.READ:
            args = spec.parse(action.args)
            ledger.effects.propose(action, effect=spec.effect, described=spec.describe(args))
            ledger.effects.decided(action.id, "gate", verdict)
            ledger.audit.append("action.judged", entry, case_id=action.case_id)
        ledger.trace.add(action.case_id, "action.judged", {**entry, "args": action.args})
        return Ruling(action_id=action.id, verdict=verdict, effect=spec.effect)

    def _known_no(self, ledger: Ledger, action: ProposedAction, effect: Effect, known: list[ActionRow]) -> Deny | None:
        """What our own records refuse before policy is asked: a step used twice, a rejected action unchanged."""
        if effect is Effect.READ:
            return None
        for earlier in known:
            if earlier.id == action.id:
                continue
            if earlier.step_key == action.step_key and earlier.proposer == action.proposer:
                # A checkpoint older than the ledger (a power cut) made the agent think again: the ledger wins.
                return self._no(ledger, action, f"step {action.step_key} already proposed another action")
            if (earlier.tool, earlier.args) == (action.tool, action.args):
                for review in ledger.reviews.of_action(earlier.id):
                    if review.status in (ReviewStatus.REJECTED, ReviewStatus.EXPIRED):
                        return self._no(
                            ledger, action, "people refused this very action; change it or do something else"
                        )
        return None

    def _no(self, ledger: Ledger, action: ProposedAction, reason: str) -> Deny:
        return Deny(reason=reason, book=self._judge.book(action.kind, ledger.now))


def _each_group_once(*asked: ReviewerSet) -> tuple[ReviewerSet, ...]:
    """Of a group that is asked twice, what asks more people; of as many, what policy asks now."""
    groups: dict[str, ReviewerSet] = {}
    for each in asked:
        if each.group not in groups or each.people > groups[each.group].people:
            groups[each.group] = each
    return tuple(groups.values())
