"""What a case holds, by classes of data, so that a policy can say which model may see which of them.

A kind declares it for each field of its payload, a tool for its result. What nobody declared may hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class DataClass(StrEnum):
    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"
    FREE_TEXT = "free_text"
    PHOTO = "photo"
    PAYMENT = "payment"
    SPECIAL = "special"

    @property
    def doc(self) -> str:
        return _DOCS[self]


_DOCS = {
    DataClass.PUBLIC: "What anybody may read: catalogues, rules, carriers.",
    DataClass.INTERNAL: "The house's own records, with ids and amounts, but without a person's name.",
    DataClass.PERSONAL: "Names, addresses, e-mail: what tells who somebody is.",
    DataClass.FREE_TEXT: "What somebody wrote in their own words: it may hold anything.",
    DataClass.PHOTO: "Pictures that a customer sent.",
    DataClass.PAYMENT: "How somebody pays: cards, gift cards, accounts.",
    DataClass.SPECIAL: "Health, belief, origin and the like.",
}

EVERYTHING = frozenset(DataClass)


@dataclass(frozen=True)
class Field:
    """What one field of a case's payload holds."""

    classes: frozenset[DataClass]
    vouched: bool = False
    """The channel vouches for it, as for who is signed in. Everything else is what the customer wrote."""


def field(*classes: DataClass, vouched: bool = False) -> Field:
    return Field(frozenset(classes), vouched)


Fields = Mapping[str, Field]


def held_by(payload: Mapping[str, Any], fields: Fields) -> frozenset[DataClass]:
    """The classes of the fields that are filled."""
    filled = [name for name, value in payload.items() if value not in (None, "", [], {})]
    return frozenset().union(*(fields[name].classes if name in fields else EVERYTHING for name in filled))
