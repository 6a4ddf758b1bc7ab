"""The words of a kind's policy: for each tool the paths that a rule may use, and their types.

Argument paths come from the tool's pydantic model, facts are declared by the kind, and the book adds
its own counts. A path that is not here is an error when the book loads.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from core.actions import Effect, Egress, ToolSpec
from core.data import DataClass
from core.model_call import MODEL_CALL, SPEC, Hosting, ModelCall
from core.money import Money
from core.verdicts import FactSpec, FactType, FactValue, Source

Read = Callable[[Any], FactValue]
"""Takes typed arguments, gives the value at a path, or None."""


class Origin(StrEnum):
    ARGS = "args"  # what the model wrote
    FACT = "fact"  # from a system of record
    COUNT = "count"  # from our own records
    GATE = "gate"  # where an argument came from, as the gate found out
    HOUSE = "house"  # the tool and the kind themselves


_PYTHON: dict[FactType, tuple[type, ...]] = {
    FactType.MONEY: (Money,),
    FactType.INTEGER: (int,),
    FactType.DECIMAL: (Decimal, int),
    FactType.BOOLEAN: (bool,),
    FactType.TEXT: (str,),
    FactType.CHOICE: (str,),
    FactType.TIME: (datetime,),
}


@dataclass(frozen=True)
class Term:
    """A path that a rule may use."""

    path: str
    type: FactType
    origin: Origin
    doc: str = ""
    choices: tuple[str, ...] = ()
    read: Read | None = None
    """For arguments."""
    constant: FactValue = None
    """For the tool's own properties, which never change."""
    least: int | None = None
    """Less than this is no value, in minor units for money."""

    def accepts(self, value: FactValue) -> bool:
        """Whether a value really is of this type: a bool is no integer, and a choice is one of its words."""
        if isinstance(value, bool):
            return self.type is FactType.BOOLEAN
        if not isinstance(value, _PYTHON[self.type]):
            return False
        if self.type is FactType.CHOICE:
            return value in self.choices
        if self.least is not None and not at_least(value, self.least):
            return False
        return not isinstance(value, Decimal) or value.is_finite()


def at_least(value: FactValue, least: int) -> bool:
    """Of money its minor units are compared."""
    amount = value.amount_minor if isinstance(value, Money) else value
    return isinstance(amount, int | Decimal) and amount >= least


Terms = Mapping[str, Term]

ALL = "all"
"""Stands for every tool of the kind in a rule's `tools`."""
_RESERVED = ("args.", "tool.", "model.", "data.")
_SOURCES = tuple(source.value for source in Source)


@dataclass(frozen=True)
class Vocabulary:
    """What one kind's book may say."""

    kind: str
    specs: Mapping[str, ToolSpec[Any]]
    """Of the kind's tools, and of the house's own `model.call`."""
    tools: Mapping[str, Terms]

    @classmethod
    def of(cls, kind: str, specs: Mapping[str, ToolSpec[Any]], facts: Iterable[FactSpec]) -> Vocabulary:
        """Raises `ValueError` where the kind's own declarations contradict each other."""
        if ALL in specs or specs.get(MODEL_CALL, SPEC) is not SPEC:
            raise ValueError(f"a tool of kind {kind} has a name of the house's: {ALL} or {MODEL_CALL}")
        own = {name: spec for name, spec in specs.items() if name != MODEL_CALL}
        declared: dict[str, FactSpec] = {}
        for fact in facts:
            ours = fact.path.startswith(_RESERVED) or fact.path == "case.kind"
            if fact.path in declared or ours or "." not in fact.path:
                raise ValueError(f"the fact {fact.path!r} of kind {kind} needs a dotted path of its own")
            if (fact.type is FactType.CHOICE) != bool(fact.choices):
                raise ValueError(f"the fact {fact.path!r} of kind {kind} is a choice exactly if it has choices")
            if unknown := set(fact.tools) - set(own):
                raise ValueError(f"the fact {fact.path!r} of kind {kind} names unknown tools: {sorted(unknown)}")
            declared[fact.path] = fact
        tools = {
            name: _house_terms(kind, spec)
            | args_terms(spec.args)
            | {
                fact.path: Term(fact.path, fact.type, Origin.FACT, fact.doc, fact.choices, least=fact.least)
                for fact in declared.values()
                if not fact.tools or name in fact.tools
            }
            for name, spec in own.items()
        }
        model_terms = {term.path: term for term in _model_terms()}
        return cls(kind, own | {MODEL_CALL: SPEC}, tools | {MODEL_CALL: _house_terms(kind, SPEC) | model_terms})

    @property
    def own(self) -> list[str]:
        """The kind's tools, which `all` stands for."""
        return [name for name in self.tools if name != MODEL_CALL]

    def with_terms(self, extra: Mapping[str, Iterable[Term]]) -> Vocabulary:
        """The same, with more terms for each of the kind's tools: the counts of a book.

        A model's call gets none, so that its verdict hangs on the book, the day and the call alone.
        """
        more = {name: {term.path: term for term in extra.get(name, ())} for name in self.own}
        return replace(self, tools={name: {**terms, **more.get(name, {})} for name, terms in self.tools.items()})


def _house_terms(kind: str, spec: ToolSpec[Any]) -> dict[str, Term]:
    terms = [
        Term("case.kind", FactType.CHOICE, Origin.HOUSE, "The kind of the case.", (kind,), constant=kind),
        Term(
            "tool.effect",
            FactType.CHOICE,
            Origin.HOUSE,
            "What running the tool changes.",
            tuple(effect.value for effect in Effect),
            constant=spec.effect.value,
        ),
    ]
    for reach in Egress:
        if reach is not Egress.NOTHING:
            terms.append(
                Term(
                    f"tool.egress.{reach.value}",
                    FactType.BOOLEAN,
                    Origin.HOUSE,
                    f"Something reaches: {reach.value.replace('_', ' ')}.",
                    constant=reach in spec.egress,
                )
            )
    return {term.path: term for term in terms}


def _model_terms() -> Iterable[Term]:
    """What a rule may ask of a model's call."""

    def term(path: str, kind: FactType, doc: str, read: Callable[[ModelCall], FactValue], *choices: str) -> Term:
        return Term(path, kind, Origin.ARGS, doc, choices, read)

    yield term("model.name", FactType.TEXT, "The model, as its server calls it.", lambda call: call.model.name)
    hosting = tuple(each.value for each in Hosting)
    told = "Whose machine it runs on."
    yield term("model.hosting", FactType.CHOICE, told, lambda call: call.model.hosting.value, *hosting)
    told = "Where its data is processed; missing where the settings do not tell."
    yield term("model.region", FactType.TEXT, told, lambda call: call.model.region or None)
    for each in DataClass:
        yield term(f"data.{each.value}", FactType.BOOLEAN, each.doc, _shows(each))


def _shows(data: DataClass) -> Callable[[ModelCall], bool]:
    return lambda call: data in call.classes


def args_terms(model: type[BaseModel]) -> dict[str, Term]:
    """Every path of an args model: nested models dotted, `.count` of lists, `.length` of text, `.source` of all these.

    Where a nested model has a field of the name `source`, that field is what the path says.
    """
    return {term.path: term for term in _fields(model, "args", lambda args: args, ())}


def _fields(model: type[BaseModel], prefix: str, holder: Read, seen: tuple[type, ...]) -> Iterable[Term]:
    if model in seen:
        return
    for name, info in model.model_fields.items():
        yield from _terms(info.annotation, f"{prefix}.{name}", _getter(holder, name), (*seen, model))


def _source(path: str) -> Term:
    return Term(f"{path}.source", FactType.CHOICE, Origin.GATE, "Who gave it, first of all.", _SOURCES)


def _getter(holder: Read, name: str) -> Read:
    def read(args: Any) -> Any:
        found = holder(args)
        return None if found is None else getattr(found, name)

    return read


def _sized(read: Read) -> Read:
    def size(args: Any) -> int | None:
        value: Any = read(args)
        return None if value is None else len(value)

    return size


def _terms(annotation: Any, path: str, read: Read, seen: tuple[type, ...]) -> Iterable[Term]:
    annotation = _bare(annotation)
    origin = get_origin(annotation)

    def term(kind: FactType, choices: tuple[str, ...] = ()) -> Term:
        return Term(path, kind, Origin.ARGS, choices=choices, read=read)

    if origin is Literal and all(isinstance(word, str) for word in get_args(annotation)):
        yield term(FactType.CHOICE, get_args(annotation))
    elif origin in (list, tuple, set, frozenset, dict):
        yield _source(path)
        yield Term(f"{path}.count", FactType.INTEGER, Origin.ARGS, "How many there are.", read=_sized(read))
    elif not isinstance(annotation, type):
        return  # a union of several types, or something else that no rule can compare
    elif issubclass(annotation, Money):
        yield _source(path)
        yield term(FactType.MONEY)
    elif issubclass(annotation, BaseModel):
        yield _source(path)  # a field of this name comes after it, and wins
        yield from _fields(annotation, path, read, seen)
    elif issubclass(annotation, StrEnum):
        yield term(FactType.CHOICE, tuple(member.value for member in annotation))
    elif issubclass(annotation, str):
        yield _source(path)
        yield term(FactType.TEXT)
        yield Term(f"{path}.length", FactType.INTEGER, Origin.ARGS, "Characters in it.", read=_sized(read))
    else:
        for python, kind in (
            (bool, FactType.BOOLEAN),
            (int, FactType.INTEGER),
            (Decimal, FactType.DECIMAL),
            (datetime, FactType.TIME),
        ):
            if issubclass(annotation, python):
                yield term(kind)
                return


def _bare(annotation: Any) -> Any:
    """Without `Annotated` and `| None`: an optional argument that is absent is a missing fact."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation
