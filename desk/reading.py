"""Approvals in words: the same lines for the screen and for plain output. What comes from outside is made harmless."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from core.actions import JSON
from core.errors import InvalidInput
from core.money import Money
from core.verdicts import RuleMatch
from core.wire import ApprovalSummary, TraceEntry
from core.wire_approvals import ApprovalDetail, FactView

SOON_S = 300
"""From here on the clock is shown as urgent, in seconds."""

_JOINERS = "\u00ad\u200b\u200c\u200d\ufeff"


def clean(text: str) -> str:
    """Control and direction marks become `�`: text from outside can't steer the terminal, nor hide that it tried."""

    def shown(c: str) -> str:
        if c == "\n" or unicodedata.category(c) not in {"Cc", "Cf"}:
            return c
        return " " if c == "\t" else "" if c in _JOINERS else "�"

    return "".join(map(shown, text.replace("\r\n", "\n").replace("\r", "\n")))


def money_in(value: JSON) -> Money | None:
    """The money that a JSON value is, if it is."""
    if isinstance(value, dict) and value.keys() == {"amount_minor", "currency"}:
        try:
            return Money.model_validate(value)
        except ValueError:
            return None
    return None


def words(value: JSON) -> str:
    """A JSON value for people: money as a decimal, yes and no, a dash where there is nothing."""
    money = money_in(value)
    match value:
        case _ if money is not None:
            return str(money)
        case None:
            return "—"
        case bool():
            return "yes" if value else "no"
        case str():
            return clean(value)
        case list() if all(not isinstance(each, (dict, list)) for each in value):
            return ", ".join(words(each) for each in value) or "none"
        case dict() | list():
            return clean(json.dumps(value, ensure_ascii=False))
        case _:
            return str(value)


class Urgency(StrEnum):
    LATE = "late"
    SOON = "soon"
    CALM = "calm"


@dataclass(frozen=True)
class Countdown:
    """Time until an approval expires: a glyph, a text and an urgency, so that colour is never alone."""

    glyph: str
    text: str
    urgency: Urgency


def countdown(due_at: datetime, now: datetime) -> Countdown:
    left = int((due_at - now).total_seconds())
    sign, size = ("-", -left) if left < 0 else ("", left)
    if size < 3600:
        text = f"{size // 60}:{size % 60:02d}"
    elif size < 100 * 3600:
        text = f"{size // 3600}h{size % 3600 // 60:02d}"
    else:
        text = f"{size // 86400}d"
    if left < 0:
        return Countdown("!!", sign + text, Urgency.LATE)
    if left < SOON_S:
        return Countdown("!", text, Urgency.SOON)
    return Countdown("", text, Urgency.CALM)


def holder(row: ApprovalSummary, now: datetime) -> str:
    """Who holds it now, or nothing: a lease that ended holds nothing."""
    held = row.claimed_by and (row.claimed_until is None or row.claimed_until > now)
    return row.claimed_by if held else ""


class Tone(StrEnum):
    PLAIN = "plain"
    STRONG = "strong"
    QUIET = "quiet"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Line:
    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Section:
    title: str
    lines: tuple[Line, ...]


def _section(title: str, lines: Sequence[Line | str]) -> Section:
    return Section(title, tuple(Line(each) if isinstance(each, str) else each for each in lines))


def pairs(values: Sequence[tuple[str, str]], tone: Tone = Tone.PLAIN) -> list[Line]:
    """Names and values in two columns; a value of several lines hangs under its first."""
    width = min(max((len(name) for name, _ in values), default=0), 26)
    lines: list[Line] = []
    for name, value in values:
        first, *rest = value.split("\n") if value else ["—"]
        lines.append(Line(f"{name:<{width}}  {first}", tone))
        lines += [Line(f"{'':<{width}}  {each}", tone) for each in rest]
    return lines


def flat(value: JSON, path: str = "") -> list[tuple[str, JSON]]:
    """Leaves of nested JSON with their dotted paths; money and lists of plain values are leaves."""
    if isinstance(value, dict) and value and money_in(value) is None:
        return [leaf for key, each in value.items() for leaf in flat(each, f"{path}.{key}" if path else str(key))]
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return [leaf for i, each in enumerate(value) for leaf in flat(each, f"{path}[{i}]")]
    return [(path, value)]


def book_words(book: dict[str, str]) -> str:
    version, digest = book.get("version", ""), book.get("digest", "")
    return f"{book.get('policy', 'policy')} {version} ({digest[:8]})".replace(" ()", "")


def _rule(match: RuleMatch, said: str = "") -> list[Line]:
    """`said` was told already, and is not told again."""
    watched = " (only watched)" if match.monitor else ""
    reason = "" if match.reason in said else f": {clean(match.reason)}"
    lines = [Line(f"rule {match.rule} says {match.decides}{watched}{reason}")]
    if match.cite:
        lines.append(Line(f"  § {clean(match.cite)}", Tone.QUIET))
    return lines


def _fact(fact: FactView) -> tuple[str, str]:
    value = words(fact.value) if fact.value is not None else "unknown"
    return (f"{fact.path}{' *' if fact.witnessed else ''}", f"{value}  ({fact.source})")


def _payload(detail: ApprovalDetail) -> list[Section]:
    short: list[tuple[str, str]] = []
    sections: list[Section] = []
    for name, value in detail.payload.items():
        if isinstance(value, str) and (len(value) > 60 or "\n" in value) and not value.startswith("data:"):
            sections.append(_section(name.replace("_", " "), [Line(each) for each in clean(value).split("\n")]))
        elif isinstance(value, list) and any(str(each).startswith("data:") for each in value):
            short.append((name, f"{len(value)} attached"))
        elif value not in (None, "", []):
            short += [(path, words(each)[:200]) for path, each in flat(value, name)]
    return [*sections, *([_section("what was sent", pairs(short))] if short else [])]


def evidence(detail: ApprovalDetail) -> list[Section]:
    """For and against first, then why people are asked, then what exactly would happen, then the rest."""
    row = detail.approval
    why = [Line(clean(row.reason), Tone.STRONG)]
    for match in detail.matches:
        if not match.monitor and match.decides != "allow":
            why += _rule(match, said=row.reason)
    why.append(Line(f"policy {book_words(detail.book)}", Tone.QUIET))
    why += _changed_since(detail)
    sections = [
        _section("for", [Line(f"+ {clean(each)}", Tone.GOOD) for each in detail.evidence_for] or ["nothing found"]),
        _section("against", [Line(f"- {clean(each)}", Tone.BAD) for each in detail.evidence_against] or ["nothing"]),
        _section("why a person", why),
        _section(
            f"{row.tool} ({detail.effect})",
            pairs([(path, words(value)) for path, value in flat(detail.args)]) or ["no arguments"],
        ),
        *_payload(detail),
    ]
    if detail.facts:
        sections.append(_section("facts", pairs([_fact(fact) for fact in detail.facts])))
    if detail.plan:
        marks = {"done": "✓", "dropped": "×"}
        sections.append(
            _section("plan", [Line(f"{marks.get(step.status, '·')} {clean(step.title)}") for step in detail.plan])
        )
    if detail.votes:
        sections.append(_section("votes", [_vote_line(detail, i) for i in range(len(detail.votes))]))
    return sections


def _changed_since(detail: ApprovalDetail) -> list[Line]:
    if not detail.policy_since:
        return []
    return [Line(f"policy changed since: {detail.policy_since} decides again before it runs", Tone.BAD)]


def _vote_line(detail: ApprovalDetail, index: int) -> Line:
    vote = detail.votes[index]
    told = ": ".join(each for each in (vote.reason_code, clean(vote.note)) if each)
    return Line(f"{vote.person} {vote.choice} {vote.at:%H:%M}{' — ' + told if told else ''}")


def policy(detail: ApprovalDetail) -> list[Section]:
    rules = [line for match in detail.matches for line in _rule(match)]
    facts = [
        (
            f"{fact.path}{' *' if fact.witnessed else ''}",
            f"{words(fact.value)}\n{fact.source}, {fact.at:%Y-%m-%d %H:%M}",
        )
        for fact in detail.facts
    ]
    book = [(name, value[:16] if name == "digest" else value) for name, value in detail.book.items()]
    sections = [
        _section("rules that matched", rules or ["none: without a rule nothing runs"]),
        _section("who decides", [_asked(detail.approval)]),
        _section("book", [*pairs(book), *_changed_since(detail)]),
    ]
    if facts:
        sections.append(_section("facts (* must still hold when it runs)", pairs(facts)))
    return sections


def _asked(row: ApprovalSummary) -> str:
    people = "1 person" if row.people == 1 else f"{row.people} different people"
    return f"{people} of {', '.join(row.groups)} (role {' or '.join(row.roles)})"


_HIDDEN = {"action", "review", "seen", "args", "facts", "book", "key", "edited_to", "due_at"}


def trace(entries: Sequence[TraceEntry]) -> list[Section]:
    lines: list[Line] = []
    for entry in entries:
        told = [
            _brief(value)
            for name, value in entry.body.items()
            if name not in _HIDDEN and value not in ("", None, {}, [])
        ]
        tone = Tone.STRONG if entry.type.startswith(("review.", "vote.", "effect.")) else Tone.PLAIN
        lines.append(Line(f"{entry.at:%H:%M:%S} {entry.type}", tone))
        if told:
            brief = " · ".join(told).replace("\n", " ")
            lines.append(Line(f"  {brief[:240]}{'…' if len(brief) > 240 else ''}", Tone.QUIET))
    return [_section("trace", lines or ["nothing yet"])]


def _brief(value: JSON) -> str:
    if isinstance(value, dict) and money_in(value) is None:
        return ", ".join(f"{path} {words(each)}" for path, each in flat(value))
    if isinstance(value, list) and any(isinstance(each, dict) for each in value):
        return f"{len(value)} entries"
    return words(value)


def headline(row: ApprovalSummary) -> str:
    amount = f" {row.money}" if row.money else ""
    text = clean(f"{row.tool}{amount} — {row.described}" if row.described else f"{row.tool}{amount}")
    return " ".join(text.split())  # a question with line breaks could pass for further rows


def row_line(row: ApprovalSummary, now: datetime) -> str:
    """One approval in one plain line, for scripts, mails and screen readers."""
    clock = countdown(row.due_at, now)
    when = f"late by {clock.text[1:]}" if clock.urgency is Urgency.LATE else f"due in {clock.text}"
    held = holder(row, now)
    parts = [row.id, when, headline(row), clean(row.subject), "/".join(row.groups)]
    return " | ".join([*(each for each in parts if each), *([f"held by {held}"] if held else [])])


def amount(text: str) -> dict[str, JSON]:
    """Money as arguments hold it, from `12.50 USD`. Raises `InvalidInput`."""
    if not text.strip():
        raise InvalidInput("An amount is missing.", hint="Write it like 150.00 USD.")
    return Money.parse(text).model_dump(mode="json")
