"""What a retail case starts from: somebody's request, and who they turned out to be."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

REQUEST_LIMIT = 20_000


class RetailRequest(BaseModel):
    """A user wants something done about their orders or their profile."""

    model_config = ConfigDict(extra="forbid")

    user_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    """Whom the channel authenticated, never what a letter says. Without one no order can be read or changed."""
    request: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=REQUEST_LIMIT)]
    reference: Annotated[str, StringConstraints(max_length=100)] = ""
    """The channel's own name for it, such as a ticket."""
