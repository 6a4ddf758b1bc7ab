"""No body is read longer than its length is worth."""

from __future__ import annotations

from contextlib import suppress
from time import process_time

import pytest

from core.errors import InvalidInput
from serving.api.bodies import check


@pytest.mark.parametrize(
    "hostile",
    [b'"' + b'\\"' * 100_000, b'"\\' * 100_000, b'"' * 200_001, b'"a' * 100_000 + b"\\"],
    ids=["quotes that do not end", "escapes that do not end", "empty texts", "the last is an escape"],
)
def test_texts_without_an_end_are_read_once(hostile: bytes) -> None:
    """Beside a body of the same length that is as it should be, in the same run."""

    def cost(body: bytes) -> float:
        began = process_time()
        with suppress(InvalidInput):
            check(body)
        return process_time() - began

    brackets = b"[" + b"{}," * 70
    well = min(cost(brackets + b'"a",' * (len(hostile) // 4) + b"1]") for _ in range(3))
    assert cost(brackets + hostile) < 50 * well


def test_many_members_of_which_one_stands_twice_are_looked_through_once() -> None:
    def cost(count: int) -> float:
        body = "{" + ",".join(f'"k{n}":1' for n in range(count)) + f',"k{count - 1}":2}}'
        began = process_time()
        with pytest.raises(InvalidInput, match=f"'k{count - 1}' stands twice"):
            check(body.encode())
        return process_time() - began

    assert min(cost(40_000) for _ in range(3)) < 100 * min(cost(2_000) for _ in range(3))  # squared it would be 400
