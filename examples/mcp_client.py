"""A return by the official `mcp` client: a program opens a case and proposes, a person looks at what waits and votes.

Both talk with /mcp of a running house, each with their own token. The orders are in the shop beside the house: start
both as README says under "Every day" (a generated world of seed 7 has this customer).

    export COUNTERSIGN_CHAT_TOKEN=$(countersign people add webchat --role service)
    export COUNTERSIGN_REVIEWER_TOKEN=$(countersign people add rita --role returns_reviewer)
    python examples/mcp_client.py cus_000145 "I changed my mind about the e-reader of ORD-2497504."
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2  # the HTTP library of `mcp`
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client


async def main(customer: str, letter: str) -> None:
    async with signed_in("COUNTERSIGN_CHAT_TOKEN") as program:
        print("Tools:", ", ".join(tool.name for tool in (await program.list_tools()).tools))
        payload = {"customer_id": customer, "letter": letter}
        opened = await call(program, "submit_case", kind="returns", payload=payload, wait_s=30)
        case = opened["case"]["id"]
        print(f"{case} is {opened['case']['status']}")
        # A kind's tool is a proposal in the case: policy judges it, and people where policy asks for them.
        asked = {"question": "May the customer keep the box?", "context": ""}
        told = await call(program, "people__ask", case_id=case, args=asked)
        print(f"{told['tool']} is {told['status']}, for {', '.join(told['waiting_for'])}: {told['reason']}")

    async with signed_in("COUNTERSIGN_REVIEWER_TOKEN") as reviewer:
        waiting = (await call(reviewer, "list_approvals"))["items"]
        for each in sorted(waiting, key=lambda each: each["tool"] != "people.ask"):  # the agent's own comes last
            if each["case_id"] == case:
                detail = await call(reviewer, "get_approval", approval_id=each["id"])
                print(f"Asked: {each['described']}. {each['reason']}")
                for word in detail["evidence_for"]:
                    print(f"  for it: {word}")
                vote = {"approval_id": each["id"], "choice": "approve", "seen": detail["seen"]}
                print(f"  {(await call(reviewer, 'decide_approval', **vote))['status']}")

    async with signed_in("COUNTERSIGN_CHAT_TOKEN") as program:
        told = await call(program, "people__ask", case_id=case, args=asked, wait_s=30)
        print(f"{told['tool']} is {told['status']}")


@asynccontextmanager
async def signed_in(token: str) -> AsyncIterator[Client]:
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8642")
    headers = {"Authorization": f"Bearer {os.environ[token]}"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=90) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
    ):
        yield client


async def call(client: Client, tool: str, **args: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, args)
    if answer.is_error:
        raise SystemExit(f"{tool}: {answer.content}")
    return dict(answer.structured_content)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
