"""A shop that is not here: what a process has in its place that holds no credentials of the outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from core.actions import JSON
from core.errors import ProviderUnavailable
from core.ports import LoggedCall
from tools.fulfillment.ports import FoundCall


class AbsentShop:
    """Implements `ports.Shop`. Tools that are built over it can be looked at, and not run."""

    async def read(self, query: str, args: Mapping[str, JSON]) -> dict[str, JSON]:
        self._no()

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        self._no()

    async def find(self, key: str) -> FoundCall | None:
        self._no()

    async def log(self, after: int = 0, limit: int = 1000) -> list[LoggedCall]:
        self._no()

    def _no(self) -> NoReturn:
        raise ProviderUnavailable("Only the executor reaches the shop.", hint="Ask its process.")
