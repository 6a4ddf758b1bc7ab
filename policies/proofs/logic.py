"""What the proofs need of z3, and the one place that imports it.

A truth is a plain bool where it is known, and a z3 expression where it is not: what is known is folded away
before z3 sees it. Everything made by one `Logic` belongs together, and to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from core.errors import CountersignError, SetupError

try:
    import z3  # type: ignore[import-untyped]
except ImportError as missing:  # pragma: no cover - the extra is installed where tests run
    raise SetupError(
        "Proofs need z3, which is not installed.", hint="Install it with: pip install 'countersign[proofs]'."
    ) from missing

Truth = Any
"""bool, or z3's Bool."""
Number = Any
"""int, or z3's Int or Real."""

_MOST_MS = 20_000


class Undecided(CountersignError):
    title = "A proof was not found in time"


def every(parts: Iterable[Truth]) -> Truth:
    left = {}
    for part in parts:
        if part is False:
            return False
        if part is not True:
            left[part.get_id()] = part
    found = list(left.values())
    return True if not found else found[0] if len(found) == 1 else _joined(z3.Z3_mk_and, found)


def some(parts: Iterable[Truth]) -> Truth:
    left = {}
    for part in parts:
        if part is True:
            return True
        if part is not False:
            left[part.get_id()] = part
    found = list(left.values())
    return False if not found else found[0] if len(found) == 1 else _joined(z3.Z3_mk_or, found)


def no(part: Truth) -> Truth:
    if isinstance(part, bool):
        return not part
    return z3.BoolRef(z3.Z3_mk_not(part.ctx.ref(), part.as_ast()), part.ctx)


def _joined(make: Any, parts: Sequence[Truth]) -> Truth:
    """As `z3.And` and `z3.Or` do, but without looking for what the parts have in common: several times faster."""
    context = parts[0].ctx
    return z3.BoolRef(make(context.ref(), len(parts), (z3.Ast * len(parts))(*[p.as_ast() for p in parts])), context)


def alike(a: Truth, b: Truth) -> Truth:
    if isinstance(a, bool):
        a, b = b, a
    if isinstance(b, bool):
        return a if b is True else no(a)
    return a == b


@dataclass(frozen=True)
class Code:
    """One of a few values, as a number in bits: cheaper for z3 than an integer."""

    bits: tuple[Truth, ...]
    _equal: dict[int, Truth] = field(default_factory=dict)

    def equals(self, code: int) -> Truth:
        if code not in self._equal:
            self._equal[code] = every(bit if code >> place & 1 else no(bit) for place, bit in enumerate(self.bits))
        return self._equal[code]

    def same(self, other: Code) -> Truth:
        return every(alike(a, b) for a, b in zip(self.bits, other.bits, strict=True))


class Logic:
    """Makes variables and asks. Facts are added once; questions are asked under assumptions."""

    def __init__(self) -> None:
        self._context = z3.Context()

    def flag(self, name: str) -> Truth:
        return z3.Bool(name, self._context)

    def whole(self, name: str) -> Number:
        return z3.Int(name, self._context)

    def real(self, name: str) -> Number:
        return z3.Real(name, self._context)

    def exactly(self, value: Fraction) -> Number:
        return z3.Q(value.numerator, value.denominator, self._context)

    def code(self, name: str, many: int) -> Code:
        """A variable for `many` values. Where they fill no power of two, its caller forbids the rest."""
        return Code(tuple(self.flag(f"{name}#{place}") for place in range((many - 1).bit_length())))

    def asking(self) -> Asking:
        return Asking(self._context)


def as_real(value: Number) -> Number:
    return z3.ToReal(value) if isinstance(value, z3.ArithRef) and value.is_int() else value


class Asking:
    """A solver. `possible` is None where nothing fits, else the model that does."""

    def __init__(self, context: Any) -> None:
        self._solver = z3.SimpleSolver(ctx=context)
        self._solver.set("timeout", _MOST_MS)
        self._context = context

    def add(self, truth: Truth) -> None:
        if truth is not True:
            self._solver.add(z3.BoolVal(False, self._context) if truth is False else truth)

    def possible(self, assumptions: Sequence[Truth]) -> Found | None:
        """Raises `Undecided` where z3 gives up."""
        asked = [each.as_ast() for each in assumptions if not isinstance(each, bool)]
        if any(each is False for each in assumptions):
            return None
        found = z3.Z3_solver_check_assumptions(
            self._context.ref(), self._solver.solver, len(asked), (z3.Ast * len(asked))(*asked)
        )
        if found == z3.Z3_L_UNDEF:
            raise Undecided(
                f"z3 gave up: {self._solver.reason_unknown()}.", hint="Split the longest rules of the policy."
            )
        return Found(self._solver.model()) if found == z3.Z3_L_TRUE else None

    def needed(self, assumptions: Sequence[Truth]) -> list[int]:
        """The places of assumptions that can't hold together; none can be left out. They must not be possible."""
        impossible = [n for n, each in enumerate(assumptions) if each is False]
        if impossible:
            return impossible[:1]
        self.possible(assumptions)
        core = {truth.get_id() for truth in self._solver.unsat_core()}
        kept = [n for n, each in enumerate(assumptions) if not isinstance(each, bool) and each.get_id() in core]
        for place in list(kept):
            fewer = [n for n in kept if n != place]
            if self.possible([assumptions[n] for n in fewer]) is None:
                kept = fewer
        return kept


class Found:
    """Values of a model; what z3 left open is zero or false."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def truth(self, truth: Truth) -> bool:
        if isinstance(truth, bool):
            return truth
        context, value = self._model.ctx.ref(), (z3.Ast * 1)()
        z3.Z3_model_eval(context, self._model.model, truth.as_ast(), True, value)
        return bool(z3.Z3_get_bool_value(context, value[0]) == z3.Z3_L_TRUE)

    def number(self, number: Number) -> Fraction:
        value = self._model.eval(number, model_completion=True)
        return Fraction(value.as_long()) if z3.is_int_value(value) else Fraction(value.as_fraction())

    def code(self, code: Code) -> int:
        return sum(self.truth(bit) << place for place, bit in enumerate(code.bits))
