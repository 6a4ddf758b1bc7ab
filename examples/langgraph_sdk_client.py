"""A return on a thread by the stock `langgraph-sdk`: a customer writes, the run asks, a reviewer answers, it goes on.

The shop's chat opens the thread and vouches for its customer, here the first argument. A resume carries no authority:
the answer is the vote of the reviewer whose token it comes with. The orders are in the shop beside the house: start
both as README says under "Every day" (a generated world of seed 7 has this customer).

    export COUNTERSIGN_CHAT_TOKEN=$(countersign people add webchat --role service)
    export COUNTERSIGN_REVIEWER_TOKEN=$(countersign people add rita --role returns_reviewer)
    python examples/langgraph_sdk_client.py cus_000448 "The boots of ORD-5098889 do not fit."
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from langgraph_sdk import get_sync_client
from langgraph_sdk.client import SyncLangGraphClient


def main(customer: str, letter: str) -> None:
    chat, reviewer = client_of("COUNTERSIGN_CHAT_TOKEN"), client_of("COUNTERSIGN_REVIEWER_TOKEN")
    thread = chat.threads.create()["thread_id"]
    said: Any = {"messages": [{"role": "user", "content": letter}]}
    vouched: Any = {"configurable": {"customer_id": customer}}
    show(chat.runs.stream(thread, "returns", input=said, config=vouched, stream_mode=["updates", "messages-tuple"]))

    # Looking at the state is what lets an answer without ids mean the questions that were seen, and no others.
    state: Any = reviewer.threads.get_state(thread)
    for task in state["tasks"]:
        for asked in task["interrupts"]:
            print("Asked:", asked["value"]["description"])
            approve: Any = {"resume": {asked["id"]: {"decisions": [{"type": "approve"}]}}}
            show(reviewer.runs.stream(thread, "returns", command=approve, stream_mode=["updates", "messages-tuple"]))
    state = chat.threads.get_state(thread)
    print("Case:", state["values"]["case"])


def client_of(name: str) -> SyncLangGraphClient:
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8642")
    return get_sync_client(url=url, api_key=os.environ[name])


def show(parts: Iterable[Any]) -> None:
    for part in parts:
        if part.event == "updates":
            print("Step:", ", ".join(part.data))
        elif part.event == "messages":
            print("Says:", part.data[0]["content"])
        elif part.event == "error":
            raise SystemExit(part.data)


if __name__ == "__main__":
    main(*sys.argv[1:])
