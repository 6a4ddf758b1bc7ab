"""A policy book: read from YAML, checked against the vocabulary of its kind, frozen.

A book with any problem is refused as a whole, with every problem's line and column. So is one whose
own examples do not hold.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

from core.errors import NotFound, SetupError
from core.ports import Count
from core.verdicts import BookRef, FactValue, ReviewerSet
from policies.clauses import Example, InForce, Never, Rule
from policies.conditions import LimitRef
from policies.document import MAX_BYTES, read_document
from policies.examples import ExampleReader, Result, try_example
from policies.problems import At, PolicyRefused, Problem, Problems
from policies.program import Program
from policies.reading import Fields
from policies.rulebook import Body
from policies.sections import Names, read_counts, read_in_force, read_limits, read_reviewers
from policies.values import Unfit, seconds
from policies.vocabulary import Vocabulary

Source = Path | tuple[str, str]
"""A file, or a name for messages and the text."""

_KEYS = (
    *("policy", "version", "replaces", "owner", "in_force", "approved_by", "limits", "counts", "reviewers"),
    *("facts_fresh_for", "if_no_rule", "rules", "never", "examples"),
)
_REQUIRED = ("policy", "version", "owner", "in_force", "rules")
_FRESH_S = 900


@dataclass(frozen=True)
class Book:
    """One version of one kind's policy. `digest` is the SHA-256 of the file's bytes."""

    file: str
    name: str
    version: str
    digest: str
    owner: str
    in_force: InForce
    replaces: str
    """The version inside whose dates this one begins, if it does."""
    approved_by: tuple[str, ...]
    limits: Mapping[str, LimitRef]
    counts: Mapping[str, Count]
    reviewers: Mapping[str, ReviewerSet]
    fresh_s: int
    """A fact older than this is stale: as good as missing."""
    rules: tuple[Rule, ...]
    never: tuple[Never, ...]
    examples: tuple[Example, ...]
    typical: Mapping[str, Mapping[str, FactValue]]
    """What the examples start from, for each tool."""
    vocabulary: Vocabulary
    """The kind's, with this book's counts."""
    places: Mapping[str, At]
    """Where limits, counts and reviewer groups are defined."""

    @cached_property
    def ref(self) -> BookRef:
        return BookRef(policy=self.name, version=self.version, digest=self.digest)

    @cached_property
    def programs(self) -> Mapping[str, Program]:
        """For each tool that has a rule."""
        tools = {tool for rule in self.rules for tool in rule.conditions}
        return {tool: Program.of(tool, self.rules, self.vocabulary.tools[tool]) for tool in sorted(tools)}

    def program(self, tool: str) -> Program:
        """The tool's rules; an empty program, which denies, where there are none."""
        return self.programs.get(tool) or Program(tool, (), {}, (), ())

    @cached_property
    def _wanted(self) -> Mapping[str, frozenset[str]]:
        found = {}
        for tool in self.vocabulary.tools:
            read = {term.path for term in self.program(tool).facts}
            counted_by = {count.fact for name, count in self.counts.items() if name in read and count.fact}
            found[tool] = frozenset(read - self.counts.keys() | counted_by | self.remembers(tool))
        return found

    def wants(self, tool: str) -> frozenset[str]:
        """The facts that a decision on the tool needs of the systems of record."""
        return self._wanted.get(tool, frozenset())

    def remembers(self, tool: str) -> frozenset[str]:
        """The facts by which a run of the tool is counted later."""
        return frozenset(count.fact for count in self.counts.values() if tool in count.tools and count.fact)

    def try_examples(self) -> list[Result]:
        return [try_example(example, self.program(example.tool)) for example in self.examples]


def denying(like: Book, version: str, digest: str) -> Book:
    """Stands for a version that can't be read: without a rule everything is denied."""
    always = InForce(date.min, None)
    return replace(like, version=version, digest=digest, in_force=always, rules=(), never=(), examples=())


def load_book(source: Source, vocabulary: Vocabulary) -> Book:
    """A book that may come into force. Raises `PolicyRefused` with every problem, failing examples included."""
    book = read_book(source, vocabulary)
    wrong = [
        Problem(
            book.file,
            result.example.at.line,
            result.example.at.column,
            f"example {result.example.number}: expected '{result.example.text}'; {result.wrong}",
            "Correct the rule or the example.",
        )
        for result in book.try_examples()
        if result.wrong
    ]
    if wrong:
        raise PolicyRefused(wrong)
    return book


def read_book(source: Source, vocabulary: Vocabulary) -> Book:
    """The same, but its examples are not tried. Raises `PolicyRefused`."""
    file, data = _bytes(source)
    problems = Problems(file)
    table = read_document(data, problems)
    if table is None:
        raise PolicyRefused(problems.found)
    book = Fields(table, problems)
    book.only(_KEYS, required=_REQUIRED)
    names = Names()
    in_force = read_in_force(book)
    read_limits(book, names)
    words = read_counts(book, vocabulary, names)
    read_reviewers(book, names)
    fresh_s = book.read("facts_fresh_for", seconds) if book.entry("facts_fresh_for") else _FRESH_S
    book.read("if_no_rule", _only_deny)
    approved_by = tuple(scalar.text for scalar in book.scalars("approved_by"))
    body = Body(book, words, names)
    rules, never = body.rules(), body.never()
    typical, examples = ExampleReader(book, words, body.ids, names.reviewers, names.broken).read()
    name, version, owner = book.text("policy"), book.text("version"), book.text("owner")
    replaces = book.text("replaces")
    if problems.found or in_force is None or fresh_s is None:
        raise PolicyRefused(problems.found)
    return Book(
        file=file,
        name=name,
        version=version,
        digest=hashlib.sha256(data).hexdigest(),
        owner=owner,
        in_force=in_force,
        replaces=replaces,
        approved_by=approved_by,
        limits=names.limits,
        counts=names.counts,
        reviewers=names.reviewers,
        fresh_s=fresh_s,
        rules=rules,
        never=never,
        examples=examples,
        typical=typical,
        vocabulary=words,
        places=names.places,
    )


def _bytes(source: Source) -> tuple[str, bytes]:
    """The whole file. Raises `SetupError` where somebody saved it meanwhile: half of two versions is neither."""
    if not isinstance(source, Path):
        return source[0], source[1].encode()
    try:
        with source.open("rb") as file:
            before = _stamp(os.fstat(file.fileno()))
            data = file.read(MAX_BYTES + 1)
            after = [_stamp(os.fstat(file.fileno())), _stamp(source.stat())]
    except FileNotFoundError as error:
        raise NotFound(f"There is no policy file {source}.", hint="Check the path.") from error
    except OSError as error:
        raise SetupError(f"{source} can't be read: {error.strerror}.", hint="Check its permissions.") from error
    if after != [before, before]:
        raise SetupError(f"{source} changed while it was read.", hint="Save it and try again.")
    return source.name, data


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    """What is another after a change. A pipe's own time and size say nothing: reading it changes them."""
    which = (found.st_dev, found.st_ino)
    return (*which, found.st_mtime_ns, found.st_size) if stat.S_ISREG(found.st_mode) else which


def _only_deny(text: str) -> str:
    if text != "deny":
        raise Unfit("without a rule an action is denied, always", "Write if_no_rule: deny, or leave it out.")
    return text
