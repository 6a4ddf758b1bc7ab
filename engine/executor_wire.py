"""What workers and the executor's process say to each other: ids for effects, and errors that stay what they are.

A fact travels with the name of its type, because JSON has one kind of text for text, times and decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict

from core import errors
from core.actions import ProposedAction
from core.errors import CountersignError, ProviderUnavailable, Unauthenticated
from core.money import Money
from core.verdicts import Fact
from engine.executor import AskAgain, CaseStopped
from engine.fence import Fence, SegmentLost

_TYPE = "urn:countersign:"
_ASK_AGAIN, _CASE_STOPPED, _SEGMENT_LOST = "ask-again", "case-stopped", "segment-lost"


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class OfAction(_Message):
    """An effect: nothing but its id goes over, and its arguments are read from the records."""

    workspace: str
    action_id: str
    case_id: str = ""
    epoch: int | None = None
    """The segment that asks (`engine/fence.py`); None for the sweeper, which asks for no segment."""

    @classmethod
    def by(cls, workspace: str, action_id: str, asking: Fence | None) -> OfAction:
        if asking is None:
            return cls(workspace=workspace, action_id=action_id)
        return cls(workspace=workspace, action_id=action_id, case_id=asking.case_id, epoch=asking.epoch)

    @property
    def asking(self) -> Fence | None:
        return None if self.epoch is None else Fence(self.workspace, self.case_id, self.epoch)


class WrittenFact(_Message):
    type: str
    value: Any = None
    source: str
    at: datetime
    witnessed: bool = False


class OfRead(_Message):
    """A read has no row, so it travels itself, and is judged again where it arrives."""

    action: ProposedAction
    labels: dict[str, WrittenFact] = {}
    """Where its arguments come from, as the worker knows it."""


class OfFacts(_Message):
    action: ProposedAction
    wanted: frozenset[str]


class Facts(_Message):
    facts: dict[str, WrittenFact]


def written(facts: Mapping[str, Fact]) -> dict[str, WrittenFact]:
    return {
        path: WrittenFact(source=fact.source, at=fact.at, witnessed=fact.witnessed, **_written(fact.value))
        for path, fact in facts.items()
    }


def read_back(facts: Mapping[str, WrittenFact]) -> dict[str, Fact]:
    """Raises `ValueError` for a type that there is not."""
    return {
        path: Fact(value=_value(fact.type, fact.value), source=fact.source, at=fact.at, witnessed=fact.witnessed)
        for path, fact in facts.items()
    }


def _written(value: Any) -> dict[str, Any]:
    match value:
        case Money():
            return {"type": "money", "value": value.model_dump(mode="json")}
        case Decimal():
            return {"type": "decimal", "value": str(value)}
        case datetime():
            return {"type": "time", "value": value.isoformat()}
        case None | bool() | int() | str():
            return {"type": "plain", "value": value if value is None or isinstance(value, int) else str(value)}
        case _:
            raise TypeError(f"a fact can't be a {type(value).__name__}")


def _value(kind: str, value: Any) -> Any:
    match kind:
        case "money":
            return Money.model_validate(value)
        case "decimal":
            return Decimal(value)
        case "time":
            return datetime.fromisoformat(value)
        case "plain":
            return value
        case _:
            raise ValueError(f"there is no kind of fact '{kind[:20]}'")


# errors


def told(error: BaseException) -> tuple[int, dict[str, Any]]:
    """An error as status and problem document (RFC 9457)."""
    match error:
        case AskAgain():
            return 409, {"type": _TYPE + _ASK_AGAIN, "status": 409, "detail": error.reason}
        case CaseStopped():
            return 409, {"type": _TYPE + _CASE_STOPPED, "status": 409, "detail": str(error)}
        case SegmentLost():
            return 409, {"type": _TYPE + _SEGMENT_LOST, "status": 409, "detail": str(error)}
        case CountersignError():
            return error.status, error.problem()
        case _:
            raise error


def raised(problem: Any, status: int) -> BaseException:
    """The error that a problem document tells of."""
    if not isinstance(problem, dict) or not str(problem.get("type", "")).startswith(_TYPE):
        return ProviderUnavailable(
            f"The executor's address answered {status} with nothing that an executor says.",
            hint="Is this the URL of a 'countersign executor'?",
        )
    code, detail = str(problem["type"]).removeprefix(_TYPE), str(problem.get("detail", ""))
    if code == _ASK_AGAIN:
        return AskAgain(detail)
    if code == _CASE_STOPPED:
        return CaseStopped(detail)
    if code == _SEGMENT_LOST:
        return SegmentLost(detail)
    if code == Unauthenticated("").code:
        return ProviderUnavailable(
            "The executor does not know this process.", hint="Give both COUNTERSIGN_EXECUTOR__TOKEN."
        )
    named = _NAMED.get(code, CountersignError)
    extra = {key: value for key, value in problem.items() if key not in _OWN}
    return named(detail, hint=str(problem.get("hint", "")), **extra)


_OWN = frozenset({"type", "title", "status", "detail", "hint"})
_NAMED: dict[str, type[CountersignError]] = {
    each("").code: each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, CountersignError)
}
