"""What talks with a customer about one case: words in, words out. Pure; one small Protocol, one implementation a kind.

Who the customer is comes from the channel. What they say makes a case, or adds to one; what they are told is how it
stands and what was written to them, never why: no reason, rule, reviewer or fact of policy passes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

from core.actions import JSON

_CASE = re.compile(r"\bcase_[0-9a-z]{26}\b")


class Heard(StrEnum):
    """What a message is to a case that is there."""

    NEWS = "news"  # it adds something: the case has to know
    ENQUIRY = "enquiry"  # how does it stand?
    COURTESY = "courtesy"  # thanks, hello


@dataclass(frozen=True)
class Ask:
    """Something is missing before a case can be opened; `text` asks the customer for it."""

    text: str


@dataclass(frozen=True)
class Opening:
    """Enough was said: the payload of a case."""

    payload: Mapping[str, JSON]


@dataclass(frozen=True)
class Standing:
    """How a case stands, as far as its customer is concerned."""

    case_id: str
    state: Literal["working", "waiting", "delayed", "ended"]
    """`waiting` is for a person of the house, `delayed` for something outside that is down."""
    outcome: str = ""
    """The word that it ended with."""
    told: Sequence[str] = ()
    """What was written to the customer so far, as they read it, the oldest first."""


class Conversation(Protocol):
    writes_by: str
    """The tool whose runs are what the customer is told."""

    def begin(self, said: Sequence[str], customer: str) -> Opening | Ask:
        """What the customer said so far, the oldest first, as a case; or the question that is still open.

        The same words give the same answer. `customer` is vouched for by the channel.
        """

    def hears(self, said: str) -> Heard:
        """Whether a message has to reach the case. In doubt it does."""

    def holds(self, payload: Mapping[str, JSON], said: str) -> bool:
        """Whether a case was opened with this message among others."""

    def written(self, args: Mapping[str, JSON]) -> str:
        """What a run of `writes_by` says to the customer."""

    def words(self, standing: Standing) -> str:
        """How it stands, to the customer. What they were told before is not said again, unless it is the end."""


def case_numbers(said: str) -> list[str]:
    """Numbers of cases in a text, in order, each once. They open nothing: whose case it is, is looked up."""
    return list(dict.fromkeys(_CASE.findall(said)))
