"""What sealing costs: a text beside bare AES-GCM, and whole returns beside the same house in the clear."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks.measure import Cost, Figure, Lap, Report, in_turns, repeated
from core.key_settings import KeySettings
from core.sealing import DataKey
from core.settings import EngineSettings, Settings
from graphs.returns.rehearsal import rehearse
from serving.house import open_house, owner
from tools.fulfillment.shop import EmbeddedShop

_TEXT = os.urandom(500).hex()
_AIM = 0.05
"""Of a case's CPU, the most that sealing may take."""


async def measured(quick: bool) -> Report:
    key, bare, nonce = DataKey.new("case_01m834b4jnsepcvjf704ns6w01"), AESGCM(os.urandom(32)), os.urandom(12)
    sealed, raw = key.seal(_TEXT.encode(), "action.args"), bare.encrypt(nonce, _TEXT.encode(), b"")
    times = 200 if quick else 5_000
    seal, open_, encrypt, decrypt = await in_turns(
        2 if quick else 5,
        repeated(times, lambda: key.seal(_TEXT.encode(), "action.args")),
        repeated(times, lambda: key.open(sealed, "action.args")),
        repeated(times, lambda: bare.encrypt(nonce, _TEXT.encode(), b"")),
        repeated(times, lambda: bare.decrypt(nonce, raw, b"")),
    )
    many = 2 if quick else 24
    ours, clear = await in_turns(1 if quick else 3, partial(_returns, many, True), partial(_returns, many, False))
    more = ours.cpu / clear.cpu - 1 if clear.cpu else 0.0
    return Report(
        [
            Figure("sealing a text of 1,000 bytes", seal, "bare AES-256-GCM, one nonce", encrypt),
            Figure("opening it", open_, "bare AES-256-GCM", decrypt),
            Figure("a return from request to rest, sealed", ours, "the same house in the clear", clear),
        ],
        [f"Sealing takes {more:+.1%} of a return's CPU; at most {_AIM:.0%} is the aim."],
    )


async def _returns(many: int, encrypt: bool) -> Cost:
    stage = rehearse(7, many, datetime.now(UTC))
    with TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), engine=EngineSettings(sweep_s=3600), keys=KeySettings(encrypt=encrypt))
        async with open_house(settings, bell="tasks") as house:
            assert isinstance(house.shop, EmbeddedShop)
            await house.shop.load(stage.records)
            person = owner(settings)
            lap = Lap()
            found = {(await house.submit(person, "returns", payload, key))[0].id for key, payload in stage.requests}
            await house.settled(person.workspace, found)
            return lap.cost(many)
