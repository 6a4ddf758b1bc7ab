"""One run on a thread of a kind: what is said goes to its case, and the case is followed until it rests."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from agents.conversation import Ask, Heard
from core.actions import JSON
from core.errors import Conflict, InvalidInput, NotFound
from core.people import Permission, Person, may
from core.states import FINISHED
from engine.served import Emit, Outcome, Turn
from engine.superseding import Words
from graphs.kind import TaskKind
from ledger.database import Ledger
from ledger.tables import CaseRow, TraceRow
from serving.standing import standing_of
from serving.threads.kind_input import Line, begins, known, line_of, said_in, spoken, text_of
from serving.threads.kind_rooms import Rooms
from serving.threads.kind_state import Step, Telling, begun, entries

_NEWS_S = 1.0
"""How long to wait for news before looking anyway: another process may have it."""
_ASIDES = 50
"""So many questions how it stands, and answers, are kept of a talk."""
_ENDED = "Case {case} is over: {outcome}. What you write now does not open it again."


class Run:
    def __init__(self, house: Rooms, kind: TaskKind, turn: Turn, emit: Emit) -> None:
        self._house = house
        self._kind = kind
        self._turn = turn
        self._emit = emit
        self._modes = frozenset(turn.modes)
        self._answers: list[Line] = []
        """What this run itself says, beside the case: a question back, how the case stands."""

    async def to_its_end(self) -> Outcome:
        case_id, after = await self._begun()
        if not case_id:
            return await self._no_case()
        if self._turn.resumes:
            await self._house.desk.voted(self._turn.person.workspace, case_id)
        return await self._followed(case_id, after)

    # what is said

    async def _begun(self) -> tuple[str, int]:
        """The case, and the last entry of its log that this thread's clients know. Empty while more has to be asked."""
        case_id, notes = await self._read(self._thread)
        turn = self._turn
        if turn.input is None:
            return case_id, int(notes.get("followed", 0))
        lines = said_in(turn.input, turn.run_id)
        if not case_id:
            return await self._opened(lines, notes), 0
        if lines is None:
            lines = await self._again(case_id, turn.input)
        for line in lines:
            await self._said(case_id, line)
        return case_id, int(notes.get("followed", 0))

    async def _opened(self, lines: list[Line] | None, notes: Mapping[str, Any]) -> str:
        turn = self._turn
        said = [line_of(each) for each in notes.get("said", ())]
        if lines is None:
            payload: Mapping[str, JSON] = turn.input
        else:
            new = [each for each in lines if each.id not in {known.id for known in said}]
            said += new
            if not said:
                raise InvalidInput("Nothing is said.", field="input.messages", hint="Send a message of type human.")
            found = begins(self._kind, list(spoken(said)), await self._given())
            if isinstance(found, Ask):
                back = Line(f"{turn.run_id}-ask", "ai", found.text)
                self._answers = said if said and said[-1].id == back.id else [*said, back]
                await self._write(partial(self._bind, "", self._answers))
                return ""
            payload = found.payload
        case, _ = await self._house.submit(turn.person, self._kind.name, payload, f"thread:{turn.thread_id}")
        await self._write(partial(self._bind, case.id, said))
        return case.id

    async def _given(self) -> dict[str, JSON]:
        """Fields of the case that the caller vouches for."""

        def look(ledger: Ledger) -> Mapping[str, JSON]:
            thread = ledger.threads.get(self._turn.thread_id)
            return thread.meta if thread is not None else {}

        meta = await self._read(look)
        configurable = self._turn.config.get("configurable") or {}
        return known(self._kind, meta, self._turn.metadata, configurable, self._turn.context)

    async def _again(self, case_id: str, payload: JSON) -> list[Line]:
        """A payload for a case that is there: the same one says nothing new, another one is what its text says."""

        def look(ledger: Ledger) -> CaseRow:
            return ledger.cases.get(case_id)

        case = await self._read(look)
        if dict(payload).items() <= case.payload.items():
            return []
        if not (text := text_of(self._kind, payload)):
            raise Conflict(
                f"This thread is case {case_id} already.",
                hint="Send {messages: [{type: human, content: …}]}, or make another thread.",
                present=str(case.status),
            )
        return [Line(f"{self._turn.run_id}-0", "human", text)]

    async def _said(self, case_id: str, line: Line) -> None:
        """To the case, unless it only asks how it stands."""
        talk = self._kind.converse
        heard = talk.hears(line.text) if talk is not None else Heard.NEWS
        if heard is Heard.NEWS:
            taken = await self._house.intake.say(self._turn.person, case_id, Words(key=line.id, text=line.text))
            if taken.superseded:
                told = {"superseded": taken.superseded, "case": case_id, "why": "the customer wrote again"}
                await self._emit("custom", told)
            if taken.new or taken.status not in FINISHED:
                return
        await self._tell_how_it_stands(case_id, line, news=heard is Heard.NEWS)

    async def _tell_how_it_stands(self, case_id: str, line: Line, *, news: bool) -> None:
        text = await self._read(partial(self._words, case_id, news))
        if text:
            self._answers += [line, Line(f"{line.id}-answer", "ai", text)]

    def _words(self, case_id: str, news: bool, ledger: Ledger) -> str:
        case, talk = ledger.cases.get(case_id), self._kind.converse
        if case.status in FINISHED and news:
            return _ENDED.format(case=case_id, outcome=case.outcome)
        if talk is None:
            return ""
        return talk.words(replace(standing_of(ledger, case, talk), told=()))  # its letters are in the thread

    # rows

    def _thread(self, ledger: Ledger) -> tuple[str, Mapping[str, Any]]:
        thread = ledger.threads.get(self._turn.thread_id)
        if thread is None:
            raise NotFound("There is no such thread.")
        return thread.case_id, thread.notes

    def _bind(self, case_id: str, said: Sequence[Line], ledger: Ledger) -> None:
        """The thread is this case from now on, or what was said until there is one."""
        thread = ledger.threads.get(self._turn.thread_id, lock=True)
        if thread is None:
            raise NotFound("The thread is no more.")
        ledger.threads.bind(thread, case_id, {"said": [each.kept() for each in said]})

    def _leave(self, seq: int, ledger: Ledger) -> None:
        """Later runs go on telling from here, and remember what was said beside the case."""
        thread = ledger.threads.get(self._turn.thread_id, lock=True)
        if thread is None:
            return
        asides = list(thread.notes.get("asides", ()))
        asides += [{**each.kept(), "seq": seq} for each in self._answers]
        followed = max(int(thread.notes.get("followed", 0)), seq)
        ledger.threads.note(thread, {"followed": followed, "asides": asides[-_ASIDES:]})

    # what happens

    async def _no_case(self) -> Outcome:
        values: dict[str, JSON] = {"messages": [each.shown() for each in self._answers]}
        if self._answers:
            await self._message(self._answers[-1], "conversation")
        if "values" in self._modes:
            await self._emit("values", values)
        return Outcome("success", values)

    async def _followed(self, case_id: str, after: int) -> Outcome:
        telling = await self._read(partial(self._known, case_id, after))
        if "values" in self._modes:
            await self._emit("values", telling.values())
        while True:
            ticket = self._house.stream.ticket()
            news: list[tuple[TraceRow, Step | None]] = []
            moving = await self._read(partial(self._look, telling, news))
            for row, step in news:
                await self._tell(telling, row, step)
            if not moving:
                break
            with suppress(TimeoutError):
                await asyncio.wait_for(ticket.wait(), _NEWS_S)
        for each in self._answers:
            telling.asides.append((telling.seq, each))
            if each.type == "ai":
                await self._message(each, "conversation")
        return await self._rested(telling)

    async def _rested(self, telling: Telling) -> Outcome:
        case, waiting = await self._read(lambda ledger: (ledger.cases.get(telling.case.id), telling.questions(ledger)))
        telling.status = str(case.status)
        values: dict[str, JSON] = telling.values()
        if waiting:
            shown = [each.shown() for each in waiting]
            values["__interrupt__"] = shown
            if "updates" in self._modes:
                await self._emit("updates", {"__interrupt__": shown})
        if "values" in self._modes:
            await self._emit("values", values)
        await self._write(partial(self._leave, telling.seq))
        return Outcome("interrupted" if waiting else "success", values)

    def _known(self, case_id: str, after: int, ledger: Ledger) -> Telling:
        case = ledger.cases.get(case_id)
        thread = ledger.threads.get(self._turn.thread_id)
        reads = Person(id="", workspace=case.workspace)
        with suppress(NotFound):  # who has left reads nothing any more
            roles = ledger.people.get(case.workspace, thread.opened_by).roles if thread is not None else ()
            reads = Person(id="", workspace=case.workspace, roles=frozenset(roles))
        # The run's log is one for all who may see the thread: its opener is among them.
        whole = may(self._turn.person, Permission.READ) and may(reads, Permission.READ)
        notes = thread.notes if thread is not None else {}
        telling = begun(ledger, self._kind, case, self._house.tools.specs(), notes, whole)
        if after:
            for row in entries(ledger, case_id, until=after):
                telling.take(ledger, row)
        return telling

    def _look(self, telling: Telling, news: list[tuple[TraceRow, Step | None]], ledger: Ledger) -> bool:
        """Takes what is new. Whether a segment works on the case, or will soon. It may be called again if it fails."""
        for row in entries(ledger, telling.case.id, telling.seq):
            news.append((row, telling.take(ledger, row)))
        return ledger.cases.moves(telling.case.id)

    async def _tell(self, telling: Telling, row: TraceRow, step: Step | None) -> None:
        if row.type == "model.delta" and telling.whole:
            await self._chunk(f"{telling.case.id}-thinking", str(row.body.get("text", "")), "act")
        if step is None:
            return
        if "updates" in self._modes:
            await self._emit("updates", {step.node: step.update})
        if "custom" in self._modes and step.node in ("gate", "execute"):
            await self._emit("custom", {"progress": step.node, "at": row.at.isoformat()})
        if step.said is not None:
            if step.said.type == "ai":
                await self._message(step.said, step.node)
            if "values" in self._modes:
                await self._emit("values", telling.values())

    async def _message(self, line: Line, node: str) -> None:
        await self._chunk(line.id, line.text, node)
        if "messages" in self._modes:
            await self._emit("messages/complete", [line.shown()])

    async def _chunk(self, name: str, text: str, node: str) -> None:
        """A piece of a message: of what the agent writes, or a letter as a whole."""
        meta = {"langgraph_node": node, "run_id": self._turn.run_id, "thread_id": self._turn.thread_id}
        if "messages-tuple" in self._modes:
            await self._emit("messages", [{"type": "AIMessageChunk", "id": name, "content": text}, meta])
        if "messages" in self._modes:
            await self._emit("messages/metadata", {name: {"metadata": meta}})
            await self._emit("messages/partial", [{"type": "ai", "id": name, "content": text}])

    async def _read(self, look: Any) -> Any:
        return await self._house.database.read(self._turn.person.workspace, look)

    async def _write(self, step: Any) -> None:
        await self._house.database.write(self._turn.person.workspace, step)
