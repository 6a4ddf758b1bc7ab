"""The arguments of an outside tool as a strict model, from the JSON schema that its server declared.

Only what can be held exactly is taken: a keyword that is not known here refuses the tool, with the place and the
reason. Text that the server wrote (titles, descriptions, examples) is left out: a model is told none of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, create_model
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError

from core.actions import JSON
from core.errors import InvalidInput

MOST_BYTES, MOST_DEPTH, MOST_NODES, MOST_CHOICES, MOST_TEXT = 32_000, 6, 200, 100, 10_000
_SAFE = 2**53 - 1
"""Beyond it whole numbers are not the same in every reader of JSON."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_ANNOTATIONS = "title description default examples deprecated readOnly writeOnly format"
_SILENT = frozenset([*_ANNOTATIONS.split(), "$schema", "$id", "$comment", "$defs", "definitions"])
"""They ask nothing of a value."""
_KNOWN = {
    "string": frozenset({"minLength", "maxLength", "pattern"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset[str](),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties", "required", "additionalProperties"}),
}
_LIMITS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "pattern": "pattern",
    "minimum": "ge",
    "maximum": "le",
    "exclusiveMinimum": "gt",
    "exclusiveMaximum": "lt",
    "minItems": "min_length",
    "maxItems": "max_length",
}


class _Args(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def args_model(tool: str, schema: JSON) -> type[BaseModel]:
    """Raises `InvalidInput` that names the place in the schema and what is wrong with it."""
    if not isinstance(schema, dict):
        _no("", "a schema is an object")
    try:
        size = len(json.dumps(schema))
    except RecursionError:
        _no("", f"it is nested more than {MOST_DEPTH} deep")
    if size > MOST_BYTES:
        _no("", f"it has more than {MOST_BYTES:,} bytes")
    return _Reader(schema).root(tool)


def _no(path: str, why: str) -> NoReturn:
    raise InvalidInput(
        f"{path or 'its schema'}: {why}.", field=path, hint="Leave the tool out, or have its owner declare it simply."
    )


class _Reader:
    def __init__(self, schema: Mapping[str, JSON]) -> None:
        self._schema = schema
        self._nodes = 0

    def root(self, tool: str) -> type[BaseModel]:
        node = self._resolved(self._schema, "", 0)
        if node.get("type") != "object":
            _no("", "the arguments are no object")
        return self._object(node, "", 0, tool)

    def _resolved(self, node: JSON, path: str, depth: int) -> dict[str, JSON]:
        """The schema itself, or what a local reference names."""
        self._nodes += 1
        if self._nodes > MOST_NODES:
            _no(path, f"it has more than {MOST_NODES} parts")
        if depth > MOST_DEPTH:
            _no(path, f"it is nested more than {MOST_DEPTH} deep")
        if not isinstance(node, dict):
            _no(path, "a schema is an object")
        if "$ref" not in node:
            return node
        if set(node) - {"$ref"} - _SILENT:
            _no(path, "beside a reference there may be nothing else")
        match = re.fullmatch(r"#/(\$defs|definitions)/([^/]+)", str(node["$ref"]))
        found = self._schema.get(match[1], {}) if match else {}
        if match is None or not isinstance(found, dict) or match[2] not in found:
            _no(path, f"there is no '{str(node['$ref'])[:60]}' in it")
        return self._resolved(found[match[2]], path, depth + 1)

    def _type(self, given: JSON, path: str, depth: int) -> tuple[Any, bool]:
        """The type of a value, and whether it may be null."""
        node = self._resolved(given, path, depth)
        if "anyOf" in node:
            return self._optional(node, path, depth)
        if "const" in node or "enum" in node:
            return self._choice(node, path)
        kinds = node.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        nullable = "null" in kinds
        kinds = [kind for kind in kinds if kind != "null"]
        if len(kinds) != 1 or kinds[0] not in _KNOWN:
            _no(path, "it has to say one type: string, integer, number, boolean, array or object")
        self._nothing_else(node, _KNOWN[kinds[0]] | {"type"}, path)
        return self._plain(kinds[0], node, path, depth), nullable

    def _optional(self, node: dict[str, JSON], path: str, depth: int) -> tuple[Any, bool]:
        self._nothing_else(node, {"anyOf"}, path)
        branches = node["anyOf"] if isinstance(node["anyOf"], list) else []
        rest = [each for each in branches if each != {"type": "null"}]
        if len(rest) != 1 or len(branches) > 2:
            _no(path, "only one type, or it and null, can be chosen from")
        found, nullable = self._type(rest[0], path, depth + 1)
        return found, nullable or len(branches) == 2

    def _choice(self, node: dict[str, JSON], path: str) -> tuple[Any, bool]:
        self._nothing_else(node, {"enum", "const", "type"}, path)
        words = [node["const"]] if "const" in node else node["enum"]
        if not isinstance(words, list) or not words or len(words) > MOST_CHOICES:
            _no(path, f"there are 1 to {MOST_CHOICES} words to choose from")
        for word in words:
            plain = word is None or isinstance(word, bool | int) or (isinstance(word, str) and len(word) <= 100)
            if not plain or (isinstance(word, str) and not word.isprintable()):
                _no(path, "a choice is a short text, a whole number, true, false or null")
        kept = tuple(word for word in words if word is not None)
        if not kept:
            _no(path, "nothing but null can be chosen")
        return Literal[kept], None in words

    def _plain(self, kind: str, node: dict[str, JSON], path: str, depth: int) -> Any:
        match kind:
            case "string":
                return self._limited(StrictStr, {"maxLength": MOST_TEXT, **node}, path)
            case "integer":
                return self._limited(StrictInt, {"minimum": -_SAFE, "maximum": _SAFE, **node}, path)
            case "number":
                return self._limited(Decimal, node, path)
            case "boolean":
                return StrictBool
            case "array":
                if "items" not in node:
                    _no(path, "it has to say what is in the list")
                inner, nullable = self._type(node["items"], f"{path}[]", depth + 1)
                many: Any = list
                return self._limited(many[inner | None if nullable else inner], {"maxItems": 1000, **node}, path)
            case _:
                return self._object(node, path, depth, re.sub(r"\W", "_", path) or "args")

    def _object(self, node: dict[str, JSON], path: str, depth: int, name: str) -> type[BaseModel]:
        self._nothing_else(node, _KNOWN["object"] | {"type"}, path)
        properties, required = node.get("properties", {}), node.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            _no(path, "properties is an object, and required a list")
        if not isinstance(node.get("additionalProperties", False), bool):
            _no(path, "names that are not declared can't have a schema")
        if unknown := [each for each in required if each not in properties]:
            _no(path, f"it requires '{str(unknown[0])[:60]}', which it does not declare")
        if depth and not properties:
            _no(path, "an object has to name what is in it")
        fields: dict[str, Any] = {}
        for each, inner in properties.items():
            place = f"{path}.{each[:64]}" if path else each[:64]
            if not _NAME.fullmatch(each) or hasattr(BaseModel, each):
                _no(place, "that can't be the name of an argument here")
            found, nullable = self._type(inner, place, depth + 1)
            if each in required:
                fields[each] = (found | None if nullable else found, ...)
            else:
                fields[each] = (found | None, None)
        try:
            return create_model(f"Of_{name}", __base__=_Args, **fields)
        except (SchemaError, PydanticUserError, TypeError, ValueError) as error:
            _no(path, f"no arguments can be held by it: {str(error).splitlines()[0][:100]}")

    def _limited(self, base: Any, node: Mapping[str, JSON], path: str) -> Any:
        limits: dict[str, Any] = {}
        for word, name in _LIMITS.items():
            if word not in node:
                continue
            value = node[word]
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            wanted = (str,) if word == "pattern" else (int, float) if base is Decimal else (int,)
            if not isinstance(value, wanted) or isinstance(value, bool):
                _no(path, f"'{word}' is not what it should be")
            limits[name] = Decimal(str(value)) if base is Decimal else value
        return Annotated[base, Field(**limits)] if limits else base

    def _nothing_else(self, node: Mapping[str, JSON], known: frozenset[str] | set[str], path: str) -> None:
        for word in node:
            if word not in known and word not in _SILENT:
                _no(path, f"'{str(word)[:40]}' is not understood here")


def sent(args: BaseModel) -> dict[str, JSON]:
    """The arguments as the server gets them: decimals as numbers, and nothing that was left out."""
    found: dict[str, JSON] = {}
    for name, info in type(args).model_fields.items():
        value = getattr(args, name)
        if value is not None or info.is_required():
            found[name] = _sent(value)
    return found


def _sent(value: Any) -> JSON:
    match value:
        case BaseModel():
            return sent(value)
        case list():
            return [_sent(each) for each in value]
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case _:
            return value
