"""What the customer is told, in plain words. Pure. Only what has happened, and nothing of anybody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.actions import JSON
from core.money import Money

_SIGNED = "\n\nKind regards\nYour returns team"


@dataclass(frozen=True)
class Reply:
    subject: str
    body: str

    def args(self, customer_id: str) -> dict[str, JSON]:
        return {"customer_id": customer_id, "subject": self.subject, "body": self.body}


@dataclass(frozen=True)
class Told:
    """What a reply can stand on: each part is there only once its tool has answered `done`."""

    order_id: str
    goods: str
    refund: Money | None = None
    credit: Money | None = None
    exchanged: bool = False
    carrier: str = ""
    kept: bool = False
    """The customer keeps the goods."""
    left_out: Sequence[str] = ()
    """What can't go back, and why."""


def settled(told: Told, *, brief: bool = False) -> Reply:
    parts = []
    if told.refund:
        parts.append(f"We have refunded {told.refund} to the way you paid. Banks take a few days to show it.")
    if told.credit:
        parts.append(f"We have added {told.credit} of store credit to your account.")
    if told.exchanged:
        parts.append("The goods you get instead are booked and on their way to the parcel desk.")
    if told.kept:
        parts.append("You need not send anything back: please keep or pass on what you have.")
    if told.carrier:
        parts.append(f"Your return label for {told.carrier} is in a separate e-mail. Please use it for the way back.")
    if told.left_out:
        parts.append(f"These we could not take back: {'; '.join(told.left_out)}.")
    about = f"your return of {told.goods}, order {told.order_id}"
    thanks = "Hello" if brief else f"Hello\n\nThank you for writing to us about {about}."
    return Reply(f"Your return, order {told.order_id}", f"{thanks}\n\n{' '.join(parts)}{_SIGNED}")


def declined(order_id: str, goods: str, why: Sequence[str], *, brief: bool = False) -> Reply:
    reasons = f": {'; '.join(why)}" if why else ""
    thanks = "" if brief else f"Thank you for writing to us about {goods}, order {order_id}. "
    sorry = f"We are sorry, but we can't accept this return{reasons}."
    more = "" if brief else " If you think that we got something wrong, just answer this e-mail."
    return Reply(f"Your return request, order {order_id}", f"Hello\n\n{thanks}{sorry}{more}{_SIGNED}")


def not_found(*, brief: bool = False) -> Reply:
    """The same words whether the order does not exist or is somebody else's."""
    sorry = "We could not find this order in your account."
    more = (
        " Please check the number on your confirmation and the e-mail address you ordered with, and write to us again."
    )
    return Reply("We could not find your order", f"Hello\n\n{sorry}{'' if brief else more}{_SIGNED}")


def withdrawn(*, brief: bool = False) -> Reply:
    more = "" if brief else " Nothing has to be sent back. If you change your mind, just write to us again."
    return Reply("Your return", f"Hello\n\nAs you asked, we have stopped your return.{more}{_SIGNED}")


def goods(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
