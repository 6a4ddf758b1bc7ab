"""A decision as it was meant at the key press: bound to one approval and to what was shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from core.actions import JSON
from core.ids import new_id
from core.wire_approvals import ApprovalDetail, Decide

Choice = Literal["approve", "reject", "edit"]


@dataclass(frozen=True)
class Ballot:
    """`key` makes sending it twice the same as sending it once."""

    approval: str
    decide: Decide
    key: str = field(default_factory=lambda: new_id("key"))


def ballot(
    detail: ApprovalDetail,
    choice: Choice,
    *,
    reason_code: str = "",
    note: str = "",
    args: Mapping[str, JSON] | None = None,
    dwell_s: float = 0,
) -> Ballot:
    """`dwell_s` is how long the person looked at it, in seconds."""
    decide = Decide(
        choice=choice,
        seen=detail.seen,
        reason_code=reason_code,
        note=note,
        args=None if args is None else dict(args),
        dwell_s=min(int(dwell_s), 24 * 3600),
    )
    return Ballot(detail.approval.id, decide)


class Unanswered:
    """Ballots that were sent and not answered. Meaning the same again sends the same ballot, under the same key."""

    def __init__(self) -> None:
        self._sent: dict[str, Ballot] = {}

    def __contains__(self, approval: str) -> bool:
        return approval in self._sent

    def keep(self, sent: Ballot) -> None:
        self._sent[sent.approval] = sent

    def settle(self, approval: str) -> None:
        self._sent.pop(approval, None)

    def same(self, meant: Ballot) -> Ballot:
        """The unanswered ballot that says the same, or this one."""
        sent = self._sent.get(meant.approval)
        if sent is None:
            return meant
        again = meant.decide.model_copy(update={"dwell_s": sent.decide.dwell_s})
        return sent if sent.decide == again else meant
