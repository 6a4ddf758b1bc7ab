"""A call of a model as an action: which model would be shown which classes of data.

No model proposes it. The house asks its policy before each call, and people where the policy says so; the run of an
approved one is the permit.
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, field_validator

from core.actions import Effect, ToolSpec
from core.data import DataClass

MODEL_CALL = "model.call"


class Hosting(StrEnum):
    EMBEDDED = "embedded"  # in this process
    SELF_HOSTED = "self_hosted"  # a server of ours
    MANAGED = "managed"  # somebody else's server


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelInUse(_Frozen):
    """Which model it is, where it runs, and in which region; the region is empty where nobody told."""

    name: str
    hosting: Hosting
    region: str = ""


class ModelCall(_Frozen):
    """A model, and the classes of data that a call would show it."""

    model: ModelInUse
    classes: tuple[DataClass, ...]

    @field_validator("classes")
    @classmethod
    def _in_one_order(cls, classes: tuple[DataClass, ...]) -> tuple[DataClass, ...]:
        return tuple(sorted(set(classes)))

    @property
    def described(self) -> str:
        shown = ", ".join(each.replace("_", " ") for each in self.classes) or "nothing"
        place = f"{self.model.hosting.replace('_', ' ')}, {self.model.region or 'region not told'}"
        return f"Show the model {self.model.name} ({place}) what this case holds: {shown}"


class Permit(_Frozen):
    """What came of an approved call: the model may be shown these classes in this case."""

    permitted: ModelCall


SPEC: ToolSpec[ModelCall] = ToolSpec(
    MODEL_CALL,
    Effect.REVERSIBLE,
    ModelCall,
    Permit,
    lambda call: call.described,
    "Show a model what a case holds. The house asks this itself.",
    data=frozenset(),
    stays="A model can't be made to forget what it was shown.",
)
