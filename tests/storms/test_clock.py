"""Workers whose clock is two hours off fire no timer early and none late: the database's clock counts.

Nobody decides anything here; what each question's time did is read from the server's own commit timestamps.
"""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.storm import Storm
from tests.support.storm_business import Unanswered
from tests.support.storm_server import private_server
from tests.support.till_kind import BOOK

SOURCE = Path(__file__).parents[1] / "support" / "wrong_clock.c"
CASES, MOST_S = 16, 10.0


@pytest.fixture
def library(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler: apt-get install gcc libc6-dev")
    made = tmp_path / "wrong_clock.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(made), str(SOURCE)], check=True)
    return made


def off_by(hours: int, library: Path) -> dict[str, str]:
    return {"LD_PRELOAD": str(library), "WRONG_CLOCK_S": str(hours * 3600)}


def test_a_wrong_clock_fires_no_timer_early_and_none_late(tmp_path: Path, library: Path) -> None:
    book = BOOK.read_text()
    assert "within: 4 hours" in book
    (tmp_path / BOOK.name).write_text(book.replace("within: 4 hours", "within: 6 seconds"))

    with private_server() as server:
        outcome = Storm(
            CASES,
            0,
            server=server.url,
            workers=0,
            odd=[off_by(2, library), off_by(-2, library)],
            env={"COUNTERSIGN_POLICIES": str(tmp_path)},
            business=Unanswered(),
            late_s=0.05,
        ).run()
        with psycopg.connect(server.url) as db:
            timers = db.execute(
                "SELECT due_at, pg_xact_commit_timestamp(xmin) FROM timer WHERE purpose = 'review.expiry'"
            ).fetchall()

    assert outcome.verdict.unlike == []
    assert outcome.verdict.findings == []
    assert outcome.refused == []
    apart = [abs(datetime.fromisoformat(_up_at(outcome.said[name])) - datetime.now(UTC)) for name in outcome.by_worker]
    assert len(apart) == 2, "one worker had all the work"
    assert min(apart) > timedelta(hours=1, minutes=50), "their clocks were not off, so it shows nothing"
    late = [(fired - datetime.fromisoformat(due)).total_seconds() for due, fired in timers]
    assert len(late) >= CASES
    assert min(late) >= 0
    assert max(late) < MOST_S


def _up_at(said: str) -> str:
    return next(line.removeprefix("up at ") for line in said.splitlines() if line.startswith("up at "))
