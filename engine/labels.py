"""Labels of arguments (`args.….source`) as facts: made where an action is proposed or edited, kept with its decision.

They are made once. When the action is about to run they are read again from the decisions: its id holds its arguments,
so these can't have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.actions import ProposedAction
from core.clock import Clock
from core.ports import Judge, Tools
from core.verdicts import Fact, Source
from engine.provenance import Told, edited, sources, worst
from ledger.database import Ledger

_GATE = "gate"
ARGS = "args."
_REMEMBERED = 10_000


class Labels:
    """Nothing is labelled unless the book in force asks for it."""

    def __init__(self, judge: Judge, tools: Tools, clock: Clock) -> None:
        self._judge = judge
        self._tools = tools
        self._clock = clock
        self._recent: dict[str, Mapping[str, Source | None]] = {}
        """By action, so that most executions need not read their decisions again."""

    def wanted(self, action: ProposedAction) -> frozenset[str]:
        wants = self._judge.wants(action.kind, action.tool, self._clock.now())
        return frozenset(path for path in wants if path.startswith(ARGS))

    def of(self, action: ProposedAction, told: Callable[[], Told]) -> dict[str, Fact]:
        """Of a proposal. `told` is asked only if there is something to label."""
        if not (paths := self.wanted(action)):
            return {}
        typed = self._tools.specs()[action.tool].parse(action.args)
        labels = sources(typed, paths, told())
        self._remember(action.id, labels)
        return self._facts(labels)

    def after_edit(self, ledger: Ledger, before_id: str, after: ProposedAction) -> dict[str, Fact]:
        """Of the action that a person made out of another one."""
        if not (paths := self.wanted(after)):
            return {}
        spec, before = self._tools.specs()[after.tool], ledger.effects.action(before_id)
        labels = _stored(ledger, before_id, paths)
        return self._facts(edited(spec.parse(before.args), spec.parse(after.args), labels, paths))

    def stored(self, ledger: Ledger, action: ProposedAction) -> dict[str, Fact]:
        """From the action's earlier decisions. One that was never made stays missing."""
        if not (paths := self.wanted(action)):
            return {}
        known = self._recent.get(action.id, {})
        return self._facts(known if paths <= known.keys() else _stored(ledger, action.id, paths))

    def remembered(self, action: ProposedAction) -> dict[str, Fact]:
        """Those that this process made itself: a read is in no decision, so nobody else knows its labels."""
        return self._facts({path: self._recent.get(action.id, {}).get(path) for path in self.wanted(action)})

    def _remember(self, action_id: str, labels: Mapping[str, Source | None]) -> None:
        if len(self._recent) >= _REMEMBERED:
            self._recent.clear()
        # An action that was come to twice: only the ledger knows both ways.
        self._recent[action_id] = {} if action_id in self._recent else labels

    def _facts(self, labels: Mapping[str, Source | None]) -> dict[str, Fact]:
        now = self._clock.now()
        return {path: Fact(value=label and label.value, source=_GATE, at=now) for path, label in labels.items()}


def _stored(ledger: Ledger, action_id: str, paths: frozenset[str]) -> dict[str, Source | None]:
    """The least trusted that was ever found: after a power cut an agent may come to an action by another way."""
    found: dict[str, list[Source]] = {}
    for row in ledger.effects.decisions(action_id):
        facts = row.body["facts"]
        for path in paths & facts.keys():
            if facts[path]["source"] == _GATE and facts[path]["value"] is not None:
                found.setdefault(path, []).append(Source(facts[path]["value"]))
    return {path: worst(labels) for path, labels in found.items()}
