"""What an MCP client may read: a case, an approval, the policy in force."""

from __future__ import annotations

import re

from mcp.types import Resource, ResourceTemplate, TextResourceContents

from core.errors import NotFound
from core.people import HOME, Permission, Person, may, require
from core.states import ReviewStatus
from ledger.database import Ledger
from serving.api.views import approval_summary
from serving.house import House
from serving.mcp import approvals, cases

_URI = re.compile(r"countersign://(case|approval|policy)/([A-Za-z0-9._-]{1,64})")
_JSON, _YAML = "application/json", "application/yaml"
_MOST_LISTED = 50

TEMPLATES = [
    ResourceTemplate(
        name="case",
        title="A case",
        uri_template="countersign://case/{case_id}",
        mime_type=_JSON,
        description="Its plan, what was done in it, and what waits for people.",
    ),
    ResourceTemplate(
        name="approval",
        title="An approval",
        uri_template="countersign://approval/{approval_id}",
        mime_type=_JSON,
        description="What is asked, why policy asks, the evidence and the facts.",
    ),
    ResourceTemplate(
        name="policy",
        title="The policy of a kind",
        uri_template="countersign://policy/{kind}",
        mime_type=_YAML,
        description="The book that is in force, as it was published.",
    ),
]


async def listed(house: House, person: Person) -> list[Resource]:
    """Each kind's policy, and what waits for people, the next one first."""
    if not may(person, Permission.READ):
        return []
    found = [
        Resource(
            name=f"policy/{kind}",
            title=f"The policy of {kind}",
            uri=f"countersign://policy/{kind}",
            mime_type=_YAML,
        )
        for kind in house.kinds
    ]

    def waiting(ledger: Ledger) -> list[Resource]:
        rows = ledger.reviews.queue(status=[ReviewStatus.OPEN], tools=(), after=None, limit=_MOST_LISTED)
        return [
            Resource(
                name=f"approval/{row.id}",
                title=approval_summary(house, ledger, row).described[:200],
                uri=f"countersign://approval/{row.id}",
                mime_type=_JSON,
            )
            for row in rows
        ]

    return found + await house.database.read(person.workspace, waiting)


async def read(house: House, person: Person, uri: str) -> TextResourceContents:
    """Raises `NotFound`, `Forbidden`."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise NotFound(
            f"There is nothing at '{uri[:80]}'.", hint="countersign://case/…, …/approval/… and …/policy/… can be read."
        )
    sort, name = match.groups()
    if sort == "policy":
        return TextResourceContents(uri=uri, mime_type=_YAML, text=await _policy(house, person, name))
    found = await (cases.look(house, person, name) if sort == "case" else approvals.look(house, person, name))
    return TextResourceContents(uri=uri, mime_type=_JSON, text=found.model_dump_json())


async def _policy(house: House, person: Person, kind: str) -> str:
    require(person, Permission.READ)

    def text(ledger: Ledger) -> str:
        book = house.judge.at(kind, ledger.now)
        rows = ledger.policies.published(kind) if book is not None else []
        found = next((row.text for row in rows if book is not None and row.digest == book.digest), None)
        if found is None:
            raise NotFound(f"There is no policy of '{kind}'.", hint=f"There are: {', '.join(house.kinds)}.")
        return found

    return await house.database.read(HOME, text)
