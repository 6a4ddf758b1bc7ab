"""Which differences between two OpenAPI documents break a client that was made for the old one.

For what a client sends, less may not be taken than before; for what it gets, nothing may be missing, and nothing may be
of another type. New paths, new optional fields and new members of answers are no break: clients are to pass over what
they don't know. New words of an enumeration in an answer are none either, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Doc = Mapping[str, Any]
Pair = tuple[str, str]

_BOUNDS = (("minLength", 1), ("minItems", 1), ("minimum", 1), ("maxLength", -1), ("maxItems", -1), ("maximum", -1))
"""Of what is sent: 1 where a greater value takes less, -1 where a smaller one does."""


def breaks(old: Doc, new: Doc) -> list[str]:
    """Each break as a sentence that says where it is; empty if there is none."""
    return list(dict.fromkeys(_Comparison(old, new).paths()))


@dataclass(frozen=True)
class _Comparison:
    old: Doc
    new: Doc

    def paths(self) -> Iterator[str]:
        for path, item in self.old["paths"].items():
            for method, was in item.items():
                where = f"{method.upper()} {path}"
                now = self.new["paths"].get(path, {}).get(method)
                if now is None:
                    yield f"{where}: it is gone"
                else:
                    yield from self._operation(where, was, now)

    def _operation(self, where: str, was: Doc, now: Doc) -> Iterator[str]:
        if was.get("operationId") != now.get("operationId"):
            yield f"{where}: its operationId {was.get('operationId')} is now {now.get('operationId')}"
        if now.get("security") and not was.get("security"):
            yield f"{where}: it takes a token now"
        yield from self._parameters(where, was.get("parameters", ()), now.get("parameters", ()))
        yield from self._sent(where, was.get("requestBody"), now.get("requestBody"))
        for status, answer in was["responses"].items():
            if not status.startswith("2"):
                continue
            after = now["responses"].get(status)
            if after is None:
                yield f"{where}: it does not answer {status} any more"
                continue
            for kind, content in answer.get("content", {}).items():
                if kind not in after.get("content", {}):
                    yield f"{where}: {status} is not {kind} any more"
                    continue
                pair = content.get("schema", {}), after["content"][kind].get("schema", {})
                yield from self._got(f"{where}: {status}", *pair, frozenset())

    def _parameters(self, where: str, was: Any, now: Any) -> Iterator[str]:
        before = {(each["in"], each["name"].lower()): each for each in was}
        after = {(each["in"], each["name"].lower()): each for each in now}
        for key, parameter in before.items():
            name = f"{where}: {parameter['in']} parameter {parameter['name']}"
            if key not in after:
                yield f"{name} is gone"
            else:
                yield from self._taken(name, parameter.get("schema", {}), after[key].get("schema", {}), frozenset())
        for key, parameter in after.items():
            if parameter.get("required") and not before.get(key, {}).get("required"):
                yield f"{where}: {parameter['in']} parameter {parameter['name']} has to be sent now"

    def _sent(self, where: str, was: Doc | None, now: Doc | None) -> Iterator[str]:
        if now is not None and now.get("required") and not (was or {}).get("required"):
            yield f"{where}: a body has to be sent now"
        if was is None:
            return
        after = (now or {}).get("content", {})
        for kind, content in was["content"].items():
            if kind not in after:
                yield f"{where}: a body of {kind} is not taken any more"
            else:
                pair = content.get("schema", {}), after[kind].get("schema", {})
                yield from self._taken(f"{where}: body", *pair, frozenset())

    def _taken(self, where: str, was: Any, now: Any, seen: frozenset[Pair]) -> Iterator[str]:
        """What was taken has to be taken."""
        if (pair := _refs(was, now)) in seen:
            return
        seen |= {pair} if pair else set()
        was, now = _shape(self.old, was), _shape(self.new, now)
        if missing := _types(was) - _types(now) if _types(now) else set():
            yield f"{where} may not be {' or '.join(sorted(missing))} any more"
            return
        if gone := [word for word in was.get("enum", ()) if word not in now.get("enum", was["enum"])]:
            yield f"{where} may not be {', '.join(map(str, gone))} any more"
        if "enum" in now and "enum" not in was and "const" not in was:
            yield f"{where} may only be one of {', '.join(map(str, now['enum']))} now"
        if "pattern" in now and now["pattern"] != was.get("pattern"):
            yield f"{where} is held to {now['pattern']} now"
        for bound, sign in _BOUNDS:
            if bound in now and (bound not in was or (now[bound] - was[bound]) * sign > 0):
                yield f"{where} is held to {bound} {now[bound]} now"
        for name in sorted(set(now.get("required", ())) - set(was.get("required", ()))):
            yield f"{where}.{name} has to be sent now"
        for name, field in was.get("properties", {}).items():
            if name in now.get("properties", {}):
                yield from self._taken(f"{where}.{name}", field, now["properties"][name], seen)
            elif now.get("additionalProperties") is False:
                yield f"{where}.{name} is not taken any more"
        if "items" in was and "items" in now:
            yield from self._taken(f"{where}[]", was["items"], now["items"], seen)

    def _got(self, where: str, was: Any, now: Any, seen: frozenset[Pair]) -> Iterator[str]:
        """What was there has to be there, and to be what it was."""
        if (pair := _refs(was, now)) in seen:
            return
        seen |= {pair} if pair else set()
        was, now = _shape(self.old, was), _shape(self.new, now)
        if _types(was) and (more := _types(now) - _types(was) if _types(now) else {"anything"}):
            yield f"{where} may be {' or '.join(sorted(more))} now"
            return
        for name, field in was.get("properties", {}).items():
            if name not in now.get("properties", {}):
                yield f"{where}.{name} is gone"
                continue
            if name in was.get("required", ()) and name not in now.get("required", ()):
                yield f"{where}.{name} may be missing now"
            yield from self._got(f"{where}.{name}", field, now["properties"][name], seen)
        if "items" in was and "items" in now:
            yield from self._got(f"{where}[]", was["items"], now["items"], seen)


def _refs(was: Any, now: Any) -> Pair | None:
    """Both ends of a comparison that may come back to itself."""
    if "$ref" in was and "$ref" in now:
        return str(was["$ref"]), str(now["$ref"])
    return None


def _shape(document: Doc, schema: Any) -> dict[str, Any]:
    """A schema with its references followed, and the parts of an `anyOf` put together."""
    found = dict(schema) if isinstance(schema, Mapping) else {}
    hops = 0
    while "$ref" in found and hops < 20:
        name = str(found["$ref"]).rsplit("/", 1)[-1]
        found, hops = dict(document.get("components", {}).get("schemas", {}).get(name, {})), hops + 1
    parts = [_shape(document, part) for part in (*found.pop("anyOf", ()), *found.pop("oneOf", ()))]
    if not parts:
        return found
    together: dict[str, Any] = {**found, "type": sorted(set().union(*(_types(part) for part in parts)))}
    solid = [part for part in parts if _types(part) != {"null"}]
    if any(not _types(part) for part in parts):
        together["type"] = []
    return {**solid[0], **together} if len(solid) == 1 else together


def _types(schema: Doc) -> set[str]:
    """Empty for any."""
    if "const" in schema and "type" not in schema:
        return {{str: "string", int: "integer", bool: "boolean"}.get(type(schema["const"]), "null")}
    kind = schema.get("type", [])
    return {kind} if isinstance(kind, str) else set(kind)
