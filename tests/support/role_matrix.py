"""Who may call what: every route of the server, by role. `python -m tests.support.role_matrix` prints it.

    +  they get in
    -  403
    ~  404: it is another one's, and they are not told that it is there

A new route needs a line here, and where it wants more than an empty object, a body below. `tests/serving/
test_role_matrix.py` calls each route as each of them, and `docs/security.md` has the same lines.
"""

from __future__ import annotations

from typing import Any, NamedTuple

ROLES = ("viewer", "service", "reviewer", "operator", "compliance", "admin")
"""As columns. `reviewer` stands for each role that a policy names."""

OPEN = ("GET /ok", "GET /openapi.json", "GET /docs", "GET /docs/oauth2-redirect", "GET /info")
"""Anybody gets in, without a token."""

TABLE = """
route                                                           viewer  service  reviewer  operator  compliance  admin
GET    /api/v1/me                                               +       +        +         +         +           +
GET    /api/v1/kinds                                            +       +        +         +         +           +
GET    /api/v1/status                                           +       -        +         +         +           +
GET    /api/v1/events                                           +       -        +         +         +           +
POST   /api/v1/attachments                                      -       +        -         +         -           -
GET    /api/v1/effects/unknown                                  +       -        +         +         +           +
GET    /api/v1/cases/{case_id}/compensation                     +       -        +         +         +           +
POST   /api/v1/cases/{case_id}/compensate                       -       -        -         +         -           -
POST   /api/v1/cases                                            -       +        -         +         -           -
POST   /api/v1/cases/batch                                      -       +        -         +         -           -
GET    /api/v1/cases                                            +       +        +         +         +           +
GET    /api/v1/cases/{case_id}                                  +       ~        +         +         +           +
GET    /api/v1/cases/{case_id}/trace                            +       ~        +         +         +           +
GET    /api/v1/cases/{case_id}/events                           +       ~        +         +         +           +
GET    /api/v1/cases/{case_id}/checkpoints                      +       -        +         +         +           +
GET    /api/v1/cases/{case_id}/checkpoints/{checkpoint}         +       -        +         +         +           +
POST   /api/v1/cases/{case_id}/fork                             -       -        -         +         -           -
POST   /api/v1/cases/{case_id}/retry                            -       -        -         +         -           -
POST   /api/v1/cases/{case_id}/pause                            -       -        -         +         -           -
POST   /api/v1/cases/{case_id}/resume                           -       -        -         +         -           -
POST   /api/v1/cases/{case_id}/cancel                           -       -        -         +         -           -
GET    /api/v1/approvals                                        +       -        +         +         +           +
GET    /api/v1/approvals/reasons                                +       -        +         +         +           +
GET    /api/v1/approvals/filters                                +       -        +         +         +           +
PUT    /api/v1/approvals/filters/{name}                         +       -        +         +         +           +
DELETE /api/v1/approvals/filters/{name}                         +       -        +         +         +           +
POST   /api/v1/approvals/batch                                  -       -        +         -         -           -
GET    /api/v1/approvals/{approval_id}                          +       -        +         +         +           +
POST   /api/v1/approvals/{approval_id}/claim                    -       -        +         -         -           -
POST   /api/v1/approvals/{approval_id}/release                  -       -        +         +         -           -
POST   /api/v1/approvals/{approval_id}/decide                   -       -        +         -         -           -
POST   /api/v1/approvals/{approval_id}/undo                     -       -        -         -         -           -
POST   /api/v1/events                                           -       +        -         +         -           -
GET    /api/v1/events/published                                 +       +        +         +         +           +
GET    /api/v1/policies                                         +       -        +         +         +           +
POST   /api/v1/policies/drafts                                  -       -        -         -         +           +
GET    /api/v1/policies/drafts/{digest}                         ~       -        ~         ~         ~           ~
GET    /api/v1/tokens                                           +       +        +         +         +           +
POST   /api/v1/tokens                                           +       -        +         +         +           +
DELETE /api/v1/tokens/{token_id}                                ~       ~        ~         ~         ~           +
GET    /api/v1/people                                           +       -        +         +         +           +
GET    /api/v1/people/{person_id}                               +       -        +         +         +           +
POST   /api/v1/people/{person_id}/roles                         -       -        -         -         +           +
POST   /api/v1/people/{person_id}/suspend                       -       -        -         -         -           +
GET    /api/v1/audit                                            -       -        -         -         +           +
GET    /api/v1/audit/verification                               -       -        -         -         +           +
GET    /api/v1/kpis                                             +       -        +         +         +           +
GET    /api/v1/traces                                           +       -        +         +         +           +
POST   /mcp                                                     +       +        +         +         +           +
GET    /v1/models                                               +       +        +         +         +           +
GET    /v1/models/{model}                                       +       +        +         +         +           +
POST   /v1/chat/completions                                     -       +        -         +         -           -
POST   /assistants/search                                       +       +        +         +         +           +
POST   /assistants/count                                        +       +        +         +         +           +
GET    /assistants/{assistant_id}                               +       +        +         +         +           +
GET    /assistants/{assistant_id}/schemas                       +       +        +         +         +           +
DELETE /assistants/{assistant_id}                               +       +        +         +         +           +
PATCH  /assistants/{assistant_id}                               +       +        +         +         +           +
POST   /assistants                                              +       +        +         +         +           +
POST   /threads                                                 -       +        -         +         -           -
POST   /threads/search                                          +       +        +         +         +           +
POST   /threads/count                                           +       +        +         +         +           +
POST   /threads/prune                                           ~       ~        ~         ~         ~           ~
GET    /threads/{thread_id}                                     +       ~        +         +         +           +
PATCH  /threads/{thread_id}                                     -       ~        -         +         -           -
DELETE /threads/{thread_id}                                     -       ~        -         +         -           -
POST   /threads/{thread_id}/copy                                -       ~        -         -         -           -
GET    /threads/{thread_id}/state                               +       ~        +         +         +           +
GET    /threads/{thread_id}/state/{checkpoint_id}               ~       ~        ~         ~         ~           ~
POST   /threads/{thread_id}/state/checkpoint                    +       ~        +         +         +           +
POST   /threads/{thread_id}/state                               -       ~        -         -         -           -
POST   /threads/{thread_id}/history                             +       ~        +         +         +           +
GET    /threads/{thread_id}/history                             +       ~        +         +         +           +
POST   /threads/{thread_id}/runs                                -       ~        -         +         -           -
POST   /threads/{thread_id}/runs/stream                         -       ~        -         +         -           -
POST   /threads/{thread_id}/runs/wait                           -       ~        -         +         -           -
GET    /threads/{thread_id}/runs                                +       ~        +         +         +           +
GET    /threads/{thread_id}/runs/{run_id}                       +       ~        +         +         +           +
DELETE /threads/{thread_id}/runs/{run_id}                       -       ~        -         +         -           -
GET    /threads/{thread_id}/runs/{run_id}/join                  +       ~        +         +         +           +
GET    /threads/{thread_id}/runs/{run_id}/stream                +       ~        +         +         +           +
POST   /threads/{thread_id}/runs/{run_id}/cancel                -       ~        -         +         -           -
POST   /runs/cancel                                             -       ~        -         ~         -           -
POST   /runs                                                    -       +        -         +         -           -
POST   /runs/stream                                             -       +        -         +         -           -
POST   /runs/wait                                               -       +        -         +         -           -
POST   /runs/crons/search                                       +       +        +         +         +           +
POST   /threads/{thread_id}/runs/crons                          +       +        +         +         +           +
POST   /runs/crons                                              +       +        +         +         +           +
POST   /runs/batch                                              +       +        +         +         +           +
"""

_CASE = {"kind": "returns", "payload": "{payload}"}
_RUN = {"assistant_id": "returns", "input": "{payload}"}
_EVENT = {"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "com.countersign.case.submit", "data": _CASE}
_NO_RUN = "00000000-0000-4000-8000-000000000000"
_MANIFEST = {"kind": "returns", "policy": "p", "version": "1", "digest": "0" * 64, "follows": ""}

BODIES: dict[str, dict[str, Any]] = {
    "GET /api/v1/approvals/reasons": {"kind": "returns"},
    "POST /api/v1/cases": _CASE,
    "POST /api/v1/cases/batch": {"cases": [_CASE]},
    "POST /api/v1/approvals/{approval_id}/decide": {"choice": "reject", "seen": "stale", "reason_code": "other"},
    "POST /api/v1/approvals/batch": {"do": "claim", "items": [{"id": "{approval_id}"}]},
    "PUT /api/v1/approvals/filters/{name}": {"wanted": {}},
    "POST /api/v1/policies/drafts": {"manifest": _MANIFEST, "text": ""},
    "POST /api/v1/people/{person_id}/roles": {"roles": ["returns_reviewer"]},
    "POST /threads/prune": {"thread_ids": [_NO_RUN]},
    "POST /api/v1/events": _EVENT,
    "POST /threads/{thread_id}/state/checkpoint": {"checkpoint": {}},
    "POST /threads/{thread_id}/state": {"values": {"plan": "pay"}},
    "POST /threads/{thread_id}/runs": _RUN,
    "POST /threads/{thread_id}/runs/stream": _RUN,
    "POST /threads/{thread_id}/runs/wait": _RUN,
    "POST /runs": _RUN,
    "POST /runs/stream": _RUN,
    "POST /runs/wait": _RUN,
    "POST /runs/cancel": {"thread_id": "{thread_id}", "run_ids": [_NO_RUN]},
    "POST /v1/chat/completions": {"model": "returns", "messages": [{"role": "user", "content": "hi"}], "user": "cus_1"},
}
"""What a request needs to get as far as the question who may; of a GET, its query."""

TYPES = {"POST /api/v1/events": "application/cloudevents+json"}
"""Of bodies that are not plain JSON."""


class Line(NamedTuple):
    method: str
    path: str
    cells: dict[str, str]
    """By role."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def lines() -> list[Line]:
    found = []
    for text in TABLE.strip().splitlines()[1:]:
        method, path, *cells = text.split()
        if len(cells) != len(ROLES) or set(cells) - set("+-~"):
            raise ValueError(f"not a line of the matrix: {text}")
        found.append(Line(method, path, dict(zip(ROLES, cells, strict=True))))
    return found


def markdown() -> str:
    head = f"| route | {' | '.join(ROLES)} |\n|---|{'---|' * len(ROLES)}\n"
    return head + "".join(f"| `{each.name}` | {' | '.join(each.cells.values())} |\n" for each in lines())


if __name__ == "__main__":
    print(markdown(), end="")
