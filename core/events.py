"""CloudEvents 1.0: what an event is made of, and how one is read from JSON or from headers and a body.

One definition for HTTP, for every broker, and for what we tell others. An event is data from outside: it says
that something happened, and carries no authority.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NoReturn
from urllib.parse import unquote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.actions import JSON
from core.errors import CountersignError, InvalidInput, TooLarge
from core.ids import canonical

EVENT_LIMIT = 65_536
"""Bytes of one event's data: what every CloudEvents intermediary has to carry."""
BATCH_LIMIT = 1000
"""Events in one request."""

SEQUENCE_LIMIT = 2**31 - 2
"""The highest number of an event: the one that is expected after it still fits the ledger's 32 bits."""

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"

TYPES = "com.countersign."
"""What the types of our own events begin with."""
SUBMIT = f"{TYPES}case.submit"
SUBMIT_SCHEMA = "urn:countersign:schema:case.submit:1"

_OPAQUE = r"^[\x21-\x7e]+$"


class CloudEvent(BaseModel):
    """An event. `subject` is the case, `sequence` its number among those of its source for this case."""

    model_config = ConfigDict(extra="allow", frozen=True, ignored_types=(cached_property,))

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(min_length=1, max_length=150, pattern=_OPAQUE)
    source: str = Field(min_length=1, max_length=200, pattern=_OPAQUE)
    type: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    subject: str = Field(default="", max_length=40, pattern=r"^[\x21-\x7e]*$")
    time: AwareDatetime | None = None
    datacontenttype: str | None = None
    dataschema: str | None = Field(default=None, max_length=200)
    sequence: int | None = Field(default=None, ge=1, le=SEQUENCE_LIMIT)
    sequencetype: Literal["Integer"] | None = None
    data: dict[str, JSON] = {}

    @field_validator("sequence", mode="before")
    @classmethod
    def _number(cls, given: Any) -> Any:
        """CloudEvents writes it as a string, and so do we; a JSON number is taken too."""
        if isinstance(given, str):
            if not given.isascii() or not given.isdigit() or len(given) > 20:
                raise ValueError("is to be a whole number from 1 on")
            return int(given)
        return given

    @field_validator("datacontenttype")
    @classmethod
    def _json(cls, given: str | None) -> str | None:
        if given is not None and not _is_json(given):
            raise ValueError("only JSON is read here")
        return given

    @cached_property
    def content(self) -> bytes:
        """What may not differ where source and id are the same."""
        kept = {"type": self.type, "subject": self.subject, "sequence": self.sequence, "data": self.data}
        return canonical(kept)

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def structured(self) -> dict[str, JSON]:
        """As a JSON object."""
        found: dict[str, JSON] = self.model_dump(mode="json", exclude_none=True)
        if self.sequence is not None:
            found |= {"sequence": str(self.sequence), "sequencetype": "Integer"}
        return found


def event_of(found: Any) -> CloudEvent:
    """An event from parsed JSON. Raises `InvalidInput`, which names the attribute, and `TooLarge`."""
    if not isinstance(found, dict):
        raise InvalidInput("An event is a JSON object.", hint="Send a CloudEvent.")
    if (version := found.get("specversion")) != "1.0":
        raise InvalidInput(
            f"CloudEvents {version!r} is not known here."[:200], field="specversion", hint="Send version 1.0."
        )
    if "data_base64" in found:
        raise InvalidInput("Binary data is not read here.", field="data_base64", hint="Send JSON in 'data'.")
    try:
        event = CloudEvent.model_validate(found)
        size = len(event.content)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path}: {first['msg']}", field=path, hint="Correct it and send it again.") from error
    except (ValueError, RecursionError) as error:  # a number or a text that has no canonical form
        raise InvalidInput(f"data: {error}"[:200], field="data", hint="Send plain JSON.") from error
    if size > EVENT_LIMIT:
        raise TooLarge(f"The event is larger than {EVENT_LIMIT:,} bytes.", field="data", hint="Send a reference.")
    if b"\\u0000" in event.content:
        raise InvalidInput("A text holds the character NUL.", field="data", hint="Leave it out.")
    return event


Found = CloudEvent | CountersignError


def read_message(content_type: str, headers: Mapping[str, str], body: bytes) -> tuple[Sequence[Found], bool]:
    """The events of a message, each or what is wrong with it, and whether they came as a batch.

    `headers` have lower-case names; in binary mode the attributes are there, as `ce-…`. Raises `InvalidInput`.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == BATCH:
        found = _parsed(body)
        if not isinstance(found, list):
            raise InvalidInput("A batch is a JSON array of events.", hint="Send [{…}, {…}].")
        if len(found) > BATCH_LIMIT:
            raise TooLarge(f"A batch has {BATCH_LIMIT:,} events at most.", hint="Send several.")
        return [_each(one) for one in found], True
    if "ce-specversion" in headers:
        return [event_of(_binary(kind, headers, body))], False
    if kind in (STRUCTURED, ""):
        return [event_of(_parsed(body))], False
    raise InvalidInput(
        f"'{kind[:60]}' without ce- headers is no CloudEvent.",
        field="content-type",
        hint=f"Send {STRUCTURED}, {BATCH}, or ce- headers with a JSON body.",
    )


def _each(one: Any) -> Found:
    try:
        return event_of(one)
    except CountersignError as wrong:
        return wrong


def _binary(kind: str, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    if body and not _is_json(kind):
        raise InvalidInput("Only JSON data is read here.", field="content-type", hint="Send application/json.")
    found: dict[str, Any] = {
        name.removeprefix("ce-"): unquote(value) for name, value in headers.items() if name.startswith("ce-")
    }
    found.pop("data", None)
    return found | ({"data": _parsed(body)} if body else {})


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The body is no JSON: {error}"[:200], hint="Correct it and send it again.") from error


def _no_number(given: str) -> NoReturn:
    raise ValueError(f"{given} is no number in JSON")


def _is_json(kind: str) -> bool:
    plain = kind.partition(";")[0].strip().lower()
    return plain == "application/json" or plain.endswith("+json")


def told(
    name: str, subject: str, *, event_id: str, source: str, sequence: int, time: datetime, data: dict[str, JSON]
) -> CloudEvent:
    """An event of our own. Its data holds ids, states and words of policy, nothing about a person."""
    return CloudEvent(
        id=event_id,
        source=source,
        type=f"{TYPES}{name}",
        subject=subject,
        time=time,
        datacontenttype="application/json",
        dataschema=f"urn:countersign:schema:{name}:1",
        sequence=sequence,
        sequencetype="Integer",
        data=data,
    )
