"""Which answer of a resume belongs to which open question, and what it says. Pure; decides nothing.

A client may send, in `command.resume`,

    {ID: ANSWER, …}                     keyed by the interrupt's id: whatever else is open stays open
    {"decisions": [ANSWER, …]}          by position, one for each action that is asked about (langchain 1.x)
    [ANSWER, …]                         the same, as Agent Inbox sends it
    ANSWER                              where one question is open

An answer is `{type: accept | edit | response | ignore, args}` (Agent Inbox) or `{type: approve | edit | reject |
respond, edited_action, message}` (langchain 1.x), and may bring `seen`, `reason_code` and `note`. What is no such
answer is a value for a plain graph, which asked for it in words of its own: see `fit`. Positions are those of what the
sender was shown: a resume without ids never reaches a question that came up behind their back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from core.actions import JSON
from core.errors import AlreadyDecided, InvalidInput, StaleState
from engine.served import Asked

_LIKE_AN_ID = re.compile(r"^([0-9a-f]{32}|rev_[0-9a-z]{26})$")
"""An interrupt's id: LangGraph's 128 bits, or a review's."""
_TEXT = 4_000
"""Characters of what a person writes beside an answer."""
_SHAPES = (
    "Send {ID: {type: approve | edit | reject | respond}}, {decisions: [{type: …}, …]} or [{type: accept | edit | "
    "response | ignore, args: …}]."
)


class Says(StrEnum):
    APPROVE = "approve"
    EDIT = "edit"
    REJECT = "reject"
    RESPOND = "respond"
    IGNORE = "ignore"
    """Not now: nothing is decided."""


_WORDS = {
    "accept": Says.APPROVE,
    "approve": Says.APPROVE,
    "edit": Says.EDIT,
    "reject": Says.REJECT,
    "response": Says.RESPOND,
    "respond": Says.RESPOND,
    "ignore": Says.IGNORE,
}


@dataclass(frozen=True)
class Answer:
    """What one person says to one question about an action."""

    question: str
    says: Says
    message: str = ""
    action: str = ""
    """The name of the edited action; empty where the client left it as it was."""
    args: Mapping[str, JSON] = field(default_factory=dict)
    """The edited arguments, all of them. An approval may repeat those that it means."""
    seen: str = ""
    reason_code: str = ""


def fit(
    resume: JSON, asked: Sequence[Asked], *, settled: Mapping[str, str], shown: Sequence[str] | None = None
) -> dict[str, JSON]:
    """The value for each question that the resume answers, by id, in the form in which the question was asked.

    `settled` tells of each question that is not open any more how it ended ("approved by rita"), the last one last.
    `shown` are the ids that the sender was shown last, in their order; None where anything that is open counts.
    Raises `AlreadyDecided`, `StaleState` (409) and `InvalidInput` (422); nothing was answered then.
    """
    if resume is None:
        raise InvalidInput("The resume says nothing.", field="command.resume", hint=_SHAPES)
    if isinstance(resume, dict) and _keyed(resume, asked, settled):
        return _by_id(resume, asked, settled)
    _still_asked(asked, settled, shown)
    if len(asked) == 1:
        _enough(resume, _requests(asked[0].value))
        return {asked[0].id: resume}
    match resume:
        case {"decisions": list(said), **rest} if not rest:
            return {one.id: {"decisions": part} for one, part in _parts(resume, said, asked)}
        case [{"type": _}, *_] as said:
            return {one.id: part for one, part in _parts(resume, said, asked)}
        case _:
            raise InvalidInput(
                f"{len(asked)} questions are open, and the answer does not say which one it means.",
                field="command.resume",
                hint=f"Key it by id: {{ID: …}} with {', '.join(each.id for each in asked)}.",
            )


def read(question: str, value: JSON, where: str = "command.resume") -> Answer:
    """An answer about one action, in whichever shape it came. Raises `InvalidInput`, which names the field."""
    match value:
        case {"decisions": [one], **rest} if not rest:
            return read(question, one, f"{where}.decisions.0")
        case {"decisions": list(said), **rest} if not rest:
            raise InvalidInput(f"One action is asked about, and {len(said)} answers came.", field=where, hint=_SHAPES)
        case [one]:
            return read(question, one, f"{where}.0")
        case {"type": str(word)} if word in _WORDS:
            return _read(question, _WORDS[word], value, where)
        case {"type": word}:
            raise InvalidInput(f"'{str(word)[:40]}' is no answer here.", field=f"{where}.type", hint=_SHAPES)
        case _:
            raise InvalidInput("That is no answer to a question about an action.", field=where, hint=_SHAPES)


def _read(question: str, says: Says, given: Mapping[str, Any], where: str) -> Answer:
    older = given.get("args")
    message = _text(given, "message", where) or _text(given, "note", where)
    action, args = "", {}
    if says is Says.EDIT:
        edited = given.get("edited_action", older)
        match edited:
            case {"name": str(name), "args": dict(new)} | {"action": str(name), "args": dict(new)}:
                action, args = name, dict(new)
            case dict(new) if "edited_action" not in given and "args" not in new:
                args = dict(new)
            case _:
                raise InvalidInput(
                    "An edit brings the action with all its arguments.",
                    field=f"{where}.edited_action",
                    hint="Send edited_action: {name, args}, or args: {action, args}.",
                )
    elif isinstance(older, str):
        message = message or _bounded(older, f"{where}.args")
    elif says is Says.APPROVE:
        match older:
            case {"action": str(action), "args": dict(args)}:
                pass
            case None:
                pass
            case _:
                raise InvalidInput("What is approved can't be read.", field=f"{where}.args", hint="Send args: null.")
    if says is Says.RESPOND and not message:
        raise InvalidInput("A response without words says nothing.", field=f"{where}.message", hint="Write some.")
    return Answer(
        question=question,
        says=says,
        message=message,
        action=action,
        args=args,
        seen=_text(given, "seen", where),
        reason_code=_text(given, "reason_code", where),
    )


def _text(given: Mapping[str, Any], name: str, where: str) -> str:
    value = given.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInput(f"'{name}' is to be a text.", field=f"{where}.{name}")
    return _bounded(value, f"{where}.{name}")


def _bounded(text: str, where: str) -> str:
    if len(text) > _TEXT:
        raise InvalidInput(f"It is longer than {_TEXT:,} characters.", field=where, hint="Write less.")
    return text


def _keyed(resume: Mapping[str, JSON], asked: Sequence[Asked], settled: Mapping[str, str]) -> bool:
    """Whether its keys are ids of questions, known here or not."""
    known = {each.id for each in asked} | settled.keys()
    return any(key in known or _LIKE_AN_ID.match(key) for key in resume)


def _by_id(resume: Mapping[str, JSON], asked: Sequence[Asked], settled: Mapping[str, str]) -> dict[str, JSON]:
    open_ = {each.id: each for each in asked}
    for key in resume:
        if key in open_:
            continue
        if key in settled:
            raise AlreadyDecided(
                f"'{key}' is answered: {settled[key]}.", hint="Nothing is left to answer there.", present=settled[key]
            )
        raise InvalidInput(
            f"No question of this thread has the id '{key[:60]}'.",
            field=f"command.resume.{key[:60]}",
            hint=f"Open now: {', '.join(open_) or 'none'}.",
        )
    for key, value in resume.items():
        _enough(value, _requests(open_[key].value))
    return dict(resume)


def _still_asked(asked: Sequence[Asked], settled: Mapping[str, str], shown: Sequence[str] | None) -> None:
    """Whether an answer without ids means what is open now."""
    missed = [f"'{each}' was {settled[each]}" for each in shown or () if each in settled]
    if missed:
        raise AlreadyDecided(
            f"What you were shown is answered: {'; '.join(missed)}.",
            hint="Read the thread's state for what is open now.",
            present=missed[-1],
        )
    if not asked:
        last = next(reversed(list(settled.items())), None)
        how = f": '{last[0]}' was {last[1]}" if last else ""
        raise StaleState(
            f"Nothing is asked on this thread{how}.",
            hint="Read the thread's state.",
            present=last[1] if last else "no question",
        )
    if shown is not None and list(shown) != [each.id for each in asked]:
        raise StaleState(
            "What is asked now is not what you were shown last.",
            hint=f"Read the thread's state, or key the answer by id: {', '.join(each.id for each in asked)}.",
            present=", ".join(each.id for each in asked),
        )


def _requests(value: Any) -> int | None:
    """How many actions a question asks about; None where it asks in words of its own."""
    match value:
        case {"action_requests": list(requests)} if requests:
            return len(requests)
        case {"action_request": _}:
            return 1
        case [{"action_request": _}, *_]:
            return len(value)
        case _:
            return None


def _enough(resume: JSON, count: int | None) -> None:
    """Answers by position are as many as the actions that are asked about."""
    match resume:
        case {"decisions": list(said), **rest} if not rest:
            where = "command.resume.decisions"
        case [{"type": _}, *_] as said:
            where = "command.resume"
        case _:
            return
    if count is not None and len(said) != count:
        raise InvalidInput(
            f"Actions asked about: {count}; answers that came: {len(said)}.",
            field=where,
            hint="Answer each, in the order in which they are asked, or key the answers by id.",
        )


def _parts(resume: JSON, said: Sequence[JSON], asked: Sequence[Asked]) -> Iterator[tuple[Asked, list[JSON]]]:
    counts = [_requests(each.value) or 1 for each in asked]
    _enough(resume, sum(counts))
    at = 0
    for each, count in zip(asked, counts, strict=True):
        yield each, list(said[at : at + count])
        at += count
