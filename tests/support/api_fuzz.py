"""Schemathesis over the whole API, against a real house: `python -m tests.support.api_fuzz --minutes 10`.

Whatever is sent by whoever, the server answers what its OpenAPI document says: no failure of its own, only statuses,
headers and bodies that stand there, nothing taken that the document refuses, nothing without a token. Each role gets
its turn. The house has cases in every state, whose ids are among what is tried.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from core.access_settings import AuthSettings
from core.settings import Settings
from tests.serving.live import Live, living
from tests.support.folders import quick_folder

ROLES = {"olga": ("operator",), "serv": ("service",), "carl": ("compliance",), "adam": ("admin",)}
"""Beside the owner, the reviewer `rita` and the viewer `vera`, who are there anyway."""
EVERYBODY = ("", "rita", "vera", *ROLES)
_PHASES = ("examples", "coverage", "fuzzing", "stateful")
STREAMS = ("--exclude-operation-id-regex", r"(_events|_stream\w*|_join\w*)$")
"""They stay open while there is nothing to tell; `test_streams_api.py` reads them."""
_SHARE = 0.9
"""Of the time, what is given to runs: the rest is for their start and end."""


async def furnish(live: Live) -> dict[str, list[str]]:
    """People of every role, and cases in every state. Returns what is worth trying, by the parameter's name."""
    for person, roles in ROLES.items():
        await live.add(person, *roles)
    cases, approvals = [], []
    for _ in range(2):
        cases.append((await live.submit(await live.small()))["case"]["id"])
        case, approval = await live.waiting(await live.dear())
        cases.append(case["case"]["id"])
        approvals.append(approval["approval"]["id"])
    async with live.as_() as http:
        paused, _ = await live.waiting(await live.dear())
        await http.post(f"/cases/{paused['case']['id']}/pause")
        copy = await http.post(f"/cases/{cases[0]}/fork", json={})
    found = [*cases, paused["case"]["id"], *([copy.json()["id"]] if copy.status_code == 201 else [])]
    return {"case_id": found, "approval_id": approvals}


def unlimited(folder: Path) -> Settings:
    """Nobody is told to come back later: each answer is the route's own."""
    return Settings(data=folder / "data", auth=AuthSettings(requests_per_s=0, failures_per_minute=0))


def configuration(token: str, known: Mapping[str, Sequence[str]], *, deterministic: bool) -> str:
    """Settings of Schemathesis, in TOML."""
    lines = [
        "continue-on-failure = true",
        "request-timeout = 60.0",
        "max-stream-events = 3",
        'suppress-health-check = ["all"]',
        "warnings = false",
        f'headers = {{ Authorization = "Bearer {token}" }}',
        "[checks]",
        # What a schema can't say is refused too: an unknown kind, a policy that nobody signed, a state (400 on /v1).
        'positive_data_acceptance.expected-statuses = ["2xx", "3xx", 400, 401, 403, 404, 409, 412, 413, 422, 429, 503]',
        'negative_data_rejection.expected-statuses = ["4xx", 503]',
        "[generation]",
        f"deterministic = {str(deterministic).lower()}",
        'database = "none"',
        "no-shrink = true",
        "[dictionaries]",
        *(f"{name}.values = {json.dumps(list(values))}" for name, values in known.items()),
        "[parameters]",
        *(f'"path.{name}" = {{ dictionary = "{name}", probability = 0.5 }}' for name in known),
    ]
    return "\n".join(lines) + "\n"


async def run(
    url: str,
    token: str,
    known: Mapping[str, Sequence[str]],
    *,
    phases: Sequence[str] = _PHASES,
    examples: int = 10,
    seconds: int = 0,
    only: Sequence[str] = (),
) -> tuple[int, str]:
    """One run as one person: the exit status, and what it printed. Without `seconds` it is the same each time."""
    with TemporaryDirectory() as folder:
        config = Path(folder, "schemathesis.toml")
        config.write_text(  # noqa: ASYNC240 - a few lines
            configuration(token, known, deterministic=not seconds)
        )
        words = [f"--config-file={config}", "run", f"{url}/openapi.json", "--no-color", "--checks=all"]
        words += [f"--phases={','.join(phases)}", f"--max-examples={examples}", *STREAMS, *only]
        words += [f"--max-time={seconds}"] if seconds else []
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "schemathesis.cli", *words),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    return int(process.returncode or 0), "\n".join(line[:400] for line in said.decode().splitlines())


async def everybody(minutes: float) -> int:
    """How many runs failed. Each is told as it ends."""
    failed = 0
    with quick_folder() as folder:
        async with living(unlimited(folder)) as live:
            known = await furnish(live)
            end = time.monotonic() + minutes * 60
            for number, person in enumerate(EVERYBODY):
                left = (end - time.monotonic()) * _SHARE / (len(EVERYBODY) - number)
                status, said = await run(live.url, live.tokens[person], known, examples=30, seconds=max(1, int(left)))
                who = person or "owner"
                summary = said[said.rfind("= SUMMARY =") :] if "= SUMMARY =" in said else said
                print(f"\n{who}: exit {status}\n{said if status else summary}", flush=True)
                failed += status != 0
            assert await live.whole(), "the books are not whole"
    return failed


@click.command()
@click.option("--minutes", default=10.0, show_default=True)
def main(minutes: float) -> None:
    """Tries the API as each role, for so long."""
    failed = asyncio.run(everybody(minutes))
    print(f"\n{failed} of {len(EVERYBODY)} runs failed." if failed else "\n0 failures.")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
