"""The benchmark's files: its tasks, its world, and the deltas that its gold actions should leave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from core.errors import InvalidInput, SetupError
from tools.tau2_retail.world import World, load_db

T = TypeVar("T")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, coerce_numbers_to_str=True)


class GoldAction(_Part):
    name: str
    arguments: dict[str, Any] = {}


class Instructions(_Part):
    """What the benchmark tells the one who plays the user."""

    reason_for_call: str | None = None
    known_info: str | None = None


class Scenario(_Part):
    instructions: Instructions | str = ""


def _none_is_empty(found: Any) -> Any:
    return [] if found is None else found


class Criteria(_Part):
    actions: Annotated[list[GoldAction], BeforeValidator(_none_is_empty)] = []


class Task(_Part):
    id: str
    user_scenario: Scenario = Scenario()
    evaluation_criteria: Criteria

    @property
    def actions(self) -> list[GoldAction]:
        return self.evaluation_criteria.actions

    @property
    def asks(self) -> str:
        """What the user wants, in the scenario's words."""
        told = self.user_scenario.instructions
        return (told if isinstance(told, str) else told.reason_for_call or "").strip()

    @property
    def who(self) -> str:
        """What the scenario says about who the user is."""
        told = self.user_scenario.instructions
        return told if isinstance(told, str) else told.known_info or ""


class Gold(_Part):
    """`gold_errors` are the calls that raise by design: tool, message, whether it writes."""

    delta: World
    gold_errors: list[tuple[str, str, bool]] = []


_TASKS = TypeAdapter(list[Task])
_GOLD = TypeAdapter(dict[str, Gold])


@dataclass(frozen=True)
class Files:
    tasks: Sequence[Task]
    world: World
    gold: Mapping[str, Gold]


def load(tasks: Path, world: Path, gold: Path) -> Files:
    """Raises `SetupError` for a file that can't be read, `InvalidInput` for one that is broken, with the place."""
    found, deltas = _read(tasks, _TASKS), _read(gold, _GOLD)
    ids = [task.id for task in found]
    if twice := sorted({task_id for task_id in ids if ids.count(task_id) > 1}):
        raise InvalidInput(f"{tasks}: the task '{twice[0]}' is there twice.", hint="Each task needs its own id.")
    if not found:
        raise InvalidInput(f"{tasks} holds no task.", hint="It should be a list of tasks.")
    if missing := [task_id for task_id in ids if task_id not in deltas]:
        raise InvalidInput(
            f"{gold} has nothing for task '{missing[0]}' ({len(missing)} of {len(ids)} are missing).",
            hint="It should be the gold of these tasks.",
        )
    return Files(found, load_db(world), deltas)


def _read(path: Path, form: TypeAdapter[T]) -> T:
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise SetupError(f"{path} can't be read: {error.strerror}.", hint="Correct the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is no UTF-8 text: {error.reason} at byte {error.start}.") from error
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{path}:{error.lineno}:{error.colno}: no JSON: {error.msg}.") from error
    except RecursionError as error:
        raise InvalidInput(f"{path} is nested too deeply.") from error
    try:
        return form.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(f"{path}: {_name(content, first['loc'])}{place or 'the file'}: {first['msg']}.") from error


def _name(content: Any, place: tuple[int | str, ...]) -> str:
    """Which task it is, where the place counts tasks only by their number."""
    if place and isinstance(place[0], int) and isinstance(content, list) and isinstance(content[place[0]], dict):
        return f"task '{content[place[0]].get('id', '?')}', "
    return ""
