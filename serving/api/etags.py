"""Entity tags: `"VERSION-DIGEST"`, for a resource that has a version.

They are strong: the digest is of the very bytes that are sent, so equal tags mean equal bodies, and a range of nothing
less is ever compared. `If-None-Match` compares whole tags. `If-Match` on a write compares the version alone, which each
change of state raises: what is only shown beside it, such as a clock or a cost, bars nobody.
"""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from fastapi import Header, Response
from pydantic import BaseModel

IfNoneMatch = Annotated[str | None, Header(alias="If-None-Match", max_length=2000)]
IfMatch = Annotated[str | None, Header(alias="If-Match", max_length=2000)]

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_OURS = re.compile(r"(\d{1,15})-[0-9a-f]{16}")
TAGGED: dict[str, Any] = {
    "headers": {"ETag": {"description": "Names this state of it.", "schema": {"type": "string"}}},
}
UNCHANGED: dict[int | str, dict[str, Any]] = {
    304: {"description": "It is as `If-None-Match` has it.", **TAGGED},
    200: TAGGED,
}
"""For the `responses` of a route that answers with `tagged`."""


def tagged(found: BaseModel, version: int, if_none_match: str | None) -> Response:
    """The resource with its tag, or 304 without it where the client has the same."""
    body = found.model_dump_json().encode()
    tag = f'"{version}-{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag[1:-1] in _named(if_none_match, weak=True)):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def versions(if_match: str | None) -> frozenset[int] | None:
    """Those that a write may be applied to; None for any. A weak tag, or one that is not ours, names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    found = (_OURS.fullmatch(tag) for tag in _named(if_match, weak=False))
    return frozenset(int(each[1]) for each in found if each)


def _named(header: str, *, weak: bool) -> set[str]:
    return {tag for is_weak, tag in _TAG.findall(header) if weak or not is_weak}
