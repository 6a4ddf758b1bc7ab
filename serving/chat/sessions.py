"""Which case a conversation is about: found in our own records, by what was said, never by what a client remembers.

OpenAI's clients keep no session: they send the whole history each time. So the key of a case's request is made of who
asks, for whom, and of the words that opened it (or of the session that the client names). The same conversation sent
again finds the same case, in any process and after any restart; a history that was changed or cut opens no second one
where it names the case's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agents.conversation import Ask, Conversation, Heard, Opening, case_numbers
from core.actions import JSON
from core.errors import NotFound
from core.ids import digest
from core.people import Person
from core.states import FINISHED
from engine.superseding import Words
from ledger.database import Ledger
from ledger.tables import CaseRow
from serving.chat.wire import ChatRequest

_NUMBERS = 20
"""Of those that a talk names, so many are looked up."""


@dataclass(frozen=True)
class Line:
    """Something that the customer said."""

    text: str
    now: bool
    """It was said since the last answer."""


@dataclass(frozen=True)
class Spoken:
    """A request, as far as it tells what was said."""

    lines: Sequence[Line]
    numbers: Sequence[str]
    """Numbers of cases that the conversation names, the latest first."""
    named_now: bool
    """The customer has just named one."""
    answers: Sequence[str] = ()
    """What the client says that it was answered."""

    @classmethod
    def of(cls, request: ChatRequest) -> Spoken:
        told = [(message.role, message.text(number)) for number, message in enumerate(request.messages)]
        answered = max((number for number, (role, _) in enumerate(told) if role == "assistant"), default=-1)
        lines = [Line(text, number > answered) for number, (role, text) in enumerate(told) if role == "user"]
        numbers = [
            found for role, text in reversed(told) if role in ("user", "assistant") for found in case_numbers(text)
        ]
        named = any(case_numbers(line.text) for line in lines if line.now)
        answers = [text for role, text in told if role == "assistant"]
        said = [line for line in lines if line.text.strip()]
        return cls(said, list(dict.fromkeys(numbers))[:_NUMBERS], named, answers)


@dataclass(frozen=True)
class ToOpen:
    """No case yet, and enough was said for one."""

    key: str
    payload: Mapping[str, JSON]


@dataclass(frozen=True)
class ToAsk:
    """Something is missing; `after` is the case that is over, if the talk goes on after one."""

    text: str
    after: str = ""


@dataclass(frozen=True)
class At:
    """The case that it is about, and what was said now that it does not know yet."""

    case_id: str
    news: Sequence[Words] = ()
    polite: bool = False
    """Now there was nothing but a greeting or thanks."""


class _Begun(NamedTuple):
    case: CaseRow
    lines: list[Line]
    """What was said after the words that opened it."""


Place = ToOpen | ToAsk | At


@dataclass(frozen=True)
class Sitting:
    """One customer's talk with one kind, through one caller."""

    person: Person
    kind: str
    talk: Conversation
    customer: str
    session: str = ""
    """The client's own name for it, if it has one."""

    def place(self, ledger: Ledger, spoken: Spoken) -> Place:
        """Inside a read. The same words find the same place, whatever happened to the answer."""
        lines = list(spoken.lines)
        case = self._named(ledger, spoken)
        if case is None:
            begun = self._next(ledger, "", lines)
            if not isinstance(begun, _Begun):
                return begun
            case, lines = begun
        while True:
            told = [str(event.payload.get("text", "")) for event in ledger.cases.said(case.id)]
            if case.status not in FINISHED:
                return At(case.id, self._news(case, told, [line.text for line in lines if line.now]))
            lines = [line for line in lines if line.text not in told and self._is_news(case, line.text)]
            begun = self._next(ledger, case.id, lines)
            if not isinstance(begun, _Begun):
                return begun if any(line.now for line in lines) else At(case.id, polite=self._polite(spoken))
            case, lines = begun

    def _named(self, ledger: Ledger, spoken: Spoken) -> CaseRow | None:
        """By number where that is theirs; the session that the client names goes before what was said long ago."""
        numbers = spoken.numbers if spoken.named_now or not self.session else ()
        for number in numbers:
            try:
                case = ledger.cases.get(number)
            except NotFound:
                continue
            theirs = case.kind == self.kind and case.opened_by == self.person.id and case.subject == self.customer
            if theirs and not case.simulated:
                return case
        return None

    def _next(self, ledger: Ledger, after: str, lines: Sequence[Line]) -> _Begun | ToOpen | ToAsk:
        """The case that these words opened, after another one or none; or what to do to get there."""
        key = self._key({"after": after, "session": self.session}) if self.session else ""
        if key and (case := ledger.cases.keyed(self.person.id, key)) is not None:
            return _Begun(case, list(lines))
        asks = Ask("")
        for many in range(min(1, len(lines)), len(lines) + 1):
            said = [line.text for line in lines[:many]]
            begun = self.talk.begin(said, self.customer)
            if isinstance(begun, Opening):
                key = key or self._key({"after": after, "said": said})
                found = ledger.cases.keyed(self.person.id, key)
                return _Begun(found, list(lines[many:])) if found is not None else ToOpen(key, begun.payload)
            asks = begun
        return ToAsk(asks.text, after)

    def _news(self, case: CaseRow, told: Sequence[str], now: Sequence[str]) -> list[Words]:
        """What the case does not know yet. A request that comes again repeats what was told last, and tells nothing."""
        news = [text for text in now if self._is_news(case, text) or (told and self.talk.hears(text) is Heard.NEWS)]
        for many in range(min(len(news), len(told)), 0, -1):
            if list(told[-many:]) == news[:many]:
                news = news[many:]
                break
        return [
            Words(key=f"chat:{case.id}:{len(told) + number}:{digest(text)[:32]}", text=text)
            for number, text in enumerate(news)
        ]

    def _polite(self, spoken: Spoken) -> bool:
        now = [self.talk.hears(line.text) for line in spoken.lines if line.now]
        return bool(now) and set(now) == {Heard.COURTESY}

    def _is_news(self, case: CaseRow, text: str) -> bool:
        return self.talk.hears(text) is Heard.NEWS and not self.talk.holds(case.payload, text)

    def _key(self, made_of: Mapping[str, JSON]) -> str:
        return f"chat:{digest({'kind': self.kind, 'customer': self.customer, **made_of})[:48]}"
