"""A shop's chat by the stock `openai` package: a customer asks for a return, and hears what comes of it.

The chat is a service account of the house and vouches for its customer, here by the first argument. The orders are in
the shop beside the house: start both as README says under "Every day" (a generated world of seed 7 has this customer).

    export COUNTERSIGN_CHAT_TOKEN=$(countersign people add webchat --role service)
    python examples/openai_chat.py cus_000448 "The boots of ORD-5098889 do not fit." "Any news?"
"""

from __future__ import annotations

import os
import sys
from typing import Any

from openai import OpenAI


def main(customer: str, *sentences: str) -> None:
    url = os.environ.get("COUNTERSIGN_URL", "http://127.0.0.1:8642")
    client = OpenAI(base_url=f"{url}/v1", api_key=os.environ["COUNTERSIGN_CHAT_TOKEN"])
    print("Agents:", ", ".join(model.id for model in client.models.list()))
    talk: list[Any] = []
    for sentence in sentences:
        print(f"\n> {sentence}")
        talk.append({"role": "user", "content": sentence})
        answer = ""
        # The whole talk goes each time; the house finds its case by it, also after a restart of either side.
        for chunk in client.chat.completions.create(model="returns", messages=talk, user=customer, stream=True):
            said = chunk.choices[0].delta.content or ""  # a delta without words says that work goes on
            print(said, end="", flush=True)
            answer += said
        print()
        talk.append({"role": "assistant", "content": answer})


if __name__ == "__main__":
    main(*sys.argv[1:])
