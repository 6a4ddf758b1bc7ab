"""The house's office: which policy is in force, what may follow it, who has which role. Implements `core.ports.Office`.

Published versions are rows of the ledger. The judge's shelf is made from them, in one swap; a version that does not
load any more is left out and told of, and the last good one stays in force.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from core.actions import JSON
from core.errors import CountersignError, InvalidInput, NotFound, PolicyInvalid, ProviderRefused, SetupError
from core.ids import digest as digest_of
from core.people import HOME, Permission, Person, require
from core.ports import CallContext
from ledger.database import Database, Ledger
from ledger.policies import point
from ledger.policy_tables import PolicyRow
from policies.book import Book, denying, load_book
from policies.bundle import Bundle, faults
from policies.problems import PolicyRefused
from policies.shelf import BookJudge
from policies.succession import Standing, misfits, otherwise
from policies.vocabulary import Vocabulary
from serving.comparing import Compared, compared, last_month

log = logging.getLogger("countersign.policy")

_GRANTED = "person.granted"
_NOTICE = timedelta(days=14)
"""How long before a version ends without another one after it this is told."""


@dataclass(frozen=True)
class _Wanted:
    """A version that somebody wants in force, and what stands before it."""

    text: str
    bundle: Bundle | None
    """None where it was published before."""
    published: list[PolicyRow]
    keys: Mapping[str, Sequence[str]]
    now: datetime

    @property
    def last(self) -> str:
        """The point of the history at which it is wanted."""
        return point(self.published[-1]) if self.published else ""


class PolicyOffice:
    def __init__(self, database: Database) -> None:
        self.judge = BookJudge({})
        self._database = database
        self._words: Mapping[str, Vocabulary] = {}
        self._books: dict[tuple[str, str], Book] = {}
        self._compared: dict[tuple[str, str, str, date], Compared] = {}
        self._head = -1
        self._denied: set[str] = set()
        """Versions that could not be read when the house opened: nothing is allowed in their place."""
        self._broken: list[str] = []
        self._told: set[tuple[str, str]] = set()

    # the shelf

    async def open(self, words: Mapping[str, Vocabulary], installed: Mapping[str, Path]) -> None:
        """Stocks the shelf. Raises `PolicyRefused` where a kind is left without any policy.

        The book that came with the installation is in force until the first one is published.
        """
        self._words = words
        rows = await self._database.read(HOME, lambda ledger: ledger.policies.published())
        for kind, path in installed.items():
            mine = [row for row in rows if row.kind == kind]
            if all(row.source == "installed" for row in mine):
                book = load_book(path, words[kind])
                if not mine or mine[-1].digest != book.digest:
                    await self._install(kind, path.read_bytes().decode(), book, mine)
        await self.refresh()
        for kind in installed:
            self.judge.versions(kind)

    async def _install(self, kind: str, text: str, book: Book, before: list[PolicyRow]) -> None:
        follows = point(before[-1]) if before else ""
        row = _row(kind, book, text, source="installed", key=f"installed:{kind}:{book.digest}:{follows[:16]}")
        row.follows = follows
        if not _is_itself(row):
            raise SetupError(f"The policy file for {kind} changed while it was read.", hint="Start again.")

        def keep(ledger: Ledger) -> None:
            if ledger.policies.by_key(row.key) is None:
                ledger.policies.publish(row)
                ledger.audit.append("policy.installed", {"kind": kind, "version": book.version, "digest": book.digest})

        await self._database.write(HOME, keep)

    async def refresh(self) -> None:
        """Takes up what was published since, here or by another process."""
        if await self._database.read(HOME, lambda ledger: ledger.policies.head()) == self._head:
            return
        rows = await self._database.read(HOME, lambda ledger: ledger.policies.published())
        self._broken = []
        for kind in self._words:
            if versions := self._standing(row for row in rows if row.kind == kind):
                self.judge.replace(kind, *versions)
        self._head = max((int(row.id or 0) for row in rows), default=0)

    def _standing(self, rows: Iterable[PolicyRow]) -> list[Standing]:
        """The first one, which came with the installation, stands from its own day; each later one from its coming.

        One that does not load is left out while the house runs. When it opens there is no last good one to go on with:
        what was published before it may be looser, so nothing is allowed until another one is published.
        """
        found: list[Standing] = []
        for row in rows:
            book = self._loaded(row)
            if book is not None:
                found.append(Standing.of(book, row.at if found else None))
            elif found and _is_itself(row) and (self._head < 0 or row.digest in self._denied):
                self._denied.add(row.digest)
                found.append(Standing(denying(found[-1].book, row.version, row.digest), row.at))
        return found

    def _loaded(self, row: PolicyRow) -> Book | None:
        why = ""
        if not _is_itself(row):
            why = "is not what was published: somebody wrote to the database."
        else:
            try:
                return self._book(row.kind, row.text, f"{row.kind} {row.version}")
            except PolicyInvalid as refused:
                why = f"does not load any more: {refused.detail}"
        told = f"The policy {row.name} {row.version} {why}"
        if told not in self._broken:
            self._broken.append(told)
            log.error("%s", told)
        return None

    def _book(self, kind: str, text: str, name: str) -> Book:
        """Raises `PolicyRefused`, `NotFound`."""
        if kind not in self._words:
            raise NotFound(f"There is no kind '{kind[:60]}'.", hint=f"There are: {', '.join(self._words)}.")
        known = self._books.get((kind, text))
        if known is None:
            known = self._books[kind, text] = load_book((name, text), self._words[kind])
        return known

    async def keep(self) -> None:
        """What the sweeper does each round: takes up news, and tells of what is about to end."""
        await self.refresh()
        now = self._database.clock.now()
        for alarm in self.alarms(now):
            if (alarm, str(now.date())) not in self._told:
                self._told.add((alarm, str(now.date())))
                log.warning("%s", alarm)

    def alarms(self, now: datetime) -> list[str]:
        """What compliance has to look after, in words."""
        found = list(self._broken)
        for kind in self._words:
            book = self.judge.at(kind, now)
            if book is None or not book.in_force.covers(now.date()):
                found.append(f"No policy is in force for {kind}: everything is denied. Publish one.")
            elif book.in_force.until is not None and book.in_force.until - now.date() <= _NOTICE:
                after = self.judge.at(kind, now + (book.in_force.until - now.date()) + timedelta(days=1))
                if after is None or not after.in_force.covers(book.in_force.until + timedelta(days=1)):
                    ends = f"The policy {book.name} {book.version} ends on {book.in_force.until}"
                    found.append(f"{ends}, and nothing follows: then everything is denied. Publish its successor.")
        return found

    # what a change is

    async def hand_in(self, person: Person, bundle: Bundle) -> str:
        """Keeps a signed policy, without any force. Returns the digest that a case names it by."""
        require(person, Permission.GOVERN)
        body = bundle.model_dump(mode="json")
        name = digest_of(body)
        await self._database.write(person.workspace, lambda ledger: ledger.policies.hand_in(name, body, person.id))
        return name

    async def examine(self, change: Mapping[str, JSON]) -> dict[str, JSON]:
        kind, version = str(change["kind"]), str(change["version"])
        try:
            wanted = await self._database.read(HOME, lambda ledger: self._wanted(ledger, change))
            book = self._book(kind, wanted.text, f"{kind} {version}")
        except PolicyRefused as refused:
            return _unfit(*map(str, refused.problems))
        except CountersignError as error:
            return _unfit(error.detail)
        known = await self._difference(kind, book, wanted)
        unsigned, misplaced = self._unsigned(kind, book, wanted), self._misplaced(book, wanted)
        return {
            "valid": not known.failed,
            "signed": not unsigned,
            "fits": not misplaced,
            "problems": [*known.failed, *unsigned, *misplaced],
            "direction": known.direction,
            "from": wanted.last,
            "summary": known.summary,
        }

    async def _difference(self, kind: str, book: Book, wanted: _Wanted) -> Compared:
        """Proofs and trial take a while, so they are made once for each point of the history and each day."""
        asked = (kind, book.digest, wanted.last, wanted.now.date())
        if asked not in self._compared:
            beside = otherwise(book, self._standing(wanted.published), wanted.now)
            trial = partial(last_month, self._database, book, self._words[kind])
            self._compared[asked] = await asyncio.to_thread(compared, book, beside, trial)
        return self._compared[asked]

    def _wanted(self, ledger: Ledger, change: Mapping[str, JSON]) -> _Wanted:
        """Raises `NotFound`, `InvalidInput`."""
        kind, version = str(change["kind"]), str(change["version"])
        published = ledger.policies.published(kind)
        if "bundle" in change:
            draft = ledger.policies.draft(str(change["bundle"]))
            if draft is None:
                raise NotFound("That policy was not handed in.", hint="countersign policy publish does it.")
            bundle = Bundle.model_validate(draft.body)
            if (bundle.manifest.kind, bundle.manifest.version) != (kind, version):
                raise InvalidInput(f"What was handed in is {bundle.manifest.kind} {bundle.manifest.version}.")
            return _Wanted(bundle.text, bundle, published, ledger.policies.trusted(), ledger.now)
        row = ledger.policies.version(kind, version)
        if row.digest != change["digest"]:
            raise InvalidInput(f"{version} of {kind} is {row.digest[:12]}, not {str(change['digest'])[:12]}.")
        return _Wanted(row.text, None, published, {}, ledger.now)

    def _unsigned(self, kind: str, book: Book, wanted: _Wanted) -> list[str]:
        if wanted.bundle is None:
            return []
        return faults(wanted.bundle, book, kind=kind, latest=wanted.last, keys=wanted.keys)

    def _misplaced(self, book: Book, wanted: _Wanted) -> list[str]:
        today = wanted.now.date()
        if wanted.bundle is None:
            return [] if book.in_force.covers(today) else [f"{book.version} is in force {book.in_force}, not now"]
        return misfits(book, self._standing(wanted.published), wanted.now)

    # what comes of it

    async def publish(self, change: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        kind, version = str(change["kind"]), str(change["version"])

        def step(ledger: Ledger) -> PolicyRow:
            earlier = ledger.policies.by_key(context.key)
            if earlier is not None:
                return earlier
            wanted = self._wanted(ledger, change)
            book = self._book(kind, wanted.text, f"{kind} {version}")
            if wrong := [*self._unsigned(kind, book, wanted), *self._misplaced(book, wanted)]:
                raise ProviderRefused(f"It can't come into force: {'; '.join(wrong)}.", reason="unfit")
            source = "published" if wanted.bundle else "rolled_back"
            row = _row(kind, book, wanted.text, source=source, key=context.key)
            row.follows = wanted.last
            row.signatures = [each.model_dump() for each in wanted.bundle.signatures] if wanted.bundle else []
            row.case_id = context.case_id
            ledger.policies.publish(row)
            told = {"kind": kind, "version": version, "digest": book.digest, "action": context.action_id}
            ledger.audit.append(f"policy.{source}", told, case_id=context.case_id)
            return row

        try:
            row = await self._database.write(context.workspace, step)
        except (PolicyInvalid, NotFound, InvalidInput) as error:
            raise ProviderRefused(error.detail, reason="unfit") from error
        await self.refresh()
        return self._published(row)

    def _published(self, row: PolicyRow) -> dict[str, JSON]:
        book = self._book(row.kind, row.text, f"{row.kind} {row.version}")
        return {"kind": row.kind, "version": row.version, "digest": row.digest, "in_force": str(book.in_force)}

    async def find(self, key: str) -> dict[str, JSON] | None:
        row = await self._database.read(HOME, lambda ledger: ledger.policies.by_key(key))
        if row is not None:
            return self._published(row)
        return await self._database.read(HOME, lambda ledger: _granted(ledger, key))

    # people

    async def person(self, name: str, case_id: str) -> dict[str, JSON]:
        def look(ledger: Ledger) -> dict[str, JSON]:
            known = next((row for row in ledger.people.everyone() if row.id == name and row.active), None)
            asked = ledger.cases.get(case_id).opened_by == name
            return {"roles": sorted(known.roles) if known else [], "asked_for_themselves": asked}

        return await self._database.read(HOME, look)

    async def grant(self, name: str, roles: Sequence[str], context: CallContext) -> dict[str, JSON]:
        def step(ledger: Ledger) -> dict[str, JSON]:
            if earlier := _granted(ledger, context.key):
                return earlier
            row = ledger.people.add(context.workspace, name, frozenset(roles))
            done: dict[str, JSON] = {"person": name, "roles": list(row.roles)}
            ledger.audit.append(_GRANTED, {**done, "key": context.key}, case_id=context.case_id)
            return done

        try:
            return await self._database.write(context.workspace, step)
        except InvalidInput as error:
            raise ProviderRefused(error.detail, reason="unfit") from error


def _granted(ledger: Ledger, key: str) -> dict[str, JSON] | None:
    """What a call with this key gave, from the audit chain. A key begins with its case."""
    for entry in ledger.audit.entries(case_id=key.partition(":")[0]):
        if entry.type == _GRANTED and (body := ledger.audit.told(entry))["key"] == key:
            return {"person": body["person"], "roles": body["roles"]}
    return None


def _row(kind: str, book: Book, text: str, *, source: str, key: str) -> PolicyRow:
    fields: dict[str, Any] = {"name": book.name, "version": book.version, "digest": book.digest, "text": text}
    return PolicyRow(kind=kind, source=source, key=key, **fields)


def _is_itself(row: PolicyRow) -> bool:
    return hashlib.sha256(row.text.encode()).hexdigest() == row.digest


def _unfit(*problems: str) -> dict[str, JSON]:
    """It can't even be read: nothing is known of what it would change."""
    return {
        "valid": False,
        "signed": False,
        "fits": False,
        "problems": list(problems),
        "direction": "unproved",
        "from": "",
        "summary": "It can't be read.",
    }
