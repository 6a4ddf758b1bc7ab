"""How soon the command answers, and how soon a new data folder is served: whole processes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Cost, Figure, Report, in_turns
from benchmarks.processes import Processes, free_port

_COMMAND = ("-m", "core.console")
_HELP_S, _UP_S = 0.3, 2.0
_HELLO = """
import sys, uvicorn, fastapi
app = fastapi.FastAPI()
@app.get("/ok")
async def ok() -> dict[str, bool]:
    return {"ok": True}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


async def measured(quick: bool) -> Report:
    with TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(folder)
        folders = 0

        async def nothing() -> Cost:
            return processes.whole(["-c", "pass"])

        async def say_help() -> Cost:
            return processes.whole([*_COMMAND, "--help"])

        async def up() -> Cost:
            nonlocal folders
            folders += 1
            data, port = folder / f"data{folders}", free_port()
            return processes.until_ok(
                [*_COMMAND, "up", "--port", str(port)],
                f"http://127.0.0.1:{port}/ok",
                {"COUNTERSIGN_DATA": str(data)},
                cwd=folder,
            )

        async def hello() -> Cost:
            port = free_port()
            return processes.until_ok(["-c", _HELLO, str(port)], f"http://127.0.0.1:{port}/ok", {})

        for work in (say_help, up, hello):  # they compile their bytecode
            await work()
        rounds = 1 if quick else 5
        helped, floor = await in_turns(rounds * 2, say_help, nothing)
        served, hello_floor = await in_turns(rounds, up, hello)
    return Report(
        [
            Figure("countersign --help", helped, "python -c pass", floor, aim="under 0.3 s", most_s=_HELP_S),
            Figure(
                "countersign up, a new folder, to GET /ok",
                served,
                "a FastAPI hello on uvicorn",
                hello_floor,
                aim="under 2 s",
                most_s=_UP_S,
            ),
        ]
    )
