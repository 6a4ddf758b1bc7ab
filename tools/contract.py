"""A tool: its specification, and how it runs. The gate and the executor are wrapped around it elsewhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from core.actions import JSON, Effect, ToolSpec
from core.errors import NotFound, OutcomeUnknown
from core.ports import CallContext

A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True)
class Tool(Generic[A]):
    """`run` takes typed arguments; `find` looks a call up at the provider by its idempotency key."""

    spec: ToolSpec[A]
    run: Callable[[A, CallContext], Awaitable[BaseModel]]
    find: Callable[[str], Awaitable[dict[str, JSON] | None]] | None = None


class Toolbelt:
    """The tools of a house, by name. Implements `core.ports.Tools`."""

    def __init__(self, tools: Iterable[Tool[Any]]) -> None:
        self._tools: dict[str, Tool[Any]] = {}
        for tool in tools:
            if tool.spec.name in self._tools:
                raise ValueError(f"two tools are named {tool.spec.name}")
            self._tools[tool.spec.name] = tool
        for name, tool in self._tools.items():
            back = tool.spec.compensated_by
            if back is not None and (back.tool not in self._tools or tool.spec.effect is not Effect.REVERSIBLE):
                raise ValueError(
                    f"{name} can't be taken back by {back.tool}: only a reversible one by a tool beside it"
                )

    @classmethod
    def joined(cls, belts: Iterable[Toolbelt]) -> Toolbelt:
        """All tools of several belts; a tool that two kinds share must be the same in both."""
        tools: dict[str, Tool[Any]] = {}
        for belt in belts:
            for name, tool in belt._tools.items():
                shared = tools.setdefault(name, tool)
                if shared.spec.args is not tool.spec.args:
                    raise ValueError(f"two kinds have different tools named {name}")
        return cls(tools.values())

    def specs(self) -> Mapping[str, ToolSpec[Any]]:
        return {name: tool.spec for name, tool in self._tools.items()}

    def _tool(self, name: str) -> Tool[Any]:
        try:
            return self._tools[name]
        except KeyError:
            raise NotFound(f"There is no tool '{name[:60]}'.", hint=f"There are: {', '.join(self._tools)}.") from None

    async def call(self, tool: str, args: Mapping[str, JSON], context: CallContext) -> dict[str, JSON]:
        found = self._tool(tool)
        given = found.spec.parse(args)
        with _legible(tool):
            return (await found.run(given, context)).model_dump(mode="json")

    async def lookup(self, tool: str, key: str) -> dict[str, JSON] | None:
        find = self._tool(tool).find
        if find is None:
            raise OutcomeUnknown(
                f"The provider of {tool} can't be asked whether a call happened.",
                hint="A person has to reconcile it.",
            )
        with _legible(tool):
            return await find(key)


@contextmanager
def _legible(tool: str) -> Iterator[None]:
    """A provider's answer that nobody can read tells nothing of what it did."""
    try:
        yield
    except ValidationError as unfit:
        raise OutcomeUnknown(
            f"The provider of {tool} answered what does not fit: {str(unfit)[:200]}", hint="A person has to look there."
        ) from unfit
