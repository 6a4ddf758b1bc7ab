from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import InvalidInput, SetupError
from core.money import Money
from tools.fulfillment.catalog import read_world
from tools.fulfillment.shop import EmbeddedShop
from tools.returns.models import Customer, Order, OrderStatus, Reason, Refund, Resolution, Return, ReturnStatus, Variant
from tools.returns.shop import DIALECT
from tools.returns.simulated import base_rates
from tools.returns.simulated.command import world as command
from tools.returns.simulated.submissions import CYCLE, FRAUDULENT, Kind, Submission
from tools.returns.simulated.world import COLLECTIONS, World, generate, load_world

NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop() -> World:
    return generate(7, 3000, NOW)


@pytest.fixture(scope="module")
def mail(shop: World) -> list[Submission]:
    return shop.submissions(200)


def _orders(shop: World) -> dict[str, Order]:
    return {body["order_id"]: Order.model_validate(body) for body in shop.records["orders"]}


def test_the_same_seed_makes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        made = generate(seed, 200, NOW)
        made.save(tmp_path / name)
        letters = [submission.model_dump_json() for submission in made.submissions(10)]
        (tmp_path / f"{name}.letters").write_text("\n".join(letters))
    for suffix in ("", ".letters"):
        first, again, other = ((tmp_path / f"{name}{suffix}").read_bytes() for name in "abc")
        assert first == again
        assert first != other


def test_every_record_fits_its_model_and_the_goods_are_varied(shop: World) -> None:
    for collection, model in COLLECTIONS.items():
        for body in shop.records[collection]:
            assert model.model_validate(body).model_dump(mode="json") == body
    variants = [Variant.model_validate(body) for body in shop.records["variants"]]
    assert len({variant.title for variant in variants}) >= 60
    assert {variant.category for variant in variants} == set(base_rates.CATEGORY_PULL)
    assert any(v.final_sale for v in variants)
    assert any(v.serialised for v in variants)
    assert any(v.returnless_below for v in variants)
    assert {order.currency for order in _orders(shop).values()} == {"USD", "EUR", "GBP", "JPY", "KWD"}
    by_product = defaultdict(set)
    for variant in variants:
        by_product[variant.product_id].add(variant.price.currency)
    assert all(len(currencies) == 1 for currencies in by_product.values())


def test_the_past_adds_up(shop: World) -> None:
    orders = _orders(shop)
    refunded: dict[str, Money] = {}
    for body in shop.records["refunds"]:
        refund = Refund.model_validate(body)
        refunded[refund.order_id] = refunded.get(refund.order_id, Money.zero(refund.amount.currency)) + refund.amount
    returned: Counter[str] = Counter()
    for body in shop.records["returns"]:
        past = Return.model_validate(body)
        assert orders[past.order_id].customer_id == past.customer_id
        assert past.requested_at < NOW
        if past.status not in (ReturnStatus.DECLINED, ReturnStatus.CANCELED):
            returned.update({line.fulfillment_line_item_id: line.quantity for line in past.lines})
    for order in orders.values():
        goods = Money.total((line.unit_price.times(line.quantity) for line in order.lines), order.currency)
        assert order.total == goods + order.shipping_paid
        assert order.refunded == refunded.get(order.order_id, Money.zero(order.currency)) <= order.total
        for line in order.lines:
            assert line.returned_quantity == returned[line.fulfillment_line_item_id] <= line.quantity


def test_base_rates_are_the_published_ones(shop: World, mail: list[Submission]) -> None:
    asked = {body["order_id"] for body in shop.records["returns"]}
    matured = [
        order
        for order in _orders(shop).values()
        if order.status is OrderStatus.DELIVERED and order.delivered_at and (NOW - order.delivered_at).days > 40
    ]
    low, high = base_rates.RETURN_RATE_RANGE
    assert low - 0.02 <= sum(order.order_id in asked for order in matured) / len(matured) <= high + 0.02
    low, high = base_rates.FRAUD_SHARE_RANGE
    assert low <= sum(truth.kind in FRAUDULENT for truth in shop.truth.values()) / CYCLE <= high
    history = Counter(body["customer_id"] for body in shop.records["returns"])
    assert max(history.values()) >= base_rates.SERIAL_RETURNS
    assert any(Customer.model_validate(body).signals for body in shop.records["customers"])


def test_two_hundred_submissions_are_of_every_kind_and_none_is_a_clone(shop: World, mail: list[Submission]) -> None:
    truths = [shop.truth[submission.key] for submission in mail]
    assert {truth.kind for truth in truths} == set(Kind)
    assert {line.reason for truth in truths for line in truth.meant} == set(Reason)
    assert {truth.wants for truth in truths} == {*Resolution, None} - {Resolution.DENY}
    bodies = {re.sub(r"[\d#]+|ord-", "", submission.letter.lower()) for submission in mail}
    assert len(bodies) == len(mail)
    openings = Counter(submission.letter[:40] for submission in mail)
    assert max(openings.values()) <= 12
    assert {submission.channel for submission in mail} == {"email", "web", "chat"}
    assert any(submission.letter.isupper() for submission in mail)
    assert any("Forwarded message" in submission.letter for submission in mail)
    assert any("> Thank you for your order!" in submission.letter for submission in mail)
    assert any(len(truth.meant) > 1 for truth in truths)


def test_submissions_stand_in_the_relation_to_the_orders_that_the_truth_says(
    shop: World, mail: list[Submission]
) -> None:
    orders = _orders(shop)
    for submission in mail:
        truth = shop.truth[submission.key]
        order = orders[truth.order_id]
        lines = {line.fulfillment_line_item_id: line for line in order.lines}
        pairs = [(lines[asked.fulfillment_line_item_id], asked) for asked in truth.meant]
        assert order.delivered_at is not None
        inside = (NOW - order.delivered_at).days <= order.return_window_days
        above = any(asked.quantity > line.quantity for line, asked in pairs)
        gone = any(line.returned_quantity == line.quantity for line, _ in pairs)
        assert inside is (truth.kind is not Kind.OUT_OF_WINDOW)
        assert above is (truth.kind is Kind.ABOVE_BOUGHT)
        assert gone is (truth.kind is Kind.ALREADY_RETURNED)
        assert any(line.final_sale for line, _ in pairs) is (truth.kind is Kind.FINAL_SALE)
        assert (submission.customer_id != order.customer_id) is (truth.kind is Kind.FOREIGN_ORDER)
        known = submission.order_id in (None, order.order_id)
        assert known or truth.kind is Kind.UNKNOWN_ORDER
        assert truth.entitled_amount.currency == order.currency
        assert (truth.entitled is Resolution.DENY) is (truth.entitled_amount.amount_minor == 0)
        assert truth.entitled_amount <= order.total


def test_the_payload_holds_nothing_of_the_truth(shop: World, mail: list[Submission]) -> None:
    fields = {"customer_id", "order_id", "letter", "photos", "lines", "wants", "channel", "language"}
    for submission in mail:
        assert set(submission.model_dump(mode="json")) == fields
    text = json.dumps([submission.model_dump(mode="json") for submission in mail])
    assert "entitled" not in text
    assert "sub_0" not in text


def test_instructions_to_the_agent_come_in_several_styles(shop: World) -> None:
    bad = [s.letter for s in shop.submissions(200) if shop.truth[s.key].kind is Kind.INJECTION]
    assert len(bad) == 6
    signs = ("ignore all previous", "automated assistant", "<!--", '"tool"', "POLICY", "From: returns", "audit@collect",
             "New instruction", "helpful agent")  # fmt: skip
    assert len({sign for sign in signs for letter in bad if sign.lower() in letter.lower()}) >= 4


def test_photos_are_real_pictures_but_for_one_that_is_none(mail: list[Submission]) -> None:
    photos = [photo for submission in mail for photo in submission.photos]
    assert len(photos) > 5
    no_image = 0
    for photo in photos:
        assert len(photo) <= 255  # the limit of a case
        body = base64.b64decode(photo.removeprefix("data:image/png;base64,"), validate=True)
        if not body.startswith(b"\x89PNG\r\n\x1a\n"):
            no_image += 1
            continue
        width, height = struct.unpack(">II", body[16:24])
        start = body.index(b"IDAT")
        (length,) = struct.unpack(">I", body[start - 4 : start])
        assert len(zlib.decompress(body[start + 4 : start + 4 + length])) == height * (1 + width // 4)
    assert no_image == 1


def test_a_saved_world_comes_back_with_the_same_mail(shop: World, mail: list[Submission], tmp_path: Path) -> None:
    path = tmp_path / "deep" / "world.json"
    shop.save(path)
    back = load_world(path)
    assert back.records == shop.records
    assert back.submissions(200) == mail
    assert back.submissions(30) == mail[:30]
    assert "entitled" not in path.read_text()


async def test_a_shop_loads_the_file(shop: World, tmp_path: Path) -> None:
    path = tmp_path / "world.json"
    shop.save(path)
    embedded = EmbeddedShop(None, [DIALECT])
    count = await embedded.load(read_world(path, [DIALECT]))
    assert count == sum(len(found) for found in shop.records.values())
    order = shop.records["orders"][0]
    assert (await embedded.read("orders.get", {"order_id": order["order_id"]}))["total"] == order["total"]
    await embedded.close()


def test_a_small_world_says_when_its_orders_run_out() -> None:
    with pytest.raises(InvalidInput, match="no order left") as caught:
        generate(1, 20, NOW).submissions(200)
    assert "more orders" in caught.value.hint


def test_the_command_writes_a_world_and_asks_before_it_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    args = ["generate", "--seed", "5", "--orders", "50", "--out", str(path), "--now", "2026-11-02"]
    first = CliRunner().invoke(command, args)
    assert first.exit_code == 0
    assert "50 orders" in first.output
    assert "\x1b" not in first.output
    assert load_world(path).records == generate(5, 50, NOW).records
    again = CliRunner().invoke(command, args)
    assert isinstance(again.exception, SetupError)
    assert "--force" in again.exception.hint
    assert CliRunner().invoke(command, [*args, "--force"]).exit_code == 0
    blocked = CliRunner().invoke(command, [*args[:-3], str(path / "below.json"), *args[-2:]])
    assert isinstance(blocked.exception, SetupError)
    assert CliRunner().invoke(command, ["generate", "--orders", "0"]).exit_code == 2
    assert [found.name for found in tmp_path.iterdir()] == ["w.json"]


def test_a_broken_world_file_is_refused_and_the_place_is_named(tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    generate(5, 30, NOW).save(path)
    whole = path.read_text()

    def broken(text: str) -> str:
        path.write_text(text)
        with pytest.raises(InvalidInput) as caught:
            load_world(path)
        return caught.value.detail

    first = json.dumps(load_world(path).records["customers"][0], separators=(",", ":"), ensure_ascii=False)
    assert "no JSON" in broken(whole[:-400])
    assert "line 3" in broken(whole.replace(first, first[:-5], 1))
    assert "customers, record 1: rank" in broken(whole.replace(first, first.replace('"tier"', '"rank"'), 1))
    assert "no list of orders" in broken(whole.replace('"orders":', '"order":'))
    assert "countersign-world" in broken('{"some": "json"}')
    assert "version 9" in broken(whole.replace('"version":1', '"version":9'))
    assert "seed" in broken(whole.replace('"seed":5', '"seed":null'))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput):
        load_world(path)
    with pytest.raises(SetupError):
        load_world(tmp_path / "absent.jsonl")
