"""Cedar, by `cedarpy`. A rule is a policy on the action that is named as its tool.

Cedar knows permit and forbid. A review is a permit whose name tells that people are to be asked; so is a rule that is
only monitored, whatever it decides. Cedar names the policies that made its decision: after a forbid, no permits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import cedarpy

from benchmarks.rivals.language import Language
from core.verdicts import FactType
from policies.clauses import Rule
from policies.program import Program


class Cedar(Language):
    def read(self, name: str) -> str:
        return f"context.{name}"

    def among(self, item: str, options: str) -> str:
        return f"[{options}].contains({item})"

    def is_known(self, name: str) -> str:
        return f"(context has {name})"


class CedarBook:
    """All rules of all tools as one set of policies, parsed once: Cedar itself slices it by the action."""

    def __init__(self, programs: Mapping[str, Program], kinds: Mapping[str, FactType], currency: str) -> None:
        self.language, self.kinds = Cedar(currency), kinds
        self.rules: dict[str, Rule] = {}
        policies = []
        for tool, program in programs.items():
            for condition, rule in program.tests:
                effect = "forbid" if rule.decides == "deny" and not rule.monitor else "permit"
                scope = f"principal, action == Action::{json.dumps(tool)}, resource"
                policies.append(f"{effect}({scope}) when {{ {self.language.condition(condition)} }};")
                self.rules[f"policy{len(self.rules)}"] = rule  # as Cedar itself numbers them
        self.policies = cedarpy.PolicySet.from_str("\n".join(policies))
        self.entities = cedarpy.Entities.from_json_str("[]")

    def answer(self, request: dict[str, str]) -> tuple[list[Rule], list[Rule]]:
        found = cedarpy.is_authorized(request, self.policies, self.entities).diagnostics
        if found.errors:
            raise ValueError(f"Cedar skipped policies: {found.errors[:3]}")
        return [self.rules[name] for name in found.reasons], []


class CedarRules:
    """The rules of one tool in that set."""

    def __init__(self, book: CedarBook, program: Program) -> None:
        self._book, self._tool = book, program.tool
        self._paths = frozenset(program.blank)

    def __call__(self, env: Mapping[str, Any]) -> tuple[list[Rule], list[Rule]]:
        return self.answer(self.prepared(env))

    def prepared(self, env: Mapping[str, Any]) -> dict[str, str]:
        known = {path: env[path] if path in self._paths else None for path in self._book.language.names}
        return {
            "principal": 'Agent::"agent"',
            "action": f"Action::{json.dumps(self._tool)}",
            "resource": 'Case::"case"',
            "context": json.dumps(self._book.language.facts(known, self._book.kinds)),
        }

    def answer(self, request: dict[str, str]) -> tuple[list[Rule], list[Rule]]:
        return self._book.answer(request)
