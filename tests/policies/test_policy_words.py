"""Words that the house gives to every policy: all tools, who gave an argument, and a model's call."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from pydantic import BaseModel

from core.actions import Effect, ToolSpec
from core.data import DataClass
from core.model_call import MODEL_CALL
from core.money import Money
from core.verdicts import Allow, Deny, FactSpec, FactType, Source
from policies.book import Book
from policies.document import Scalar
from policies.explain import explain
from policies.folding import constants, folded, settled
from policies.lexer import tokens
from policies.parser import Scope, parse
from policies.problems import At, PolicyRefused
from policies.reference import evaluate
from policies.vocabulary import Origin, Vocabulary, args_terms
from tests.policies.conftest import SPECS, SmallDesk

Load = Callable[[str], Book]
LAST = "- id: LK-01"


def rule(tools: str, when: str, decide: str = "deny") -> str:
    return f"- {{id: ALL-1, tools: {tools}, decide: {decide}, when: '{when}', reason: For all., cite: Policy 9}}\n"


@pytest.fixture
def with_rule(load: Load, book_text: str) -> Callable[..., Book]:
    return lambda *args: load(book_text.replace(LAST, rule(*args) + LAST))


# All tools


def rules_of(book: Book, tool: str) -> set[str]:
    return {each.id for _, each in book.programs[tool].tests}


def test_a_rule_for_all_tools_is_one_for_each_of_the_kinds_own(with_rule: Callable[..., Book]) -> None:
    book = with_rule("all", "order.days > 90")
    assert all("ALL-1" in rules_of(book, tool) for tool in ("refund", "look"))
    assert MODEL_CALL not in book.programs  # it is the house's, and knows nothing of orders


def test_it_costs_nothing_where_it_can_never_hold(with_rule: Callable[..., Book]) -> None:
    book = with_rule("all", "tool.egress.provider and order.days > 90")
    assert "ALL-1" in rules_of(book, "refund")
    assert "ALL-1" not in rules_of(book, "look")
    assert "order.days" not in book.programs["look"].blank
    assert "tool.egress.provider" not in book.programs["refund"].blank  # nor is asked what never changes


def refused(load: Callable[[], Book]) -> list[str]:
    with pytest.raises(PolicyRefused) as no:
        load()
    return [f"{problem.message} {problem.hint}" for problem in no.value.problems]


def test_a_word_that_some_tools_lack_is_refused_with_their_names(with_rule: Callable[..., Book]) -> None:
    (told,) = refused(lambda: with_rule("all", "order.left > 5 USD"))
    assert told == (
        "rule 'ALL-1', tool 'look': unknown fact 'order.left' A rule for all tools may ask only what every tool knows."
    )


def test_a_slip_of_the_pen_gets_the_usual_help(with_rule: Callable[..., Book]) -> None:
    (told,) = refused(lambda: with_rule("all", "order.dys > 5"))
    assert told == "rule 'ALL-1', tools 'refund', 'look': unknown fact 'order.dys' Did you mean order.days?"


@pytest.mark.parametrize(
    ("tools", "when", "message"),
    [
        ("[all, look]", "order.owned", "unknown tool 'all'"),
        ("all", "tool.effect == reversible", "'when' holds for none of its tools, ever"),
        ("[look]", "tool.egress.provider", "'when' holds for none of its tools, ever"),
    ],
)
def test_what_can_not_be_meant_is_refused(with_rule: Callable[..., Book], tools: str, when: str, message: str) -> None:
    assert message in refused(lambda: with_rule(tools, when))[0]


@pytest.mark.parametrize(
    "condition",
    [
        "tool.effect == read and order.owned",
        "tool.effect == read or order.owned",
        "not (tool.effect in [read, reversible]) and (order.owned or tool.egress.customer)",
        "not (order.owned and tool.egress.provider) or case.kind != small",
        "(tool.egress.provider or order.days > 3) and (order.owned or order.days is unknown)",
        "tool.egress.third_party is known and order.days > 3",
    ],
)
def test_folding_changes_no_answer(words: Vocabulary, condition: str) -> None:
    for tool in ("refund", "look"):
        terms = words.tools[tool]
        fixed = constants(terms)
        text = _scalar(condition)
        tree = parse(tokens(text), Scope(terms, {}), lambda *_: None)
        assert tree is not None
        small = folded(tree, fixed)
        for owned, days in product((True, False, None), (1, 9, None)):
            env = {**fixed, "order.owned": owned, "order.days": days}
            assert evaluate(small, env) is evaluate(tree, env)
        assert settled(small) in (None, evaluate(small, {}))


def _scalar(text: str) -> Scalar:
    return Scalar(text, At(1, 1), text, At(1, 1))


# Who gave an argument


class Sender(BaseModel):
    source: str
    name: str


class Parcel(BaseModel):
    to: Sender
    note: str | None = None
    pieces: int = 1


def test_text_money_lists_and_nested_models_have_a_source_and_nothing_else_has() -> None:
    labels = {path for path, term in args_terms(SPECS["refund"].args).items() if term.origin is Origin.GATE}
    assert labels == {
        f"args.{path}.source"
        for path in ("order_id", "amount", "note", "lines", "transfer", "transfer.amount", "transfer.method")
    }


def test_a_field_named_source_is_the_field() -> None:
    terms = args_terms(Parcel)
    assert (terms["args.to.source"].origin, terms["args.to.source"].type) == (Origin.ARGS, FactType.TEXT)
    assert terms["args.to.source.source"].choices == tuple(source.value for source in Source)
    assert terms["args.to.name.source"].origin is Origin.GATE


def test_a_rule_about_a_source_needs_the_label(with_rule: Callable[..., Book]) -> None:
    book = with_rule("[refund]", "args.note is known and args.note.source == model")
    small = SmallDesk(book)
    assert isinstance(small.decide(note="x", facts={"args.note.source": "customer"}), Allow)
    assert small.decide(note="x", facts={"args.note.source": "model"}).reason == "For all."
    assert "args.note.source is unknown" in small.decide(note="x").reason
    assert "args.note.source is not choice" in small.decide(note="x", facts={"args.note.source": "nobody"}).reason


# A model's call


def judged(book: Book, *classes: DataClass, **model: str) -> str:
    facts = {"model.hosting": "embedded", "model.name": "m", **{f"model.{name}": word for name, word in model.items()}}
    shown = {f"data.{each.value}": each in classes for each in DataClass}
    return explain(book, MODEL_CALL, {**facts, **shown}).said


def test_a_policy_says_which_model_and_region_may_see_which_data(load: Load, book_text: str) -> None:
    rules = """\
- {id: MD-1, tools: [model.call], decide: allow, when: 'model.hosting in [embedded, self_hosted]', reason: r, cite: c}
- {id: MD-2, tools: [model.call], decide: deny, when: model.hosting == managed and (data.personal or data.photo),
   reason: r, cite: c}
- {id: MD-3, tools: [model.call], decide: review by desk,
   when: 'model.hosting == managed and data.free_text and model.region != "eu"', reason: r, cite: c}
- {id: MD-4, tools: [model.call], decide: allow, when: 'model.name == "large" and model.hosting == managed',
   reason: r, cite: c}
"""
    book = load(book_text.replace(LAST, rules + LAST))
    text, photo = DataClass.FREE_TEXT, DataClass.PHOTO
    assert judged(book, text, photo) == "allow by MD-1"
    assert judged(book, text, photo, hosting="managed", region="eu") == "deny by MD-2"
    assert judged(book, text, hosting="managed", region="us") == "review by desk by MD-3"
    assert judged(book, text, hosting="managed", region="eu") == "deny by no rule"
    assert judged(book, text, hosting="managed", region="eu", name="large") == "allow by MD-4"
    assert judged(book, text, hosting="managed") == "deny, because MD-3 can't be judged: model.region is unknown"


def test_without_a_rule_no_model_is_called(book: Book) -> None:
    assert judged(book) == "deny by no rule"


@pytest.mark.parametrize("path", ["order.owned", "customer.refunds", "args.model"])
def test_a_models_call_hangs_on_nothing_but_itself(with_rule: Callable[..., Book], path: str) -> None:
    assert f"unknown fact '{path}'" in refused(lambda: with_rule("[model.call]", f"{path} is known"))[0]


@pytest.mark.parametrize(
    ("tool", "path"), [("all", "order.x"), (MODEL_CALL, "order.x"), ("t", "model.name"), ("t", "data.x")]
)
def test_a_kind_can_not_take_the_houses_words(tool: str, path: str) -> None:
    spec = ToolSpec(tool, Effect.READ, Parcel, Parcel, lambda a: "")
    with pytest.raises(ValueError, match=r"name of the house's|dotted path of its own"):
        Vocabulary.of("small", {tool: spec}, [FactSpec(path=path, type=FactType.TEXT, doc="")])


def test_the_judge_reads_a_models_call_from_its_arguments(load: Load, book_text: str) -> None:
    rules = "- {id: MD-1, tools: [model.call], decide: allow, when: not data.photo, reason: r, cite: c}\n"
    desk = SmallDesk(load(book_text.replace(LAST, rules + LAST)))

    def call(*classes: str) -> Allow | Deny:
        action = desk.action().model_copy(
            update={
                "tool": MODEL_CALL,
                "args": {"model": {"name": "m", "hosting": "managed", "region": ""}, "classes": list(classes)},
            }
        )
        verdict = desk.judge.judge(action, {}, desk.now)
        assert isinstance(verdict, Allow | Deny)
        return verdict

    assert isinstance(call("public"), Allow)
    assert isinstance(call("photo", "public"), Deny)
    assert "do not fit" in call("secret").reason


def test_a_fact_below_the_least_that_it_can_be_is_no_fact() -> None:
    """A record that says -1 signals is broken, and nobody is let through by it."""
    facts = (
        FactSpec(path="customer.signals", type=FactType.INTEGER, doc="How many.", least=0),
        FactSpec(path="order.left", type=FactType.MONEY, doc="What is left.", least=0),
    )
    terms = Vocabulary.of("small", SPECS, facts).tools["refund"]
    assert [terms["customer.signals"].accepts(value) for value in (0, 3, -1)] == [True, True, False]
    left = terms["order.left"]
    assert [left.accepts(Money.of(amount, "USD")) for amount in ("0", "5", "-0.01")] == [True, True, False]
