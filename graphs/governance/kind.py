"""The kind by which the house governs itself, registered: policy and roles change through the gate, like all else."""

from __future__ import annotations

from agents.governance.intake import GovernanceRequest
from agents.governance.procedure import CarryOut
from agents.governance.role import ROLE
from core.actions import JSON
from core.data import DataClass, field
from core.people import Permission
from graphs.catalog import book_of
from graphs.flow import standard_flow
from graphs.kind import TaskKind
from tools.fulfillment.ports import Dialect
from tools.governance.evidence import evidence
from tools.governance.facts import FACTS, GovernanceFacts
from tools.governance.tools import governing_tools

_ENDINGS = {
    "changed": frozenset({"policy.publish", "policy.roll_back", "people.grant"}),
    "refused": frozenset[str](),
    "handed_over": frozenset[str](),
}


def _handover(question: str) -> tuple[str, dict[str, JSON]]:
    return "governance.ask", {"question": question[:2000]}


KIND = TaskKind(
    name="governance",
    title="Change of policy or of roles",
    intake=GovernanceRequest,
    opened_with=Permission.GOVERN,
    subject=lambda request: request.subject,
    tools=lambda outside: governing_tools(outside.office),
    facts=lambda outside: GovernanceFacts(outside.office, outside.clock),
    fact_specs=FACTS,
    dialect=Dialect("governance", {}),
    role=ROLE,
    procedure=CarryOut(),
    book=book_of("governance"),
    build=standard_flow,
    handover=_handover,
    outcomes=_ENDINGS,
    payload={"do": field(DataClass.INTERNAL), "change": field(DataClass.INTERNAL)},
    evidence=evidence,
)
