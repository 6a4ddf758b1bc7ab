"""What a book says of an action of which not everything is known: the one verdict that holds whatever the rest is.

A fact that is missing for a decision leaves its rules open, and that denies. A fact that a backtest lacks is
another thing: it was there, or it was not, and nobody wrote it down. Only where every possibility gives the
same verdict is there an answer. (Kleene's strong three-valued logic; Introduction to Metamathematics, 1952, §64.)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.clauses import Decides, Rule
from policies.conditions import asks_whether_known, paths
from policies.program import Program, settle


class Bounded:
    """A program of which some paths are not told."""

    def __init__(self, program: Program, untold: frozenset[str]) -> None:
        enforced = [(condition, rule) for condition, rule in program.tests if not rule.monitor]
        self._run = program.run
        self._readers = frozenset(rule.id for condition, rule in enforced if not untold.isdisjoint(paths(condition)))
        self._askers = [rule for condition, rule in enforced if not untold.isdisjoint(asks_whether_known(condition))]

    def verdict(self, env: Mapping[str, Any]) -> tuple[Decides, list[Rule]] | None:
        """The verdict and the rules that surely make it, or None where it hangs on what is not told.

        Where a rule answers though a path of it is not told, no value would change the answer; unless it asks
        whether the path is known.
        """
        found, open_ = self._run(env)
        asking = {rule.id for rule in self._askers}
        matched = [rule for rule in found if rule.id not in asking]
        unsettled = [rule for rule in open_ if rule.id not in self._readers]
        free = [*self._askers, *(rule for rule in open_ if rule.id in self._readers and rule.id not in asking)]
        base = settle(matched, unsettled)
        surely_denied = base.verdict == "deny" and bool(base.deciding or base.open)
        possible = {base.verdict}
        if free and not surely_denied:
            possible.add("deny")  # a value that is missing for the decision leaves the rule open
            if any(rule.decides == "review" for rule in free):
                possible.add("review")
            if base.verdict == "deny" and any(rule.decides == "allow" for rule in free):
                possible.add("allow")
        return (base.verdict, base.deciding) if len(possible) == 1 else None
