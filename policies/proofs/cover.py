"""Rules that others make superfluous: whenever such a rule matches, others say the same or stricter."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from policies.clauses import Rule
from policies.proofs.logic import Truth, some
from policies.proofs.tool import Named, ToolProof


@dataclass(frozen=True)
class Cover:
    by: frozenset[str]
    """The rules that say it already."""
    denies_unknown: bool
    """It is not superfluous where a fact is missing: it can't be told, and denies."""


def cover_of(proof: ToolProof, rule: Rule) -> Cover | None:
    """None where a rule is needed. The rule has to match somewhere."""
    if rule.id in proof.needed:
        return None
    by: set[str] = set()
    for assumptions, standing in _questions(proof, rule, in_short=True):
        if proof.possible([*assumptions, *standing.values()]) is not None:
            return None
    for assumptions, standing in _questions(proof, rule, in_short=False):
        names = [*([""] * len(assumptions)), *standing]
        places = proof.encoding.unknowns.asking.needed([*assumptions, *standing.values()])
        by |= {names[place].partition(" ")[0] for place in places} - {""}
    return Cover(frozenset(by), _denies_unknown(proof, rule))


_Question = tuple[list[Truth], dict[str, Truth]]


def _questions(proof: ToolProof, rule: Rule, *, in_short: bool) -> Iterable[_Question]:
    """What has to be possible for a rule to be needed, any of it: that it matches, and that others don't stand by.

    In short, many others have one name together, which is fast; else each has its own, which tells who stands by.
    """
    side = proof.side
    mine = [proof.matches(rule).yes]
    others = [other for other in side.rules if other is not rule]

    def silent(which: Iterable[Rule]) -> dict[str, Truth]:
        return {other.id: proof.matches(other).no for other in which}

    if rule.decides == "deny":
        yield mine, silent(other for other in others if other.decides == "deny")
        return
    if in_short:
        stricter = {
            "deny": proof.named("a deny matches", lambda: side.matching("deny")).no,
            "open": proof.named("a rule can't be told", lambda: side.unsettled).no,
        }
        if rule.decides == "allow":
            stricter["review"] = proof.named("a review matches", lambda: side.matching("review")).no
    else:
        stricter = silent(
            o for o in others if o.decides == "deny" or (rule.decides == "allow" and o.decides != "allow")
        )
        stricter |= {f"{other.id} open": _open(proof, other).no for other in others}
    if rule.decides == "allow":
        yield mine, stricter | silent(other for other in others if other.decides == "allow")
        return
    for group in rule.reviewers:
        asking = (o for o in others if o.decides == "review" and any(g.group == group.group for g in o.reviewers))
        yield mine, stricter | silent(asking)


def _open(proof: ToolProof, rule: Rule) -> Named:
    return proof.named(f"{rule.id} open", lambda: proof.side.told[rule.id].open)


def _denies_unknown(proof: ToolProof, rule: Rule) -> bool:
    """Whether the verdict would be milder without the rule where the rule can't be told."""
    side = proof.side
    milder = proof.named("a rule matches that lets it pass", lambda: _passing(proof))
    denied = proof.named("a deny matches", lambda: side.matching("deny"))
    others = [_open(proof, other).no for other in side.rules if other is not rule]
    return proof.possible([_open(proof, rule).yes, milder.yes, denied.no, *others]) is not None


def _passing(proof: ToolProof) -> Truth:
    return some((proof.side.matching("allow"), proof.side.matching("review")))
