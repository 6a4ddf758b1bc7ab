"""The AsyncAPI 3.0 document of the house's events, made from the models that check and write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.events import BATCH, EVENT_LIMIT, STRUCTURED, SUBMIT, TYPES, CloudEvent
from engine.arrivals import News, Order, schema_of
from engine.bus.told import TOLD

_SCHEMAS = "#/components/schemas/"
_ENVELOPE = {"$ref": f"{_SCHEMAS}CloudEvent"}


def document(news: News, *, version: str, prefix: str = "countersign") -> dict[str, Any]:
    """`news` is what each kind of case takes up."""
    come: dict[str, tuple[str, str, type[BaseModel]]] = {
        SUBMIT: ("Opens a case. Its id is the key: the same one again opens no other.", schema_of(SUBMIT), Order)
    }
    for kind, types in news.items():
        come |= {name: (f"News for a case of the kind '{kind}'.", schema_of(name), it) for name, it in types.items()}
    go = {
        f"{TYPES}{name}": (model.__doc__ or "", f"urn:countersign:schema:{name}:1", model)
        for name, model in TOLD.items()
    }
    schemas: dict[str, Any] = {"CloudEvent": _envelope()}
    messages: dict[str, Any] = {}
    for name, (summary, schema, model) in (come | go).items():
        data = model.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
        schemas |= data.pop("$defs", {})
        schemas[model.__name__] = data
        messages[_key(name)] = _message(name, summary, schema, model)
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Countersign", "version": version, "description": _ABOUT},
        "defaultContentType": STRUCTURED,
        "servers": {
            "http": {"host": "127.0.0.1:8642", "pathname": "/", "protocol": "http", "description": "countersign up"},
            "nats": {
                "host": "127.0.0.1:4222",
                "pathname": "/",
                "protocol": "nats",
                "description": "COUNTERSIGN_BUS__URL",
            },
        },
        "channels": {
            "in": _channel(f"{prefix}.in.{{workspace}}.{{person}}", _IN, come, ("workspace", "person")),
            "inHttp": _channel("/api/v1/events", f"{_IN_HTTP} {STRUCTURED}, {BATCH} or ce- headers.", come, (), "http"),
            "out": _channel(f"{prefix}.out.{{type}}", _OUT, go, ("type",)),
            "outHttp": _channel("/api/v1/events/published", _OUT_HTTP, go, (), "http"),
            "dead": _channel(f"{prefix}.dead.{{workspace}}.{{person}}", _DEAD, come, ("workspace", "person")),
        },
        "operations": {
            "take": _operation("receive", "in", come),
            "takeHttp": _operation("receive", "inHttp", come),
            "publish": _operation("send", "out", go),
            "publishHttp": _operation("send", "outHttp", go),
            "keepApart": _operation("send", "dead", come),
        },
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


_ABOUT = (
    "Events are CloudEvents 1.0. Each is delivered at least once; source and id tell copies. 'sequence' is its place "
    f"among those of one source for one case. Data is JSON of at most {EVENT_LIMIT:,} bytes."
)
_IN = "What others tell the house, in the name of a person of a workspace: the server's permissions hold them to it."
_IN_HTTP = "The same over HTTP, with a bearer token:"
_OUT = "What the house tells others, in order for each case. It holds ids and states, and nothing about a person."
_OUT_HTTP = "The same to be read on from a position, or followed as server-sent events."
_DEAD = "What could not be taken, as it came, with the reason in the header Countersign-Reason."


def _envelope() -> dict[str, Any]:
    found = CloudEvent.model_json_schema()
    sequence = {"type": "string", "pattern": "^[1-9][0-9]*$", "description": "A whole number from 1 on."}
    found["properties"] |= {"sequence": sequence, "sequencetype": {"const": "Integer"}}
    found["properties"]["specversion"] = {"const": "1.0"}
    found["required"] = ["specversion", *found["required"]]
    found["description"] = "An event. 'subject' is the id of the case."
    return found


def _message(name: str, summary: str, schema: str, model: type[BaseModel]) -> dict[str, Any]:
    exact = {"type": {"const": name}, "dataschema": {"const": schema}, "data": {"$ref": f"{_SCHEMAS}{model.__name__}"}}
    return {
        "name": name,
        "title": name,
        "summary": summary,
        "contentType": STRUCTURED,
        "payload": {"allOf": [_ENVELOPE, {"type": "object", "properties": exact, "required": ["type", "data"]}]},
    }


def _channel(
    address: str, about: str, types: Mapping[str, Any], parameters: tuple[str, ...], server: str = "nats"
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "address": address,
        "description": about,
        "servers": [{"$ref": f"#/servers/{server}"}],
        "messages": {_key(name): {"$ref": f"#/components/messages/{_key(name)}"} for name in types},
    }
    return found | ({"parameters": {name: {} for name in parameters}} if parameters else {})


def _operation(action: str, channel: str, types: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{_key(name)}"} for name in types],
    }


def _key(name: str) -> str:
    return name.removeprefix(TYPES).replace(".", "_")
