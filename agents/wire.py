"""Tools as a model server sees them: legal names and strict schemas, there and back.

The OpenAI protocol allows no dot in a function's name, and its strict mode wants every property
required and no other one: an optional argument becomes a nullable one, and a null comes back as
left out. Whatever comes back is validated again by the gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from core.actions import JSON, ToolSpec

_NOT_STRICT = ("default", "title", "minLength", "maxLength", "uniqueItems", "discriminator")
"""Keywords that servers in strict mode refuse or ignore."""


def encode(tool: str) -> str:
    """`orders.get` is `orders__get`."""
    return tool.replace(".", "__")


def decode(name: str) -> str:
    return name.replace("__", ".")


def function(name: str, description: str, args: type[BaseModel]) -> dict[str, Any]:
    """A tool in OpenAI's form, strict wherever its schema can be."""
    schema = _schema(args)
    body: dict[str, Any] = {"name": encode(name), "description": description}
    if _closed(schema):
        body |= {"strict": True, "parameters": _strict(schema)}
    else:
        body |= {"parameters": schema}
    return {"type": "function", "function": body}


def functions(specs: Mapping[str, ToolSpec[Any]]) -> list[dict[str, Any]]:
    return [function(spec.name, spec.summary or spec.name, spec.args) for spec in specs.values()]


def left_out(args: dict[str, JSON], model: type[BaseModel]) -> dict[str, JSON]:
    """The arguments without the nulls that strict mode made the model write for optional ones."""
    schema = _schema(model)
    pruned = _prune(args, schema, schema.get("$defs", {}))
    assert isinstance(pruned, dict)
    return pruned


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _closed(node: Any) -> bool:
    """No object in the schema takes keys that it does not name."""
    if isinstance(node, dict):
        if node.get("type") == "object" and (
            "properties" not in node or node.get("additionalProperties", False) is not False
        ):
            return False
        return "oneOf" not in node and all(_closed(value) for value in node.values())
    return all(map(_closed, node)) if isinstance(node, list) else True


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:  # strict mode allows nothing beside a reference
        return {"$ref": node["$ref"]}
    properties: dict[str, Any] = node.get("properties", {})
    result = {
        key: _strict(value)
        for key, value in node.items()
        if key not in _NOT_STRICT and key not in ("properties", "$defs")
    }
    if "$defs" in node:
        result["$defs"] = {name: _strict(value) for name, value in node["$defs"].items()}
    if node.get("type") == "object":
        required = node.get("required", [])
        result["properties"] = {
            name: _strict(value) if name in required else _nullable(_strict(value))
            for name, value in properties.items()
        }
        result |= {"required": list(properties), "additionalProperties": False}
    return result


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    branches = schema.get("anyOf", [schema])
    if {"type": "null"} in branches:
        return schema
    rest = {key: value for key, value in schema.items() if key != "anyOf"} if "anyOf" in schema else {}
    return rest | {"anyOf": [*branches, {"type": "null"}]}


def _prune(value: JSON, schema: dict[str, Any], defs: dict[str, Any]) -> JSON:
    for branch in schema.get("anyOf", ()):
        if branch.get("type") != "null":
            value = _prune(value, branch, defs)
    if "$ref" in schema:
        return _prune(value, defs.get(schema["$ref"].rpartition("/")[2], {}), defs)
    if isinstance(value, list):
        return [_prune(item, schema.get("items", {}), defs) for item in value]
    if isinstance(value, dict) and "properties" in schema:
        required = schema.get("required", ())
        return {
            key: _prune(item, schema["properties"].get(key, {}), defs)
            for key, item in value.items()
            if item is not None or key in required or key not in schema["properties"]
        }
    return value
