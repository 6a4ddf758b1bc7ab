"""What carriers and the warehouse may tell of a return while its case is open: it is kept, and people see it."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class ParcelScanned(BaseModel):
    model_config = ConfigDict(extra="forbid")

    order_id: str = Field(min_length=1, max_length=40)
    parcel: str = Field(min_length=1, max_length=60)
    """The carrier's number."""
    status: Literal["accepted", "in_transit", "arrived", "lost"]
    at: AwareDatetime
