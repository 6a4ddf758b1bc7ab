"""The port of a photo scorer, and reading a photo that somebody sent without trusting it."""

from __future__ import annotations

import base64
import binascii
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from core import attachments
from core.errors import Conflict

NOT_AN_IMAGE = "not an image"
NO_PHOTO = "no such photo"
NO_SCORER = "no scorer is configured"
_PHOTO_BYTES = 20_000_000


class Score(BaseModel):
    """How well a photo supports what the customer says of the goods: 0 not at all, 1 fully."""

    model_config = ConfigDict(frozen=True)

    value: Decimal = Field(ge=0, le=1)
    reason: str


class ScoredPhoto(BaseModel):
    """No score is an answer: `reason` says why there is none."""

    score: Decimal | None
    reason: str


class VisionScorer(Protocol):
    async def score(self, photo: bytes) -> Score | None:
        """Scores an image file's bytes; None where no scorer is at hand."""
        ...


class NoScorer:
    """Stands where no scorer is configured. Policy sees a missing fact."""

    async def score(self, photo: bytes) -> Score | None:
        return None


def is_image(content: bytes) -> bool:
    """By the first bytes of PNG, JPEG, GIF and WebP, never by a name."""
    if content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return True
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"


def _in_folder(reference: str, folder: Path) -> bytes | None:
    """A file under the folder; a reference that leads out of it is no photo."""
    try:
        path = (folder / reference).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file() or path.stat().st_size > _PHOTO_BYTES:
            return None
        return attachments.read(path)
    except (OSError, ValueError, Conflict):  # a name too long or with a null byte, a file that can't be read or opened
        return None


def _from_base64(text: str) -> bytes:
    """Empty if it is none."""
    head, comma, body = text.partition(",")
    try:
        return base64.b64decode(body if comma and head.startswith("data:") else text, validate=True)
    except (binascii.Error, ValueError):
        return b""


async def score_photo(photo: str, scorer: VisionScorer, folder: Path | None = None) -> ScoredPhoto:
    """Scores base64 or a file of `folder`. Content that is no photo gets no score; it never raises."""
    content = _in_folder(photo, folder) if folder and len(photo) <= 255 else None
    if content is None:
        content = _from_base64(photo)
        if not content and folder and len(photo) <= 255:
            return ScoredPhoto(score=None, reason=NO_PHOTO)
    if not is_image(content):
        return ScoredPhoto(score=None, reason=NOT_AN_IMAGE)
    score = await scorer.score(content)
    if score is None:
        return ScoredPhoto(score=None, reason=NO_SCORER)
    return ScoredPhoto(score=score.value, reason=score.reason)
