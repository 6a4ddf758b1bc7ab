"""The retail benchmark's kind, registered: its intake, sixteen tools, facts, agent, graph and policy book."""

from __future__ import annotations

from agents.tau2_retail.intake import RetailRequest
from agents.tau2_retail.procedure import HAND_OVER, HandOver
from agents.tau2_retail.role import ROLE
from core.actions import JSON
from core.data import DataClass, field
from graphs.catalog import book_of
from graphs.kind import TaskKind
from graphs.tau2_retail.graph import build
from tools.tau2_retail.facts import FACTS, Tau2Facts
from tools.tau2_retail.shop import DIALECT
from tools.tau2_retail.tools import tau2_retail_tools


def _handover(question: str) -> tuple[str, dict[str, JSON]]:
    return HAND_OVER, {"summary": f"The agent can't go on: {question}"}


def _subject(request: RetailRequest) -> str:
    return request.user_id or ""


KIND = TaskKind(
    name="tau2_retail",
    title="Retail request (tau2)",
    intake=RetailRequest,
    subject=_subject,
    tools=lambda outside: tau2_retail_tools(outside.shop),
    facts=lambda outside: Tau2Facts(outside.shop, outside.clock),
    fact_specs=FACTS,
    dialect=DIALECT,
    role=ROLE,
    procedure=HandOver(),
    book=book_of("tau2_retail"),
    build=build,
    handover=_handover,
    payload={
        "user_id": field(DataClass.PERSONAL, vouched=True),  # it has the user's name in it
        "request": field(DataClass.FREE_TEXT),
        "reference": field(DataClass.INTERNAL),
    },
)
