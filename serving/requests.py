"""What somebody asks of a kind of business task, in the form that the kind takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from core.errors import InvalidInput, NotFound
from graphs.kind import TaskKind


def kind_named(kinds: Mapping[str, TaskKind], kind: str) -> TaskKind:
    found = kinds.get(kind)
    if found is None:
        raise NotFound(f"There is no kind '{kind[:60]}'.", hint=f"There are: {', '.join(kinds)}.")
    return found


def request_of(kind: TaskKind, payload: Mapping[str, Any]) -> BaseModel:
    """Raises `InvalidInput` with every problem of the payload."""
    try:
        return kind.intake.model_validate(dict(payload))
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise InvalidInput(
            f"{path or kind.name}: {first['msg']}", field=path, hint="Correct it and send it again.", problems=problems
        ) from error
