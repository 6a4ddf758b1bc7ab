"""The examples run as they stand, with stock clients, against `countersign up` and a shop, as README starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.serving.live import typed
from tests.support.folders import quick_folder
from tests.support.repository import ROOT

BOOTS = ("cus_000448", "The boots of ORD-5098889 do not fit.")
"""README's, in the world of seed 7; the others are customers of the same world."""
DUVET = ("cus_000477", "I changed my mind about the duvet set of ORD-7924116, I would like my money back.")

PEOPLE = [
    ("COUNTERSIGN_CHAT_TOKEN", "webchat", "service"),
    ("COUNTERSIGN_REVIEWER_TOKEN", "rita", "returns_reviewer"),
]


class Site:
    """A house and its shop, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.env = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "COUNTERSIGN_DATA": str(folder / "data"),
            "COUNTERSIGN_SHOP__TOKEN": "of-the-test",
            "COUNTERSIGN_CHAT__WAIT_S": "0",  # nobody is there to decide while a stream is open
        }

    def countersign(self, *args: str) -> str:
        done = typed(*args, env=self.env)
        assert done.code == 0, done.err
        return done.out.strip()

    def run(self, example: str, *args: str) -> str:
        command = [sys.executable, f"examples/{example}", *args]
        done = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def process(self, *args: str) -> Iterator[str]:
        """Its address, as it says it."""
        command = [sys.executable, "-m", "core.console", *args]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=self.env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as run:
            try:
                assert run.stdout is not None
                said = ""
                for line in run.stdout:
                    said += line
                    if found := re.search(r"http://\S+:\d+", line):
                        yield found[0]
                        return
                raise AssertionError(said)
            finally:
                run.terminate()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with ExitStack() as stack:
        folder = stack.enter_context(quick_folder())
        found = Site(folder)
        world = str(folder / "world.json")
        found.countersign("world", "generate", "--seed", "7", "--orders", "2000", "--out", world)
        shop = found.process("shop", "--world", world, "--data", str(folder / "shop.db"), "--port", "0")
        found.env["COUNTERSIGN_SHOP__URL"] = stack.enter_context(shop)
        found.env["COUNTERSIGN_URL"] = stack.enter_context(found.process("up", "--port", "0"))
        for name, person, role in PEOPLE:
            found.env[name] = found.countersign("people", "add", person, "--role", role)
        yield found


def test_the_openai_example_opens_a_return_and_asks_how_it_stands(site: Site) -> None:
    said = site.run("openai_chat.py", *DUVET, "Any news?")

    assert "Agents: returns" in said
    (number,) = set(re.findall(r"case_\w+", said))
    assert said.count("colleague") == 2, said
    assert number in site.countersign("cases")


def test_the_langgraph_example_opens_a_return_and_a_reviewer_answers(site: Site) -> None:
    said = site.run("langgraph_sdk_client.py", *BOOTS)

    assert "Step: plan" in said
    assert "Asked: Refund" in said
    assert said.index("Asked:") < said.index("We have refunded")
    assert "'status': 'closed'" in said


def test_the_mcp_example_opens_a_return_proposes_and_a_reviewer_votes(site: Site) -> None:
    said = site.run("mcp_client.py", "cus_000145", "I changed my mind about the e-reader of ORD-2497504.")

    assert "submit_case" in said
    assert "is waiting" in said
    assert "people.ask is waiting, for returns_reviewer" in said
    assert said.count("approved") == 2, said
    assert said.splitlines()[-1] == "people.ask is done"
