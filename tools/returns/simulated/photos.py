"""Small real PNG pictures for generated letters: a coloured shape on a table, with a blot where it is damaged.

A picture is 16 by 16 pixels in four colours, so that as a data URL it fits into the 255 characters that
a case gives a photo's reference.
"""

from __future__ import annotations

import base64
import struct
import zlib
from random import Random

SIDE = 16
_TABLE, _SHAPE, _EDGE, _BLOT = range(4)
_HEAD = "data:image/png;base64,"
NO_IMAGE = _HEAD + base64.b64encode(b"%PDF-1.4 this is an invoice, not a picture\n").decode()
"""What some customers attach instead."""


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def draw(random: Random, *, damaged: bool) -> bytes:
    """A PNG with a palette of four colours, two bits a pixel."""
    left, top, right, bottom = (random.randint(1, 4) for _ in range(4))
    right, bottom = SIDE - 1 - right, SIDE - 1 - bottom
    spot_x, spot_y = random.randint(left, right), random.randint(top, bottom)

    def color(x: int, y: int) -> int:
        if damaged and abs(x - spot_x) + abs(y - spot_y) < 3:
            return _BLOT
        if not (left <= x <= right and top <= y <= bottom):
            return _TABLE
        return _EDGE if x in (left, right) or y in (top, bottom) else _SHAPE

    rows = bytearray()
    for y in range(SIDE):
        rows.append(0)  # filter: none
        for x in range(0, SIDE, 4):
            rows.append(sum(color(x + at, y) << (6 - 2 * at) for at in range(4)))
    shape = [random.randint(60, 220) for _ in range(3)]
    table = [random.randint(150, 220)] * 3
    palette = bytes([*table, *shape, *(value - 40 for value in shape), 25, 20, 15])
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 2, 3, 0, 0, 0)
    body = zlib.compress(bytes(rows), 9)
    parts = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def photo(random: Random, *, damaged: bool) -> str:
    """As a data URL."""
    return _HEAD + base64.b64encode(draw(random, damaged=damaged)).decode()
