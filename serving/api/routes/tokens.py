"""Tokens: one's own, and for whoever administers those of service accounts."""

from __future__ import annotations

from fastapi import APIRouter, Response

from core.wire import Page
from core.wire_people import MadeToken, NewToken, TokenView
from ledger.tables import TokenRow
from serving.api.deps import Caller, Rooms
from serving.auth import minting

router = APIRouter(prefix="/api/v1/tokens", tags=["tokens"])


def _view(row: TokenRow) -> TokenView:
    return TokenView.model_validate(row.model_dump(include=set(TokenView.model_fields)))


@router.get("")
async def listing(house: Rooms, person: Caller, of: str = "") -> Page[TokenView]:
    """Those that open something still: one's own, or those `of` somebody else for whoever administers."""
    rows = await house.database.read(
        person.workspace, lambda ledger: minting.tokens_of(ledger, person, of or person.id)
    )
    return Page[TokenView](items=[_view(row) for row in rows], next="", total=len(rows))


@router.post("", status_code=201)
async def make(house: Rooms, person: Caller, body: NewToken, response: Response) -> MadeToken:
    """Makes a token, which is shown only now. What it opens is never more than its person may, now or later."""
    token, row = await house.database.write(
        person.workspace, lambda ledger: minting.mint(ledger, person, body, house.settings.auth)
    )
    response.headers["Location"] = f"/api/v1/tokens/{row.id}"
    return MadeToken(**_view(row).model_dump(), token=token)


@router.delete("/{token_id}", status_code=204)
async def end(house: Rooms, person: Caller, token_id: str) -> None:
    """Ends it, at once."""
    await house.database.write(person.workspace, lambda ledger: minting.end(ledger, person, token_id))
