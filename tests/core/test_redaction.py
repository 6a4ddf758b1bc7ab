"""What looks like somebody's data is taken out of log lines; what operators need stays."""

from __future__ import annotations

import logging

import pytest

from core import redaction
from core.redaction import knowing, redacted


@pytest.mark.parametrize(
    ("text", "without"),
    [
        ("rosa.o'neil+shop@mail.example.co.uk asked", "[email] asked"),
        ("paid to DE89 3704 0044 0532 0130 00 today", "paid to [iban] today"),
        ("paid to DE89370400440532013000", "paid to [iban]"),
        ("card 4111 1111 1111 1111 was refused", "card [card] was refused"),
        ("call +44 20 7946 0958 back", "call [phone] back"),
        ("call (030) 901820-12 back", "call [phone] back"),
        ("lives at 52 Station Walk, Fairmont", "lives at [address], Fairmont"),
        ("wohnt Hauptstraße 12b", "wohnt [address]"),
    ],
)
def test_what_has_a_form_is_found(text: str, without: str) -> None:
    assert redacted(text) == without


@pytest.mark.parametrize(
    "text",
    [
        "case_01m834b4jnsepcvjf704ns6w01 of cus_000056 went on in segment 12",
        "ORD-5594010 at 2026-11-23T02:39:15.053837+00:00 took 0.123456 s",
        "4111 1111 1111 1112 is no card, and DE00370400440532013000 no account",
        "refund of 74.15 USD on 127.0.0.1:8642, pid 1234567, 1795401552000 ms",
        "b99c6141478ca5198d328f83c097cacb05678638f4e3608d627810580fd038aa",
        "postgresql://postgres@/countersign is away; retry 3 of 10",
    ],
)
def test_what_operators_need_stays(text: str) -> None:
    assert redacted(text) == text


def test_names_are_found_where_somebody_says_them() -> None:
    with knowing(lambda: ["Rosa Lindqvist", "Dear shop,\nthe tent leaks\nRosa", "is", "cus_000056"]):
        assert redacted("model said: THE TENT LEAKS, says rosa lindqvist") == "model said: [personal], says [personal]"
        assert redacted("this is fine, cus_000056") == "this is fine, cus_000056"
    assert redacted("Rosa Lindqvist") == "Rosa Lindqvist"


def test_log_lines_and_what_exceptions_say_are_cleaned(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    redaction.install()
    redaction.install()  # a second time changes nothing
    try:
        log = logging.getLogger("countersign.tests")
        log.warning("sent to %s", "rosa@example.com")
        log.warning("a percent sign (%) and no arguments")
        try:
            raise ValueError("no such user: rosa@example.com")
        except ValueError:
            log.exception("it failed for %d of them", 3)
    finally:
        logging.setLogRecordFactory(before)
    assert "sent to [email]" in caplog.text
    assert "no such user: [email]" in caplog.text
    assert "it failed for 3 of them" in caplog.text
    assert "rosa@" not in caplog.text
