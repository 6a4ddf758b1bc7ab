"""What a case of governance starts from: one change that somebody wants."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from tools.governance.args import Grant, Publish, RollBack


class _Wanted(BaseModel):
    model_config = ConfigDict(extra="forbid")


class PublishWanted(_Wanted):
    do: Literal["policy.publish"]
    change: Publish


class RollBackWanted(_Wanted):
    do: Literal["policy.roll_back"]
    change: RollBack


class GrantWanted(_Wanted):
    do: Literal["people.grant"]
    change: Grant


class GovernanceRequest(RootModel[Annotated[PublishWanted | RollBackWanted | GrantWanted, Field(discriminator="do")]]):
    """`do` names the tool, `change` is what it is called with."""

    @property
    def subject(self) -> str:
        """What is changed: two changes of one policy, or of one person, never run side by side."""
        match self.root.change:
            case Publish(kind=kind) | RollBack(kind=kind):
                return f"policy:{kind}"
            case Grant(person=person):
                return f"person:{person}"
