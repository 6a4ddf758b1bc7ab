"""Writes letters as customers do: a voice, the facts of a story, and the mess around them.

A letter is put together from `phrases`, then spoilt: typing errors, capitals, a quoted confirmation,
a forwarded thread, a signature. It carries only what its writer would say, never the hidden truth.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random

from tools.returns.models import Reason, Resolution
from tools.returns.simulated import phrases

PLURAL = (
    "chinos jeans leggings pyjamas trunks shoes sneakers boots loafers heels sandals slippers headphones earbuds bulbs "
    "towels plates dumbbells bands balms"
)
VOICES: dict[str, float] = {
    "plain": 30, "terse": 16, "chatty": 13, "angry": 12, "sorry": 8, "formal": 9, "foreign": 12,
}  # fmt: skip
WHO = {
    "my wife": "her", "my husband": "him", "my daughter": "her", "my flatmate": "them", "my dad": "him",
    "my partner": "them",
}  # fmt: skip
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Item:
    """What is said of one line of an order."""

    title: str
    noun: str
    category: str
    options: Mapping[str, str]
    quantity: int
    bought: int
    reason: Reason
    target: str = ""
    """What the writer wants instead, such as `size M`."""


@dataclass(frozen=True)
class Story:
    """All that the writer tells. `order_id` is None where they don't give a number."""

    name: str
    order_id: str | None
    placed: datetime
    days: int
    """Since the parcel came."""
    items: tuple[Item, ...]
    everything: bool
    """The items are the whole order."""
    wants: Resolution | None
    turn: str = ""
    """`late`, `sold_off`, `twice`, `never_came`, `before_fake`, or nothing out of the ordinary."""
    orders: str = ""
    """Instructions to the agent, hidden in or added to the letter."""
    receipt: tuple[str, ...] = ()
    """Lines of the order confirmation, for those who quote it."""


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.strip("\n").splitlines() if line.strip()]


class _Pen:
    def __init__(self, story: Story, random: Random, voice: str) -> None:
        self._story, self._random, self._voice = story, random, voice

    def one_of(self, piped: str) -> str:
        return self._random.choice(piped.split("|"))

    def fill(self, template: str, item: Item | None = None) -> str:
        random, story = self._random, self._story
        item = item or story.items[0]
        many = item.quantity > 1 or _is_plural(item.noun)
        size, color = item.options.get("size", "size"), item.options.get("color", "colour")
        options = " ".join(item.options.values())
        words = {
            "noun": _plural(item.noun) if many else item.noun, "title": item.title, "size": size, "color": color,
            "options_or_noun": f"{options} one" if options else item.noun,
            "size_up": f"the {size}" if "size" in item.options else f"the {item.noun}",
            "it": "they" if many else "it", "it_acc": "them" if many else "it", "this": "these" if many else "this",
            "is": "are" if many else "is", "was": "were" if many else "was", "has": "have" if many else "has",
            "s": "" if many else "s", "es": "" if many else "es",
            "who": (who := random.choice(list(WHO))), "them": WHO[who],
            "few": random.choice(("two", "three", "a few", "ten")),
            "when": random.choice(("yesterday", "last night", "on Sunday", "this morning", "at the weekend")),
            "when_next": random.choice(("next Friday", "in two weeks", "at the end of the month")),
            "event": random.choice(("a wedding", "my birthday", "our holiday", "a job interview", "the new flat")),
            "target": item.target or "another one", "placed": self.date(), "days": str(story.days),
            "ref": self.reference(), "big": "",
        }  # fmt: skip
        return template.format_map(words)

    def date(self) -> str:
        return self._story.placed.strftime(self._random.choice(("%d %B", "%B %d", "%d.%m.%Y", "%m/%d", "%Y-%m-%d")))

    def reference(self) -> str:
        ref = self._story.order_id or ""
        digits = ref.removeprefix("ORD-")
        return self._random.choice((ref, ref, ref, digits, f"#{digits}", ref.lower()))

    def naming(self) -> str:
        text = phrases.NAMING if self._story.order_id else phrases.NO_NUMBER
        return self.fill(self._random.choice(lines_of(text)))

    def what(self, item: Item) -> str:
        """`one of the two shirts (size M, navy)`."""
        detail = ", ".join(f"{name} {value}" if name != "color" else value for name, value in item.options.items())
        noun = _plural(item.noun) if max(item.quantity, item.bought) > 1 else item.noun
        shown = self._random.choice((noun, item.title, noun if not detail else f"{noun} ({detail})"))
        if item.bought == 1 and item.quantity == 1:
            return f"the {shown}"
        if item.quantity == item.bought:
            return self._random.choice((f"all {item.quantity} of the {shown}", f"the {shown}, {item.quantity} pieces"))
        if item.quantity > item.bought:
            return f"{item.quantity} x {shown}"
        some, whole = NUMBERS[min(item.quantity, 6)], NUMBERS[min(item.bought, 6)]
        return self._random.choice((f"{some} of the {whole} {shown}", f"{item.quantity} of my {item.bought} {shown}"))

    def why(self, item: Item) -> str:
        match self._story.turn:
            case "never_came":
                pool = lines_of(phrases.NEVER_CAME)
            case "before_fake":
                pool = lines_of(phrases.BEFORE_FAKE)
            case _:
                pool = lines_of(phrases.WHY[item.reason]) + 2 * lines_of(
                    phrases.WHY_IN.get((item.reason, item.category), "")
                )
        return self.fill(self._random.choice(pool), item)

    def returning(self) -> str:
        """The sentence that says what comes back."""
        named = [self.what(item) for item in self._story.items]
        both = "both" if len(named) == 2 else "everything"
        listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
        if self._story.everything and len(named) > 1:
            listed = self._random.choice((f"{both}: {listed}", f"the whole order, so {listed}", f"{listed}, {both}"))
        pattern = {
            "terse": "Return {}|Sending back {}|{}|Want to return {}",
            "angry": "I'm sending back {}|Take back {}|I demand to return {}",
            "formal": "I wish to return {}|I hereby give notice that I am returning {}|I should like to send back {}",
            "foreign": "I want make return of {}|I like to give back {}|Please I need to send back {}",
        }.get(self._voice, "I'd like to return {}|I need to send back {}|it's about {}|I want to return {}")
        return self.one_of(pattern).format(listed)

    def middle(self) -> list[str]:
        story, random = self._story, self._random
        if len(story.items) > 1:
            whys = [f"{item.noun}: {self.why(item)}" for item in story.items]
            told = "\n" + "\n".join(f"- {why}" for why in whys) + "\n" if random.random() < 0.5 else ". ".join(whys)
        else:
            told = self.why(story.items[0])
        extra = {"late": phrases.LATE, "sold_off": phrases.SOLD_OFF}.get(story.turn, "")
        before = [self.one_of(extra)] if extra else []
        if story.turn == "twice":
            before.append(self.fill(random.choice(lines_of(phrases.TWICE))))
        parts = [self.returning(), told] if story.turn != "never_came" else [told]
        named = self.naming()
        parts.insert(random.randrange(2), named)
        if random.random() < 0.3 and self._voice != "formal":
            parts.reverse()
        return [*before, *parts, self.fill(self.one_of(phrases.FILL[self._voice]))]

    def write(self) -> str:
        story = self._story
        ask = self.fill(self._random.choice(lines_of(phrases.ASK[story.wants])))
        body = [_sentence(part) for part in self.middle() if part]
        body.insert(len(body) - self._random.randrange(2), ask)
        joint = "\n" if self._voice == "terse" or self._random.random() < 0.2 else " "
        first = story.name.split()[0]
        sign = first if self._random.random() < 0.6 else story.name
        end = "\n".join(part for part in (self.one_of(phrases.CLOSE[self._voice]), sign) if part)
        opening = self.one_of(phrases.OPEN[self._voice])
        text = re.sub(r" ?\n ?", "\n", joint.join(body)).strip()
        return "\n\n".join(part for part in (opening, text, end) if part)


def _is_plural(noun: str) -> bool:
    return noun.split()[-1] in PLURAL.split()


def _plural(noun: str) -> str:
    if _is_plural(noun):
        return noun
    return f"{noun}es" if noun[-1] in "sx" else f"{noun}s"


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?\n" else f"{text}."


def _typos(text: str, random: Random) -> str:
    """Swaps two neighbouring letters in a few longer words; numbers stay whole."""

    def swap(match: re.Match[str]) -> str:
        word = match[0]
        if random.random() > 0.07:
            return word
        at = random.randrange(1, len(word) - 2)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]

    return re.sub(r"[a-z]{5,}", swap, text)


def _broken_english(text: str, random: Random) -> str:
    """Drops half of the articles."""
    return re.sub(r"\b(the|a|an) ", lambda found: "" if random.random() < 0.5 else found[0], text)


def _mess(random: Random, voice: str) -> Callable[[str], str]:
    """What the writer's hand does to the text."""
    roll = random.random()
    if voice == "angry" and roll < 0.35:
        return str.upper
    if voice == "foreign":
        return lambda text: _broken_english(text, random)
    if voice in ("plain", "terse") and roll < 0.22:
        return lambda text: re.sub(r"[.,']", "", _typos(text, random)).lower().replace("ord-", "ORD-")
    if voice != "formal" and roll < 0.45:
        return lambda text: _typos(text, random)
    return lambda text: text


def _around(text: str, story: Story, random: Random) -> str:
    """Signature, quoted confirmation, forwarded thread."""
    roll = random.random()
    quoted = "\n".join(f"> {line}" for line in story.receipt)
    if roll < 0.08 and story.receipt and story.order_id:
        return f"{text}\n\nOn {story.placed:%d %b %Y} the shop wrote:\n{quoted}\n"
    if roll < 0.13 and story.order_id:
        head = f"From: {story.name}\nDate: {story.placed:%a, %d %b %Y}\nSubject: Fwd: your order {story.order_id}"
        return f"---------- Forwarded message ----------\n{head}\n\n{text}"
    if roll < 0.19:
        return f"{text}\n\n--\n{story.name}\n{random.choice(('Office manager', 'Music teacher', 'Sent on the train'))}"
    if roll < 0.25:
        return f"{text}\n\nSent from my phone"
    if roll < 0.28:
        return f"{text}\n\nP.S. {random.choice(('Please answer by email, I work shifts.', 'Love the new website!'))}"
    return text


def write_letter(story: Story, random: Random) -> str:
    voice = random.choices(list(VOICES), list(VOICES.values()))[0]
    text = _mess(random, voice)(_Pen(story, random, voice).write())
    if story.orders:
        first, gap, rest = text.partition("\n\n")
        text = f"{first}{gap}{story.orders}\n\n{rest}" if random.random() < 0.3 else f"{text}\n\n{story.orders}"
    return _around(text, story, random).strip()
