"""One way to go through lists: send a page's `next` as `after`; what comes in meanwhile moves nothing that is left."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

GREATEST = 2**53 - 1
"""What every client of JSON keeps exactly; no sequence of ours gets there."""

Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
After = Annotated[int, Query(ge=0, le=GREATEST, description="`next` of the page before.")]
AfterId = Annotated[str, Query(pattern=r"^[a-z]*_?[0-9a-z]*$", max_length=40, description="`next` of the page before.")]


def following(last: object, count: int, limit: int) -> str:
    """The cursor of the following page. A page that is not full is the last one."""
    return str(last) if count == limit else ""
