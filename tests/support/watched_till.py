"""A till whose tools are watched, and can be held: how many run side by side, in which order they began."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from core.ports import CallContext
from graphs.kind import Outside, TaskKind
from tests.support.till_kind import KIND
from tools.contract import Tool


class Death(BaseException):
    """The worker is gone."""


class Watch:
    """How many calls of tools run side by side: in any one case, and in all of them."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most_of_a_case = self.most = 0
        self.order: list[str] = []
        """Cases, in the order of their first calls."""
        self.begun: list[float] = []
        """When those were, in seconds of a clock that only goes forward."""
        self.deadly: Counter[str] = Counter()
        """Tools whose calls kill their worker so often still."""
        self._let_go = asyncio.Event()
        self._let_go.set()
        self._news = asyncio.Condition()

    def hold(self) -> None:
        """From now on every call waits until it is let go."""
        self._let_go.clear()

    def let_go(self) -> None:
        self._let_go.set()

    async def until(self, calls: int) -> None:
        """Waits until so many calls run."""
        async with self._news:
            await self._news.wait_for(lambda: self.now.total() >= calls)

    def kind(self) -> TaskKind:
        return replace(KIND, tools=lambda outside: [self._watched(tool) for tool in self._tools(outside)])

    def _tools(self, outside: Outside) -> list[Tool[Any]]:
        return list(KIND.tools(outside))

    def _watched(self, tool: Tool[Any]) -> Tool[Any]:
        async def run(args: Any, context: CallContext) -> BaseModel:
            if self.deadly[tool.spec.name] > 0:
                self.deadly[tool.spec.name] -= 1
                raise Death(tool.spec.name)
            self.now[context.case_id] += 1
            self.most = max(self.most, self.now.total())
            self.most_of_a_case = max(self.most_of_a_case, *self.now.values())
            if context.case_id not in self.order:
                self.order.append(context.case_id)
                self.begun.append(time.monotonic())
            async with self._news:
                self._news.notify_all()
            try:
                await self._let_go.wait()
                return await tool.run(args, context)
            finally:
                self.now[context.case_id] -= 1

        return replace(tool, run=run)
