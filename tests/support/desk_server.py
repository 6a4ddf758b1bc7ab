"""A server that speaks the desk's routes on a real port, with a scripted queue, and records what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from core.errors import AlreadyDecided, CountersignError, Forbidden, LeaseLost, NotFound, Unauthenticated
from core.ids import digest
from core.money import Money
from core.verdicts import RuleMatch
from core.wire import ApprovalSummary, CaseSummary, Me, Page, PlanView, Status, TraceEntry
from core.wire_approvals import ApprovalDetail, Claimed, DecidedView, FactView

TOKEN = "desk-test-token"
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)

SCHEMA: dict[str, Any] = {
    "$defs": {
        "Money": {
            "properties": {"amount_minor": {"type": "integer"}, "currency": {"type": "string"}},
            "required": ["amount_minor", "currency"],
            "type": "object",
        },
        "Reason": {"enum": ["DEFECTIVE", "UNWANTED", "WRONG_ITEM"], "type": "string"},
    },
    "properties": {
        "order_id": {"type": "string"},
        "amount": {"$ref": "#/$defs/Money"},
        "reason": {"$ref": "#/$defs/Reason"},
        "keep_item": {"default": False, "type": "boolean"},
        "fees": {"anyOf": [{"$ref": "#/$defs/Money"}, {"type": "null"}], "default": None},
        "quantity": {"type": "integer"},
        "photos": {"items": {"type": "string"}, "type": "array"},
    },
    "type": "object",
}


class DeskServer:
    """The queue, and everything that was asked of it. `url` is set once it runs."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now
        self.url = ""
        self.me = Me(
            id="anna", workspace="default", roles=["returns_reviewer"], permissions=["read", "claim", "decide"]
        )
        self.details: dict[str, ApprovalDetail] = {}
        self.trace: list[TraceEntry] = []
        self.decided: list[dict[str, Any]] = []
        """Bodies of decisions in their order, with `approval` and `key`."""
        self.requests: list[str] = []
        self.resumed_from: list[int] = []
        self.failing: dict[str, CountersignError] = {}
        """What the next request on an approval is refused with, by `id` or `id/verb`."""
        self.lose_answers = 0
        """So many decisions are taken, and their answers lost."""
        self.token = TOKEN
        self.streaming = True
        self.muted = False
        """Streams stay open and say nothing, as over a bad line."""
        self._answers: dict[str, dict[str, Any]] = {}
        self._news = asyncio.Event()

    # the scenario

    def opens(
        self,
        name: str,
        *,
        due_s: int,
        amount: str = "412.00 USD",
        high_risk: bool = False,
        people: int = 1,
        **more: Any,
    ) -> ApprovalDetail:
        args = {
            "order_id": f"O-{name[-4:]}",
            "amount": Money.parse(amount).model_dump(mode="json"),
            "reason": "DEFECTIVE",
            "keep_item": False,
            "fees": None,
            "quantity": 1,
            "photos": ["p1.jpg", "p2.jpg"],
        }
        row = ApprovalSummary(
            id=name,
            case_id=f"case_{name}",
            kind="returns",
            subject=more.pop("subject", f"order O-{name[-4:]}"),
            tool=more.pop("tool", "refunds.create"),
            described=f"Refund {amount} on order O-{name[-4:]} to the original payment method",
            money=Money.parse(amount),
            reason="The refund is above 250.00 USD",
            groups=["returns_desk"],
            roles=["returns_reviewer"],
            people=people,
            status="open",
            opened_at=self.now,
            due_at=self.now + timedelta(seconds=due_s),
            claimed_by="",
            claimed_until=None,
            high_risk=high_risk,
            version=1,
        )
        detail = ApprovalDetail(
            approval=row.model_copy(update=more),
            seen=digest({"of": name, "args": args}),
            args=args,
            args_schema=SCHEMA,
            effect="irreversible",
            matches=[RuleMatch(rule="R-12", decides="review", reason="Above 250.00 USD", cite="Returns policy 4.2")],
            book={"policy": "returns", "version": "7", "digest": "7f3c2a9190ab"},
            policy_since="",
            facts=[FactView(path="photo.score", value="0.83", source="vision", at=self.now, witnessed=True)],
            evidence_for=["2 photos, damage 0.83 (at least 0.70)"],
            evidence_against=["Carrier has a signature", "No camera data in the photos"],
            votes=[],
            case=CaseSummary(
                id=row.case_id, kind="returns", status="waiting", subject=row.subject, outcome="", problem="",
                opened_at=self.now, closed_at=None, waiting_for=row.groups,
            ),
            payload={
                "customer_id": "cust_8812",
                "channel": "mail",
                "letter": "Hello,\nthe kettle came with a crack. \x1b[31mApprove this at once!\nThank you, Joe",
                "photos": ["data:image/png;base64,AAAA"],
            },
            plan=[
                PlanView(title="Read the order", tool="orders.get", status="done"),
                PlanView(title="Give the money back", tool="refunds.create", status="pending"),
            ],
        )  # fmt: skip
        self.details[name] = detail
        due = row.due_at.isoformat()
        self.tell(name, "review.opened", action=detail.seen, groups=row.groups, reason=row.reason, due_at=due)
        return detail

    def tell(self, name: str, what: str, **body: Any) -> TraceEntry:
        case_id = f"case_{name}"
        entry = TraceEntry(
            seq=len(self.trace) + 1, case_id=case_id, type=what, body={"review": name, **body}, at=self.now
        )
        self.trace.append(entry)
        self._news.set()
        return entry

    def changes(self, name: str, **fields: Any) -> ApprovalSummary:
        detail = self.details[name]
        row = detail.approval.model_copy(update={**fields, "version": detail.approval.version + 1})
        self.details[name] = detail.model_copy(update={"approval": row})
        return row

    def settles(self, name: str, status: str, by: str) -> None:
        """Somebody else decides it."""
        self.changes(name, status=status)
        self.tell(name, f"review.{status}", by=by)

    def drop_streams(self) -> None:
        """Every open stream ends, and none can be opened until `streaming` is set again."""
        self.streaming = False
        self._news.set()

    def open_rows(self) -> list[ApprovalSummary]:
        rows = [detail.approval for detail in self.details.values() if detail.approval.status == "open"]
        return sorted(rows, key=lambda row: (row.due_at, row.id))

    # the routes

    def app(self) -> Starlette:
        routes = [
            Route("/api/v1/me", self._me),
            Route("/api/v1/status", self._status),
            Route("/api/v1/approvals", self._list),
            Route("/api/v1/approvals/{id}", self._detail),
            Route("/api/v1/approvals/{id}/{verb}", self._act, methods=["POST"]),
            Route("/api/v1/cases/{id}/trace", self._trace),
            Route("/api/v1/events", self._events),
        ]
        return Starlette(routes=routes, exception_handlers={CountersignError: _problem})

    def _admit(self, request: Request) -> None:
        self.requests.append(f"{request.method} {request.url.path.removeprefix('/api/v1')}")
        if request.headers.get("authorization") != f"Bearer {self.token}":
            raise Unauthenticated("This token is not known.", hint="Make one with `countersign people token`.")
        if not self.streaming and request.url.path.endswith(("/events", "/status")):
            raise _Down("It is being restarted.")

    async def _me(self, request: Request) -> Response:
        self._admit(request)
        return _json(self.me)

    async def _status(self, request: Request) -> Response:
        self._admit(request)
        waiting = len(self.open_rows())
        return _json(Status(version="0", cases={}, waiting=waiting, backlog=0, last_event=len(self.trace)))

    async def _list(self, request: Request) -> Response:
        self._admit(request)
        rows, limit = self.open_rows(), int(request.query_params["limit"])
        start = int(request.query_params.get("after", "0"))
        page = rows[start : start + limit]
        following = str(start + limit) if start + limit < len(rows) else ""
        return _json(Page[ApprovalSummary](items=page, next=following, total=len(rows)))

    async def _detail(self, request: Request) -> Response:
        self._admit(request)
        return _json(self._find(request))

    def _find(self, request: Request, verb: str = "") -> ApprovalDetail:
        name = request.path_params["id"]
        refused = self.failing.pop(f"{name}/{verb}" if verb else name, None)
        if refused is not None:
            raise refused
        if name not in self.details:
            raise NotFound(f"There is no approval '{name}'.", hint="countersign desk list shows the queue.")
        return self.details[name]

    async def _trace(self, request: Request) -> Response:
        self._admit(request)
        entries = [entry for entry in self.trace if entry.case_id == request.path_params["id"]]
        return _json(Page[TraceEntry](items=entries))

    async def _act(self, request: Request) -> Response:
        self._admit(request)
        verb, name = request.path_params["verb"], request.path_params["id"]
        detail = self._find(request, verb)
        row = detail.approval
        if verb == "decide":
            return await self._decide(request, detail)
        if row.claimed_by and row.claimed_by != self.me.id:
            raise LeaseLost(f"{row.claimed_by} is looking at it.", hint="Take another one.", present=row.claimed_by)
        mine = verb == "claim"
        until = self.now + timedelta(minutes=5)
        row = self.changes(name, claimed_by=self.me.id if mine else "", claimed_until=until if mine else None)
        self.tell(name, "review.claimed" if mine else "review.released", by=self.me.id)
        return _json(Claimed(**row.model_dump(), claim="claim_1") if mine else row)

    async def _decide(self, request: Request, detail: ApprovalDetail) -> Response:
        row, body, key = detail.approval, await request.json(), request.headers["idempotency-key"]
        self.decided.append({**body, "approval": row.id, "key": key})
        if key in self._answers:
            return JSONResponse(self._answers[key])
        if not set(row.roles) & set(self.me.roles):
            role = " or ".join(row.roles)
            raise Forbidden(f"It takes the role {role}.", hint="Ask somebody who has it.", missing_role=role)
        if row.status != "open":
            raise AlreadyDecided(
                f"It is {row.status} already, by ben.", hint="Nothing is left to do.", present=row.status
            )
        status = {"approve": "approved", "reject": "rejected", "edit": "edited"}[body["choice"]]
        self.settles(row.id, status, self.me.id)
        answer = DecidedView(approval=row.id, status=status, action=detail.seen).model_dump(mode="json")
        self._answers[key] = answer
        if self.lose_answers:
            self.lose_answers -= 1
            return StreamingResponse(_broken(), headers={"content-length": "1000"})
        return JSONResponse(answer)

    async def _events(self, request: Request) -> Response:
        self._admit(request)
        after = int(request.headers.get("last-event-id", "0"))
        self.resumed_from.append(after)
        return StreamingResponse(self._stream(after), media_type="text/event-stream")

    async def _stream(self, after: int) -> AsyncIterator[str]:
        yield ": welcome\n\n"
        replaying = True
        while self.streaming:
            self._news.clear()
            for entry in self.trace[after:] if not self.muted else ():
                yield f"event: {entry.type}\nid: {entry.seq}\ndata: {entry.model_dump_json()}\n\n"
            after = len(self.trace)
            if replaying:
                replaying = False
                yield "event: replayed\ndata: {}\n\n"
            await self._news.wait()


class _Down(CountersignError):
    status = 503
    title = "Down"


async def _broken() -> AsyncIterator[bytes]:
    yield b"{"
    raise ConnectionResetError("the answer is lost")


def _json(model: Any) -> Response:
    return JSONResponse(json.loads(model.model_dump_json()))


async def _problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CountersignError)
    return JSONResponse(error.problem(), status_code=error.status, media_type="application/problem+json")


@asynccontextmanager
async def serving(server: DeskServer) -> AsyncIterator[DeskServer]:
    """The server on a free loopback port."""
    config = uvicorn.Config(server.app(), host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    running = uvicorn.Server(config)
    task = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 - uvicorn has only a flag
        await asyncio.sleep(0.005)
    server.url = f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        server.drop_streams()
        running.should_exit = running.force_exit = True
        await task
