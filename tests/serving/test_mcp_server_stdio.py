"""`countersign mcp`: by standard input and output with the official client, and the tools of others accepted."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from pydantic import SecretStr

from core.errors import SetupError
from core.mcp_settings import McpSettings, OutsideServerSettings, OutsideToolSettings
from core.settings import Settings
from serving.mcp.bridge import check
from serving.outsiders import outsiders
from tests.serving.live import Live, typed
from tests.support.mcp_server import TOKEN, Partner, answering, schema

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_command_speaks_for_its_person_through_the_running_server(live: Live) -> None:
    payload = await live.small()
    started = StdioServerParameters(
        command=sys.executable,
        args=["-m", "core.console", "mcp"],
        env={"COUNTERSIGN_URL": live.url, "COUNTERSIGN_TOKEN": live.tokens[""]},
        cwd=Path(__file__).parents[2],
    )
    heard: list[str] = []

    async def on(_passed: float, _of: float | None, what: str | None) -> None:
        heard.append(str(what))

    async with asyncio.timeout(120), Client(started) as client:
        assert "submit_case" in {tool.name for tool in (await client.list_tools()).tools}
        opened = await client.call_tool(
            "submit_case", {"kind": "returns", "payload": payload, "wait_s": 60}, progress_callback=on
        )
        case = opened.structured_content["case"]
        assert case["outcome"] == "refunded"
        assert heard
        refused = await client.call_tool("submit_case", {"kind": "nothing", "payload": {}})
        assert refused.is_error
        assert "There is no kind" in refused.content[0].text
        (book,) = (await client.read_resource("countersign://policy/returns")).contents
        assert "rules:" in book.text
        assert len((await client.list_resource_templates()).resource_templates) == 3
        assert (await client.list_resources()).resources


async def test_a_token_that_is_made_for_mcp_is_enough_and_one_for_another_way_in_is_told(live: Live) -> None:
    def work(ledger: Any) -> list[str]:
        issue = ledger.people.tokens.issue
        return [issue("default", "rita", None, scopes=[scope])[0] for scope in ("mcp", "chat")]

    ours, other = await live.house.database.write("default", work)
    await asyncio.to_thread(check, live.url, ours)
    refused = await asyncio.to_thread(typed, "mcp", env={"COUNTERSIGN_URL": live.url, "COUNTERSIGN_TOKEN": other})
    assert (refused.code, "This token is not for the mcp" in refused.err) == (1, True)


async def test_without_a_server_or_a_known_token_it_says_so_and_speaks_no_mcp(live: Live) -> None:
    away = await asyncio.to_thread(
        typed, "mcp", env={"COUNTERSIGN_URL": "http://127.0.0.1:9", "COUNTERSIGN_TOKEN": "cs_x"}
    )
    assert away.code == 2
    assert "does not answer" in away.err
    unknown = await asyncio.to_thread(typed, "mcp", env={"COUNTERSIGN_URL": live.url, "COUNTERSIGN_TOKEN": "cs_x"})
    assert unknown.code == 1
    assert "not known" in unknown.err


async def test_tools_of_others_are_looked_at_accepted_and_watched(tmp_path: Path) -> None:
    partner = Partner()
    partner.has("ship", schema(item={"type": "string"}), lambda _: {}, "Sends it.\x1b[2J")
    partner.has("odd", {"type": "object", "properties": {"a": {"not": {}}}}, lambda _: {})
    async with answering(partner):
        config = tmp_path / "countersign.toml"
        config.write_text(
            f'data = "{tmp_path}/data"\n[mcp.servers.partner]\nurl = "{partner.url}"\ntoken = "{TOKEN}"\n'
            'kinds = ["returns"]\n[mcp.servers.partner.tools.ship]\n'
        )

        async def run(*args: str, stdin: str = "") -> tuple[int, str, str]:
            env = {"COUNTERSIGN_CONFIG": str(config)}
            done = await asyncio.to_thread(typed, "mcp", *args, env=env, stdin=stdin)
            return done.code, done.out, done.err

        assert await run("tools") == (1, "new       irreversible partner.ship\n", "")
        code, out, _ = await run("accept", "partner", "--yes")
        assert code == 0
        assert "Sends it.?[2J" in out
        assert (await run("tools"))[:2] == (0, "accepted  irreversible partner.ship\n")
        partner.has("ship", schema(item={"type": "string"}, to={"type": "string"}), lambda _: {})
        assert (await run("tools"))[:2] == (1, "changed   irreversible partner.ship\n")
        config.write_text(config.read_text() + "[mcp.servers.partner.tools.odd]\n[mcp.servers.partner.tools.none]\n")
        code, out, told = await run("accept", "partner", "--yes")
        assert code == 1
        assert "'not' is not understood here" in told or "say one type" in told
        assert "the server has no such tool" in told
        assert (await run("accept", "nobody"))[0] == 1


async def test_the_doctor_says_which_of_them_an_agent_has(tmp_path: Path) -> None:
    partner = Partner()
    partner.has("ship", schema(item={"type": "string"}), lambda _: {})
    async with answering(partner):
        server = OutsideServerSettings(
            url=partner.url, token=SecretStr(TOKEN), kinds=("returns",), tools={"ship": OutsideToolSettings()}
        )
        settings = Settings(data=tmp_path, mcp=McpSettings(servers={"partner": server}))
        (line,) = await outsiders(settings)
        assert (line.state, "never accepted" in line.says) == ("warn", True)
    (down, line) = await outsiders(settings)
    assert (down.state, "does not answer" in down.says) == ("fail", True)
    (tmp_path / "mcp").mkdir()
    (tmp_path / "mcp" / "partner.json").write_text("{}")
    with pytest.raises(SetupError, match="countersign mcp accept partner"):
        await outsiders(settings)
