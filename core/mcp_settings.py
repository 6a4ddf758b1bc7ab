"""Settings of MCP, both ways: who may reach the house's own server, and which tools of others its agents may use."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from core.actions import Egress
from core.data import EVERYTHING, DataClass

ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OutsideToolSettings(_Part):
    """What the operator says of one tool of an outside MCP server. What the server says of it is not believed."""

    effect: Literal["read", "reversible", "irreversible"] = "irreversible"
    summary: str = Field(default="", max_length=300)
    """What it is for, in the operator's words: a model is told this, and nothing that the server wrote."""
    egress: Literal["customer", "third_party"] = "third_party"
    """Whom it reaches. No outside server is a system of record."""
    data: frozenset[DataClass] = EVERYTHING
    """What its results may hold, for policy on models."""
    timeout_s: float = Field(default=30.0, gt=0, le=300)
    an_error_means: Literal["unknown", "nothing_happened"] | None = None
    """An MCP error does not say whether something happened. Unset: nothing, unless the tool is irreversible."""

    @property
    def reaches(self) -> Egress:
        return Egress(self.egress)

    @property
    def refuses_cleanly(self) -> bool:
        """Whether nothing happened where it answers with an error."""
        meant = self.an_error_means or ("unknown" if self.effect == "irreversible" else "nothing_happened")
        return meant == "nothing_happened"


class OutsideServerSettings(_Part):
    """An MCP server of somebody else: at an address (streamable HTTP), or a command that speaks it (stdio)."""

    url: str = Field(default="", pattern=r"^$|^https?://")
    command: tuple[str, ...] = ()
    token: SecretStr = SecretStr("")
    """Sent to the address as a bearer token, or to the command as MCP_TOKEN. Only where effects are carried out.

    Better than in a file: in the environment, such as COUNTERSIGN_MCP__SERVERS__PARTNER__TOKEN.
    """
    kinds: tuple[str, ...] = ()
    """The kinds of business task whose agents get its tools."""
    tools: dict[str, OutsideToolSettings] = {}
    """The tools that may be used, by the server's own names. No other one exists here."""

    @model_validator(mode="after")
    def _one_way(self) -> OutsideServerSettings:
        if bool(self.url) == bool(self.command):
            raise ValueError("name its url or its command, one of them")
        for name in self.tools:
            if not _TOOL.fullmatch(name) or "__" in name:
                raise ValueError(f"'{name[:60]}' can't be the name of a tool here: letters, digits, - and single _")
        return self


class McpSettings(_Part):
    """The house's own MCP server at /mcp, and the servers of others."""

    hosts: tuple[str, ...] = ()
    """Names under which /mcp is reached, besides this machine's own, such as `countersign.example.com`."""
    origins: tuple[str, ...] = ()
    """Pages that may call it, such as `https://countersign.example.com`."""
    servers: dict[ServerName, OutsideServerSettings] = {}
