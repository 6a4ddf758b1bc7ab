"""What holds of a policy book in every situation, not only in its examples."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator

from policies.book import Book
from policies.clauses import Never, Rule
from policies.problems import At
from policies.proofs.cover import Cover, cover_of
from policies.proofs.findings import Finding, Kind, Progress, named, of_tools
from policies.proofs.logic import Logic, Undecided
from policies.proofs.tool import ToolProof


def prove(book: Book, progress: Progress = lambda step, seconds: None) -> list[Finding]:
    """In the order of the file. Errors: a rule that never matches, a `never` that does not hold or is not proved."""
    logic, proofs = Logic(), []
    found: list[Finding] = []
    dead: dict[str, list[ToolProof]] = defaultdict(list)
    covers: dict[str, dict[str, Cover | None]] = defaultdict(dict)
    for tool in book.programs:
        begun = time.perf_counter()
        proof = ToolProof(book, tool, logic)
        proofs.append(proof)
        try:
            for rule in proof.rules:
                if proof.dead(rule):
                    dead[rule.id].append(proof)
                elif not rule.monitor:
                    covers[rule.id][tool] = cover_of(proof, rule)
            found += _gaps(proof)
        except Undecided as gave_up:
            said = f"the rules for tool '{tool}' are not all proved: {gave_up.detail}"
            found.append(Finding(Kind.UNDECIDED, proof.rules[0].at, said, gave_up.hint, tools=(tool,)))
            for rule in proof.rules:
                covers[rule.id].setdefault(tool, None)
        progress(f"{tool}, {len(proof.rules)} rules", time.perf_counter() - begun)
    for rule in book.rules:
        found += _dead(rule, dead[rule.id])
        found += _shadowed(rule, covers[rule.id])
    found += _silent(book)
    for number, never in enumerate(book.never, 1):
        begun = time.perf_counter()
        found += _never(number, never, {proof.tool: proof for proof in proofs})
        progress(f"never {number}: {never.why}", time.perf_counter() - begun)
    return sorted(found, key=lambda finding: (finding.at, finding.kind))


def _dead(rule: Rule, proofs: list[ToolProof]) -> Iterator[Finding]:
    tools = tuple(proof.tool for proof in proofs)
    if not proofs:
        return
    at = rule.at
    parts = sorted({part for proof in proofs for part in proof.contradicting(rule)})
    where = named((f"{part.line}:{part.column}" for part in parts), "{}")
    why = f"What stands at {where} can't be true together." if len(parts) > 1 else f"{where} is never true."
    if len(tools) == len(rule.conditions):
        yield Finding(Kind.DEAD, at, f"rule '{rule.id}' can never match", why, rule.id, tools, error=True)
    else:
        said = f"rule '{rule.id}' can never match for {of_tools(tools)}"
        yield Finding(Kind.DEAD, at, said, f"{why} It can be left out of the tools.", rule.id, tools)


def _shadowed(rule: Rule, covers: dict[str, Cover | None]) -> Iterator[Finding]:
    known = {tool: cover for tool, cover in covers.items() if cover}
    if not known or len(known) < len(covers):
        return
    by = tuple(sorted({name for cover in known.values() for name in cover.by}))
    stands = f"whenever it matches, {named(by)} {'says' if len(by) == 1 else 'say'} the same or stricter"
    if any(cover.denies_unknown for cover in known.values()):
        hint = "It only denies where a fact that it reads is missing; say so, or remove it."
    else:
        hint = "Without it every verdict is the same."
    yield Finding(
        Kind.SHADOWED,
        rule.at,
        f"rule '{rule.id}' changes nothing: {stands}",
        hint,
        rule.id,
        tuple(known),
        covered_by=by,
    )


def _gaps(proof: ToolProof) -> Iterator[Finding]:
    allowing = next((rule for rule in proof.side.rules if rule.decides == "allow"), None)
    situation = proof.gap() if allowing else None
    if allowing and situation:
        yield Finding(
            Kind.GAP,
            allowing.at,
            f"tool '{proof.tool}': no rule speaks of {situation}",
            "It is denied without a reason; a rule could give one.",
            tools=(proof.tool,),
            situation=situation,
        )


def _silent(book: Book) -> Iterator[Finding]:
    tools = tuple(sorted(set(book.vocabulary.tools) - set(book.programs)))
    if tools:
        said = f"no rule speaks of the {of_tools(tools)}"
        yield Finding(Kind.SILENT, At(1, 1), said, "They are always denied; a rule could say why.", tools=tools)


def _never(number: int, never: Never, proofs: dict[str, ToolProof]) -> Iterator[Finding]:
    for tool in never.conditions:
        if tool not in proofs:
            continue  # without a rule nothing is ever allowed
        proof = proofs[tool]
        try:
            situation = proof.broken(never)
        except Undecided as gave_up:
            said = f"never {number} ({never.why}) is not proved for '{tool}': {gave_up.detail}"
            yield Finding(Kind.UNDECIDED, never.at, said, gave_up.hint, tools=(tool,), error=True)
            continue
        if situation:
            allowing = [rule.id for rule in proof.program.decide(situation.facts).deciding]
            said = f"never {number} ({never.why}) does not hold: {named(allowing)} allows '{tool}' with {situation}"
            yield Finding(
                Kind.BROKEN, never.at, said, "Change a rule, or the promise.", " ".join(allowing), (tool,),
                error=True, situation=situation,
            )  # fmt: skip
        elif not proof.possibly(never):
            said = f"never {number} ({never.why}) promises nothing: it can't happen for '{tool}'"
            yield Finding(Kind.EMPTY, never.at, said, "Correct allow_when, or the tools.", tools=(tool,))
