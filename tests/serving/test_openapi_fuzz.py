"""Schemathesis over every route, briefly: `make api-fuzz` does it for ten minutes, as each role."""

from __future__ import annotations

from tests.serving.live import living
from tests.support.api_fuzz import furnish, run, unlimited
from tests.support.folders import quick_folder


async def test_whatever_is_sent_the_answer_is_one_of_the_document() -> None:
    with quick_folder() as folder:
        async with living(unlimited(folder)) as live:
            known = await furnish(live)
            status, said = await run(live.url, live.tokens[""], known, phases=("fuzzing",), examples=2)
            assert status == 0, said
            assert "Tested: " in said
            assert await live.whole()
