"""The demo as a whole process, beside a process that only makes its world."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Cost, Figure, Report, in_turns
from benchmarks.processes import Processes

_AIM_S = 60.0
_CASES, _FEW = 200, 5
_WORLD = """
import sys
from datetime import UTC, datetime
from graphs.returns.rehearsal import rehearse
rehearse(7, int(sys.argv[1]), datetime.now(UTC))
"""


async def measured(quick: bool) -> Report:
    cases = _FEW if quick else _CASES
    with TemporaryDirectory() as name:
        folder = Path(name)
        processes = Processes(folder)

        def play(many: int) -> Cost:
            data = folder / "demo"
            arguments = ["-m", "core.console", "demo", "--cases", str(many), "--data", str(data)]
            return processes.whole(arguments, {"COUNTERSIGN_DATA": str(folder / "data")}, cwd=folder)

        async def demo() -> Cost:
            return play(cases)

        async def world() -> Cost:
            return processes.whole(["-c", _WORLD, str(cases)])

        play(1)  # compiles its bytecode
        ours, floor = await in_turns(1 if quick else 2, demo, world)
    figure = Figure(f"the demo, {cases} cases", ours, "making its world alone", floor)
    return Report([figure if quick else replace(figure, aim="under 60 s", most_s=_AIM_S)])
