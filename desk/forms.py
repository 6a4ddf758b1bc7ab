"""Fields to edit an action's arguments by, made from the JSON schema of its tool."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from core.actions import JSON
from core.errors import InvalidInput
from desk.reading import amount, money_in, words


class Input(StrEnum):
    TEXT = "text"
    MONEY = "money"  # 12.50 USD
    INTEGER = "integer"
    BOOLEAN = "boolean"  # yes, no
    CHOICE = "choice"
    JSON = "json"  # lists and whatever has no simpler form


@dataclass(frozen=True)
class Field:
    path: str
    """Dotted, as in `financial_transfer.amount`."""
    input: Input
    choices: tuple[str, ...] = ()
    optional: bool = False
    """May be null: an empty text stands for it."""

    def shown(self, value: JSON) -> str:
        """The value as text that `read` takes back."""
        if value is None:
            return ""
        if self.input is Input.JSON:
            return json.dumps(value, ensure_ascii=False)
        return words(value) if self.input in {Input.MONEY, Input.BOOLEAN} else str(value)

    def read(self, text: str) -> JSON:
        """The typed value. Raises `InvalidInput` that names the field."""
        if self.optional and not text.strip():
            return None
        try:
            return self._value(text)
        except (ValueError, KeyError, InvalidInput) as error:
            told = error.detail if isinstance(error, InvalidInput) else _wanted(self)
            hint = error.hint if isinstance(error, InvalidInput) else ""
            raise InvalidInput(f"{self.path}: {told}", field=f"args.{self.path}", hint=hint) from error

    def _value(self, text: str) -> JSON:
        match self.input:
            case Input.MONEY:
                return amount(text)
            case Input.INTEGER:
                return int(text.strip())
            case Input.BOOLEAN:
                return {"yes": True, "true": True, "no": False, "false": False}[text.strip().lower()]
            case Input.CHOICE:
                if text not in self.choices:
                    raise ValueError(text)
                return text
            case Input.JSON:
                return json.loads(text)
            case Input.TEXT:
                return text


def _wanted(field: Field) -> str:
    return {
        Input.INTEGER: "write a whole number",
        Input.BOOLEAN: "write yes or no",
        Input.CHOICE: f"choose one of {', '.join(field.choices)}",
        Input.JSON: "write valid JSON",
    }.get(field.input, "it is not acceptable")


def fields(schema: Mapping[str, Any], args: Mapping[str, JSON]) -> list[Field]:
    """A field for each argument, in the schema's order. Objects that are set are taken apart."""
    return _object(schema, schema, args, "")


def _object(root: Mapping[str, Any], schema: Mapping[str, Any], value: Mapping[str, JSON], path: str) -> list[Field]:
    found: list[Field] = []
    for name, raw in schema.get("properties", {}).items():
        where = f"{path}.{name}" if path else name
        each, optional = _resolved(root, raw)
        inner = value.get(name)
        if _kind(each) is Input.JSON and each.get("properties") and isinstance(inner, dict):
            found += _object(root, each, inner, where)
        else:
            kind = _kind(each)
            choices = {Input.CHOICE: tuple(each.get("enum", ())), Input.BOOLEAN: ("no", "yes")}.get(kind, ())
            found.append(Field(where, kind, choices, optional))
    return found


def _resolved(root: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Follows references, and takes `null` out of a union; a union of more than one other thing stays JSON."""
    if "$ref" in schema:
        return _resolved(root, root.get("$defs", {}).get(str(schema["$ref"]).rsplit("/", 1)[-1], {}))
    branches: Sequence[Mapping[str, Any]] = schema.get("anyOf", ())
    if not branches:
        return schema, False
    others = [each for each in branches if each.get("type") != "null"]
    optional = len(others) < len(branches)
    if len(others) != 1:
        return {}, optional
    return _resolved(root, others[0])[0], optional


def _kind(schema: Mapping[str, Any]) -> Input:
    if schema.get("properties", {}).keys() == {"amount_minor", "currency"}:
        return Input.MONEY
    if schema.get("enum") and all(isinstance(each, str) for each in schema["enum"]):
        return Input.CHOICE
    plain = {"string": Input.TEXT, "integer": Input.INTEGER, "boolean": Input.BOOLEAN}
    return plain.get(str(schema.get("type")), Input.JSON)


def get(args: Mapping[str, JSON], path: str) -> JSON:
    value: JSON = args
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def edited(args: Mapping[str, JSON], schema: Mapping[str, Any], texts: Mapping[str, str]) -> dict[str, JSON]:
    """New arguments from the texts of some fields. What was not touched stays as it is, byte for byte."""
    known = {field.path: field for field in fields(schema, args)}
    new: dict[str, JSON] = deepcopy(dict(args))
    for path, text in texts.items():
        field = known.get(path)
        if field is None:
            raise InvalidInput(
                f"There is no argument '{path[:60]}'.", field=f"args.{path}", hint=f"There are: {', '.join(known)}."
            )
        old = get(args, path)
        if text == field.shown(old):
            continue
        *above, last = path.split(".")
        place = new
        for part in above:
            place = place[part]
        place[last] = field.read(text)
    return new


@dataclass(frozen=True)
class Change:
    path: str
    old: str
    new: str


def changes(old: Mapping[str, JSON], new: Mapping[str, JSON], path: str = "") -> list[Change]:
    """What differs, in words."""
    found: list[Change] = []
    for name in [*old, *(each for each in new if each not in old)]:
        where = f"{path}.{name}" if path else name
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict) and money_in(before) is None:
            found += changes(before, after, where)
        else:
            found.append(Change(where, words(before), words(after)))
    return found
