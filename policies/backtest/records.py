"""What a backtest reads of the past. `ledger/history.py` tells it; this floor doesn't know that one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from core.actions import JSON
from core.ports import Count
from core.verdicts import FactValue


class Vote(Protocol):
    """A person's word on one review."""

    @property
    def roles(self) -> Sequence[str]: ...
    @property
    def dwell_s(self) -> int:
        """Seconds that the person had it before them; 0 where nobody measured."""
        ...

    @property
    def at(self) -> datetime: ...


class Asked(Protocol):
    """One time that people were asked about an action."""

    @property
    def status(self) -> str:
        """Of `core.states.ReviewStatus`."""
        ...

    @property
    def reviewers(self) -> Sequence[Mapping[str, JSON]]:
        """`core.verdicts.ReviewerSet`s as JSON."""
        ...

    @property
    def opened_at(self) -> datetime: ...
    @property
    def decided_at(self) -> datetime | None: ...
    @property
    def votes(self) -> Sequence[Vote]: ...
    @property
    def ended(self) -> str:
        """The status at the end of its edits: of an edited action, what came of what it became."""
        ...

    @property
    def edited_args(self) -> Mapping[str, JSON] | None:
        """The arguments at the end of its edits."""
        ...


class Recorded(Protocol):
    """The first decision on one effect, and what people then said."""

    @property
    def id(self) -> int:
        """The order in which the ledger decided."""
        ...

    @property
    def workspace(self) -> str: ...
    @property
    def case_id(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def schema_version(self) -> int: ...
    @property
    def args(self) -> Mapping[str, JSON]: ...
    @property
    def proposer(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def verdict(self) -> str: ...
    @property
    def body(self) -> Mapping[str, Any]:
        """`core.verdicts.Verdict` as JSON."""
        ...

    @property
    def asked(self) -> Sequence[Asked]: ...


class Ran(Protocol):
    """One run of the effects ledger, as counts look at it."""

    @property
    def workspace(self) -> str: ...
    @property
    def reserved(self) -> int:
        """The id of the decision that let it run: decisions with a higher id saw it."""
        ...

    @property
    def case_id(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def proposer(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def args(self) -> Mapping[str, JSON]: ...
    @property
    def status(self) -> str:
        """Of `core.states.RunStatus`, at the end."""
        ...

    @property
    def started_at(self) -> datetime: ...
    @property
    def finished_at(self) -> datetime | None: ...


Recount = Callable[[Count, Recorded], FactValue]
"""What a count would have said when a decision was taken; None where it can't be told."""
