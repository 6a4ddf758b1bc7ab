"""The OpenAPI document: committed as it is, whole, and held to what clients were promised."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.api.compatible import breaks
from serving.commands.openapi import text
from tests.serving.live import typed
from tests.support.repository import ROOT

COMMITTED = ROOT / "docs" / "openapi.json"
Doc = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Doc:
    found: Doc = json.loads(text())
    return found


def operations(document: Doc) -> Iterator[tuple[str, str, Doc]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def test_the_committed_document_is_what_the_api_is() -> None:
    assert COMMITTED.read_text() == text(), "write it anew: countersign openapi --write docs/openapi.json"


def test_nothing_that_was_promised_is_broken(document: Doc) -> None:
    assert breaks(json.loads(COMMITTED.read_text()), document) == []


def test_each_operation_has_a_name_of_its_own_a_tag_and_words(document: Doc) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert sorted(names) == sorted(set(names))
    for path, method, operation in operations(document):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", operation["operationId"]), (path, method)
        assert operation.get("tags"), (path, method)


def test_each_operation_tells_problems_as_documents(document: Doc) -> None:
    told = document["components"]["responses"]["ProblemDefault"]["content"]
    assert told == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, method, operation in operations(document):
        answers = operation["responses"]
        if not path.startswith("/v1/"):  # errors there are as chat clients know them
            assert answers["default"] == {"$ref": "#/components/responses/ProblemDefault"}, (path, method)
        if operation.get("security"):
            assert {"401", "403", "429"} <= set(answers), (path, method)
        assert any(status.startswith("2") for status in answers), (path, method)
        assert "HTTPValidationError" not in json.dumps(answers), (path, method)


def test_only_what_anybody_may_know_takes_no_token(document: Doc) -> None:
    open_to_all = {path for path, _, operation in operations(document) if not operation.get("security")}
    assert open_to_all <= {"/ok", "/info"}


def _without(path: str, method: str = "") -> Callable[[Doc], None]:
    def change(document: Doc) -> None:
        if method:
            del document["paths"][path][method]
        else:
            del document["paths"][path]

    return change


def _schema(name: str, change: Callable[[Doc], object]) -> Callable[[Doc], None]:
    return lambda document: void(change(document["components"]["schemas"][name]))


def void(_: object) -> None:
    pass


BREAKS: list[tuple[Callable[[Doc], None], str]] = [
    (_without("/api/v1/cases"), "POST /api/v1/cases: it is gone"),
    (_without("/api/v1/cases/{case_id}", "get"), "GET /api/v1/cases/{case_id}: it is gone"),
    (_schema("CaseSummary", lambda s: s["properties"].pop("outcome")), ".outcome is gone"),
    (_schema("CaseSummary", lambda s: s["required"].remove("status")), ".status may be missing now"),
    (_schema("CaseSummary", lambda s: s["properties"]["priority"].update(type="string")), ".priority may be string"),
    (_schema("SubmitCase", lambda s: s["required"].append("priority")), "body.priority has to be sent now"),
    (_schema("SubmitCase", lambda s: s["properties"].pop("priority")), "body.priority is not taken any more"),
    (_schema("SubmitCase", lambda s: s["properties"]["kind"].update(maxLength=8)), "body.kind is held to maxLength 8"),
    (_schema("SubmitCase", lambda s: s["properties"]["kind"].update(enum=["returns"])), "may only be one of returns"),
    (_schema("SubmitCase", lambda s: s["properties"]["kind"].update(type="integer")), "may not be string any more"),
    (_schema("CaseStatus", lambda s: s["enum"].remove("waiting")), "may not be waiting any more"),
    (
        lambda document: document["paths"]["/api/v1/kpis"]["get"]["parameters"][0].update(required=True),
        "query parameter since has to be sent now",
    ),
    (
        lambda document: void(document["paths"]["/api/v1/kpis"]["get"]["parameters"].pop()),
        "query parameter until is gone",
    ),
    (
        lambda document: document["paths"]["/api/v1/cases"]["post"].update(operationId="cases_open"),
        "its operationId cases_submit is now cases_open",
    ),
    (
        lambda document: void(document["paths"]["/api/v1/cases"]["post"]["responses"].pop("202")),
        "does not answer 202 any more",
    ),
]


@pytest.mark.parametrize(("change", "said"), BREAKS, ids=[said for _, said in BREAKS])
def test_a_change_that_breaks_clients_is_named(document: Doc, change: Callable[[Doc], None], said: str) -> None:
    changed = copy.deepcopy(document)
    change(changed)
    found = breaks(document, changed)
    assert any(said in line for line in found), found
    if "is gone" not in said and "enum" not in said:
        assert all(line for line in found)


@pytest.mark.parametrize(
    "change",
    [
        _schema("SubmitCase", lambda s: s["properties"].update(label={"type": "string"})),
        _schema("SubmitCase", lambda s: s["properties"]["kind"].update(maxLength=100)),
        _schema("SubmitCase", lambda s: s["required"].remove("payload")),
        _schema("CaseSummary", lambda s: s["properties"].update(label={"type": "string"})),
        lambda document: document["paths"].update({"/api/v2/cases": {"get": {"responses": {"200": {}}}}}),
    ],
)
def test_what_only_adds_breaks_nobody(document: Doc, change: Callable[[Doc], None]) -> None:
    changed = copy.deepcopy(document)
    change(changed)
    assert breaks(document, changed) == []
    assert breaks(document, document) == []


def test_the_commands_say_so_with_their_exits(document: Doc, tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert typed("openapi", "--write", old).code == 0
    assert typed("openapi", "--check", old).code == 0
    assert typed("api-diff", old).code == 0
    changed = copy.deepcopy(document)
    del changed["paths"]["/api/v1/kpis"]
    new.write_text(json.dumps(changed))
    told = typed("api-diff", old, new)
    assert (told.code, told.out) == (1, "GET /api/v1/kpis: it is gone\n")
    assert typed("openapi", "--check", new).code == 1
    assert json.loads(typed("openapi").out) == document
    new.write_text("[]")
    assert typed("api-diff", old, new).code == 2
