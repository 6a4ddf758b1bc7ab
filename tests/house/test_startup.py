"""`countersign --help` is instant because it imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys

HEAVY = {
    "alembic",
    "dbos",
    "fastapi",
    "httpx",
    "langchain_core",
    "langgraph",
    "openai",
    "pydantic_settings",
    "sqlalchemy",
    "starlette",
    "textual",
    "uvicorn",
    "yaml",
}


def test_help_imports_nothing_heavy() -> None:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "core.console", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}

    assert "Agents act, people countersign." in run.stdout
    assert "click" in imported
    assert imported & HEAVY == set()
