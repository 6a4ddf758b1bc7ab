"""A server of plain graphs in a process of its own: `python tests/serving/thread_server.py FOLDER [DATABASE [LEASE]]`.

It tells its address in FOLDER/address, and the tokens of its people in FOLDER/tokens.json.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def main(folder: Path, database: str, lease_s: float) -> None:
    from tests.serving.talk import talking

    async with talking(folder / "data", database=database, threads={"lease_s": lease_s}) as talk:
        (folder / "tokens.json").write_text(json.dumps(talk.tokens))
        (folder / "address.new").write_text(talk.url)
        (folder / "address.new").rename(folder / "address")
        await asyncio.Event().wait()


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    given = [*sys.argv[2:], "", ""][:2]
    asyncio.run(main(Path(sys.argv[1]), given[0], float(given[1] or 30)))
