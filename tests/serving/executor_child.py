"""The till's executor as a process that dies where it is told to: right after its provider has done something.

`python -m tests.serving.executor_child FOLDER SERVER PORT`. The shop's file is FOLDER/shop.db; while FOLDER/strike is
there, the next payment is made, the file goes, and the process is killed before it can write down what came of it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from core.actions import JSON
from serving.executor.command import answering
from serving.executor.room import open_executor
from serving.main import listening
from tests.serving.apart import SECRET, settings
from tests.support.till_kind import KIND
from tools.fulfillment.shop import EmbeddedShop


class StruckShop(EmbeddedShop):
    strike: Path

    async def write(self, operation: str, args: Mapping[str, JSON], *, key: str, case_id: str) -> dict[str, JSON]:
        done = await super().write(operation, args, key=key, case_id=case_id)
        if self.strike.exists():
            self.strike.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return done


async def carry_out(folder: Path, server: str, port: int) -> None:
    shop = StruckShop(folder / "shop.db", [KIND.dialect])
    shop.strike = folder / "strike"
    with listening("127.0.0.1", port) as sock:
        async with (
            open_executor(settings(folder / "executor", server), shop=shop, kinds={"till": KIND}) as room,
            answering(room, SECRET, sock) as address,
        ):
            print(address, flush=True)
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(carry_out(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
