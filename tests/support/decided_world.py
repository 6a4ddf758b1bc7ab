"""A generated returns world, run through the house under one policy, with people who decide all that waits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from core.clock import FakeClock
from core.people import Person
from core.settings import Settings
from engine.decisions import Choice, Decision
from graphs.catalog import book_of, find
from ledger.database import Ledger
from serving.house import House, open_house, owner
from tools.fulfillment.shop import EmbeddedShop

KIND, WORKSPACE = "returns", "default"


@dataclass(frozen=True)
class Waiting:
    review: str
    described: str
    seats: list[tuple[str, str]]
    """A name and a role for each person that is asked."""


async def decided_world(folder: Path, *, seed: int, cases: int, policies: Path | None = None) -> None:
    """Leaves a ledger in `folder`. What people say hangs on what is asked alone, whatever the policy."""
    clock = FakeClock()
    kind = find(KIND)
    assert kind.rehearse is not None
    stage = kind.rehearse(seed, cases, clock.now())
    settings = Settings(data=folder, policies=policies)
    async with open_house(settings, bell="tasks", clock=clock) as house:
        assert isinstance(house.shop, EmbeddedShop)
        await house.shop.load(stage.records)
        opened = {(await house.submit(owner(settings), KIND, payload, key))[0].id for key, payload in stage.requests}
        await house.settled(WORKSPACE, opened)
        while waiting := await house.database.read(WORKSPACE, _waiting):
            for each in waiting:
                await _answer(house, each)
            await house.settled(WORKSPACE, opened)


def _waiting(ledger: Ledger) -> list[Waiting]:
    return [
        Waiting(
            review.id,
            ledger.effects.action(review.action_id).described,
            [(f"{each.group}-{n}", each.role) for each in ledger.reviews.asked(review) for n in range(each.people)],
        )
        for review in ledger.reviews.queue()
    ]


async def _answer(house: House, waiting: Waiting) -> None:
    """One in five is refused; a look takes one to four minutes."""
    number = int(sha256(waiting.described.encode()).hexdigest(), 16)
    choice = Choice.REJECT if number % 5 == 0 else Choice.APPROVE
    for name, role in waiting.seats:
        person = Person(id=name, workspace=WORKSPACE, roles=frozenset({role}))

        def known(ledger: Ledger, name: str = name, role: str = role) -> str:
            ledger.people.add(WORKSPACE, name, frozenset({role}))
            review = ledger.reviews.get(waiting.review)
            return ledger.reviews.saw(review, ledger.effects.action(review.action_id).args)

        seen = await house.database.write(WORKSPACE, known)
        reason = "scripted" if choice is Choice.REJECT else ""
        decision = Decision(choice=choice, seen=seen, reason_code=reason, dwell_s=60 + number % 180)
        if (await house.desk.decide(person, waiting.review, decision)).status != "open":
            return


def shipped() -> str:
    """The book that ships, without the examples, which a planted change would make fail."""
    return re.split(r"^examples:", book_of(KIND).read_text(), flags=re.MULTILINE)[0]


def books_with(folder: Path, text: str) -> Path:
    """A folder of policies in which the returns book is another."""
    folder.mkdir()
    for book in book_of(KIND).parent.glob("*.yaml"):
        (folder / book.name).write_bytes(book.read_bytes())
    (folder / f"{KIND}.yaml").write_text(text)
    return folder
