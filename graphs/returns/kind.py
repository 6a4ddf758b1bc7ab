"""The returns kind, registered: its intake, tools, facts, agent, graph and policy book."""

from __future__ import annotations

from agents.returns.conversation import ReturnsConversation
from agents.returns.intake import ReturnRequest
from agents.returns.news import ParcelScanned
from agents.returns.procedure import ReturnsProcedure
from agents.returns.role import ROLE
from core.actions import JSON
from core.data import DataClass, field
from graphs.catalog import book_of
from graphs.kind import TaskKind
from graphs.returns.graph import build
from graphs.returns.rehearsal import rehearse
from tools.returns.evidence import evidence
from tools.returns.facts import FACTS, ReturnsFacts
from tools.returns.shop import DIALECT
from tools.returns.tools import returns_tools


def _handover(question: str) -> tuple[str, dict[str, JSON]]:
    return "people.ask", {"question": f"The agent can't go on: {question}", "context": ""}


def _subject(request: ReturnRequest) -> str:
    return request.customer_id


_BY_PROCESS = "returns.process"

KIND = TaskKind(
    name="returns",
    title="Retail return",
    intake=ReturnRequest,
    subject=_subject,
    tools=lambda outside: returns_tools(outside.shop, outside.vision, outside.attachments),
    facts=lambda outside: ReturnsFacts(outside.shop, outside.clock, outside.vision, outside.attachments),
    fact_specs=FACTS,
    dialect=DIALECT,
    role=ROLE,
    procedure=ReturnsProcedure(),
    book=book_of("returns"),
    build=build,
    handover=_handover,
    outcomes={
        "refunded": frozenset({"refunds.create", _BY_PROCESS}),
        "store_credit": frozenset({"store_credit.issue", _BY_PROCESS}),
        "exchanged": frozenset({"exchanges.create", _BY_PROCESS}),
        "refunded_without_return": frozenset({"refunds.create"}),
        "declined": frozenset({"returns.decline", "messages.send"}),
        "handed_over": frozenset(),
        "withdrawn": frozenset(),
        "not_found": frozenset(),
    },
    payload={
        "customer_id": field(DataClass.INTERNAL, vouched=True),
        "order_id": field(DataClass.INTERNAL),
        "letter": field(DataClass.FREE_TEXT),
        "photos": field(DataClass.PHOTO),
        "lines": field(DataClass.INTERNAL),
        "wants": field(DataClass.INTERNAL),
        "channel": field(DataClass.PUBLIC),
        "language": field(DataClass.PUBLIC),
    },
    news={"parcel.scanned": ParcelScanned},
    evidence=evidence,
    converse=ReturnsConversation(),
    rehearse=rehearse,
)
