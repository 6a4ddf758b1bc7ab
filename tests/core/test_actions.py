"""An action's id is its content: whoever holds the id holds exactly these arguments."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from rfc8785 import CanonicalizationError

from core.actions import Effect, ProposedAction, ToolSpec
from core.errors import InvalidInput
from core.ids import canonical, digest, new_id
from core.money import Money

ACTION = ProposedAction(
    workspace="default",
    case_id="case_1",
    kind="returns",
    tool="refunds.create",
    schema_version=1,
    args={"order_id": "ord_1", "amount": {"amount_minor": 8000, "currency": "USD"}, "keep": False, "note": "Größe ✓"},
    proposer="agent:returns",
    step_key="3.0",
)
CONTENT = (
    '{"args":{"amount":{"amount_minor":8000,"currency":"USD"},"keep":false,"note":"Größe ✓","order_id":"ord_1"},'
    '"case":"case_1","proposer":"agent:returns","schema_version":1,"step_key":"3.0","tool":"refunds.create",'
    '"workspace":"default"}'
)
GOLDEN = "41b929b92c8554f1148e1dd3964539700f7e0dd5fe2db6b21085115670610da3"
"""Of ACTION. If this changes, every vote in every database is void."""


def test_the_id_is_the_same_in_every_version() -> None:
    assert hashlib.sha256(CONTENT.encode()).hexdigest() == GOLDEN
    assert ACTION.id == GOLDEN
    assert ACTION.effect_key == f"case_1:3.0:{GOLDEN[:16]}"


def test_the_id_does_not_depend_on_the_order_of_arguments() -> None:
    turned = dict(reversed(ACTION.args.items()))
    assert ProposedAction.model_validate({**ACTION.model_dump(), "args": turned}).id == GOLDEN


@pytest.mark.parametrize(
    "change",
    [
        {"workspace": "other"},
        {"case_id": "case_2"},
        {"tool": "store_credit.issue"},
        {"schema_version": 2},
        {"proposer": "rita"},
        {"step_key": "3.1"},
        {"args": {**ACTION.args, "keep": True}},
        {"args": {**ACTION.args, "keep": 0}},
        {"args": {**ACTION.args, "keep": None}},
        {"args": {**ACTION.args, "more": None}},
        {"args": {**ACTION.args, "amount": {"amount_minor": 8001, "currency": "USD"}}},
        {"args": {**ACTION.args, "amount": {"amount_minor": "8000", "currency": "USD"}}},
        {"args": {**ACTION.args, "note": "Größe ✓ "}},
        {"args": {**ACTION.args, "note": "Gro\u0308ße ✓"}},
        {"args": {}},
    ],
    ids=str,
)
def test_any_change_is_another_action(change: dict[str, Any]) -> None:
    other = ProposedAction.model_validate({**ACTION.model_dump(), **change})
    assert other.id != GOLDEN
    assert other.effect_key != ACTION.effect_key


def test_a_changed_copy_can_not_keep_the_id() -> None:
    with pytest.raises(ValidationError):
        ACTION.args = {}  # type: ignore[misc]
    kept = ACTION.model_copy(update={"args": {}})
    assert ProposedAction.model_validate(kept.model_dump()).id != GOLDEN


def test_canonical_json_sorts_keys_escapes_least_and_refuses_what_is_no_json() -> None:
    assert canonical({"b": 1, "a": [True, None, "é\n"], "A": {}}).decode() == '{"A":{},"a":[true,null,"é\\n"],"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    for value in ({"a": object()}, {"a": float("nan")}, {1: "a"}, {"a": 2**60}):
        with pytest.raises((CanonicalizationError, ValueError)):
            canonical(value)


def test_ids_sort_by_birth_and_do_not_repeat() -> None:
    ids = [new_id("case") for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(len(each) == len("case_") + 26 for each in ids)
    assert ids[0][:15] <= ids[-1][:15]


class _Pay(BaseModel):
    model_config = ConfigDict(extra="forbid")
    amount: Money
    to: str


def test_a_tool_names_the_argument_that_does_not_fit() -> None:
    spec = ToolSpec("pay", Effect.IRREVERSIBLE, _Pay, _Pay, lambda a: f"Pay {a.amount}")
    with pytest.raises(InvalidInput, match=r"pay: amount\.amount_minor") as wrong:
        spec.parse({"amount": {"amount_minor": 1.5, "currency": "USD"}, "to": "ann"})
    assert wrong.value.field == "args.amount.amount_minor"
    with pytest.raises(InvalidInput, match="pay: tip"):
        spec.parse({"amount": {"amount_minor": 1, "currency": "USD"}, "to": "ann", "tip": 1})
    parsed = spec.parse({"amount": {"amount_minor": 1, "currency": "USD"}, "to": "ann"})
    assert spec.describe(parsed) == "Pay 0.01 USD"
