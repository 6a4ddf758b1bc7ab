"""From sums over cases to what a committee asks: money, reviews, hours, deadlines, and how sure each figure is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policies.backtest.resampling import Interval, Quantity, Sums, intervals, summed
from policies.backtest.tally import Key

HOUR_S = 3_600
AUTOMATIC, REFUSED = "goes out without a person", "of it, refused by people"


@dataclass(frozen=True)
class Figure:
    """`change` and its interval are `now` less `then` where there are both. Money is in minor units of `unit`."""

    name: str
    unit: str
    """`reviews`, `hours`, `share`, or a currency."""
    change: float
    interval: Interval
    then: float | None = None
    now: float | None = None
    about: str = ""


@dataclass(frozen=True)
class _Wanted:
    name: str
    unit: str
    quantity: Quantity[Key]
    then: float | None = None
    now: float | None = None
    about: str = ""
    scales: bool = True


def figures(cases: Sequence[Mapping[Key, float]], *, scale: float, seed: int) -> list[Figure]:
    """`scale` makes figures of the recorded time ones of a month; shares stay as they are."""
    sums = summed(cases)
    wanted = [*_money(sums), *_reviews(sums), *_hours(sums), *_late(sums), *_shares(sums)]
    found = intervals(cases, [each.quantity for each in wanted], seed=seed)
    return [_figure(each, interval, sums, scale) for each, interval in zip(wanted, found, strict=True)]


def _figure(wanted: _Wanted, interval: Interval, sums: Sums[Key], scale: float) -> Figure:
    by = scale if wanted.scales else 1.0
    change = wanted.quantity.of(sums)
    low, high = min(interval.low, change), max(interval.high, change)
    if wanted.unit == "share" and wanted.then is not None:
        low, high = max(low, -wanted.then), min(high, 1.0 - wanted.then)  # no share is below none or above all
    return Figure(
        name=wanted.name,
        unit=wanted.unit,
        change=change * by,
        interval=Interval(low * by, high * by),
        then=None if wanted.then is None else wanted.then * by,
        now=None if wanted.now is None else wanted.now * by,
        about=wanted.about,
    )


def _sum(weights: Mapping[Key, float]) -> Quantity[Key]:
    items = list(weights.items())

    def total(sums: Mapping[Key, float]) -> float:
        return sum(weight * sums[key] for key, weight in items)

    return Quantity(total, total)


def _money(sums: Sums[Key]) -> list[_Wanted]:
    currencies = sorted({key[1] for key in sums if key[0] in ("automatic", "asked", "denied")})
    found = []
    for currency in currencies:
        automatic = [key for key in sums if key[:2] == ("automatic", currency)]
        candidates: list[tuple[str, list[Key], str]] = [
            (AUTOMATIC, automatic, "until now it waited, or was denied"),
            (REFUSED, [("refused", currency)], "rejected, let expire, or taken off by an edit"),
            ("comes to people", [("asked", currency)], "until now it went out by itself, or was denied"),
            ("is denied", [("denied", currency)], "until now it went out, or people were asked"),
        ]
        for name, keys, about in candidates:
            headline = bool(automatic) and name == REFUSED
            if headline or any(sums[key] for key in keys):
                found.append(_Wanted(name, currency, _sum(dict.fromkeys(keys, 1.0)), about=about))
    return found


def _reviews(sums: Sums[Key]) -> list[_Wanted]:
    quantity = _sum({("reviews", "now"): 1.0, ("reviews", "then"): -1.0})
    then, now = sums["reviews", "then"], sums["reviews", "now"]
    return [_Wanted("reviews", "reviews", quantity, then, now, "times that people are asked")]


def _groups(sums: Sums[Key], what: str) -> list[str]:
    return sorted({key[2] for key in sums if key[0] == what})


def _hours(sums: Sums[Key]) -> list[_Wanted]:
    """Seats to fill, times what a vote of that group took in the mean."""
    groups = [group for group in _groups(sums, "seats") if sums["votes", group]]
    unknown = [group for group in _groups(sums, "seats") if not sums["votes", group]]
    if not groups:
        return []
    means = {group: sums["dwell", group] / sums["votes", group] / HOUR_S for group in groups}

    def hours(found: Mapping[Key, float]) -> float:
        return (
            sum(_extra_seats(found, group) * found["dwell", group] / (found["votes", group] or 1.0) for group in groups)
            / HOUR_S
        )

    def each(case: Mapping[Key, float]) -> float:
        return sum(_extra_seats(case, group) * mean for group, mean in means.items())

    then, now = (sum(sums["seats", when, group] * mean for group, mean in means.items()) for when in ("then", "now"))
    told = ", ".join(f"{group} {mean * 60:.1f} min a vote" for group, mean in means.items())
    told += f"; without {', '.join(unknown)}, of whom no time is recorded" if unknown else ""
    return [_Wanted("reviewers' time", "hours", Quantity(hours, each), then, now, told)]


def _extra_seats(sums: Mapping[Key, float], group: str) -> float:
    return sums["seats", "now", group] - sums["seats", "then", group]


def _late(sums: Sums[Key]) -> list[_Wanted]:
    """Reviews to come, times the share of those recorded that would have been late by the deadline in question."""
    if not any(key[0] == "fate" for key in sums):
        return []
    groups = _groups(sums, "due")
    rates = {(when, group): _rate(sums, when, group) for when in ("then", "now") for group in groups}

    def expected(found: Mapping[Key, float], when: str) -> float:
        return sum(found["due", when, group] * _rate(found, when, group) for group in groups)

    def change(found: Mapping[Key, float]) -> float:
        return expected(found, "now") - expected(found, "then")

    def each(case: Mapping[Key, float]) -> float:
        return sum(
            case["due", "now", group] * rates["now", group] - case["due", "then", group] * rates["then", group]
            for group in groups
        )

    about = f"{sums['missed',]:.0f} were recorded"
    then, now = expected(sums, "then"), expected(sums, "now")
    return [_Wanted("deadlines missed", "reviews", Quantity(change, each), then, now, about)]


def _rate(sums: Mapping[Key, float], when: str, group: str) -> float:
    """Of these groups, or of all where these were never asked together."""
    known, late = sums["fate", group], sums[f"late {when}", group]
    if not known:
        known = sum(value for key, value in sums.items() if key[0] == "fate")
        late = sum(value for key, value in sums.items() if key[0] == f"late {when}")
    return late / known if known else 0.0


def _shares(sums: Sums[Key]) -> list[_Wanted]:
    return [
        _share("cases in which nobody is asked", ("alone then",), ("alone now",), ("cases",), sums),
        _share("effects allowed at once", ("allowed then",), ("allowed now",), ("decisions",), sums),
    ]


def _share(name: str, before: Key, after: Key, whole: Key, sums: Sums[Key]) -> _Wanted:
    of_all = sums[whole] or 1.0

    def change(found: Mapping[Key, float]) -> float:
        return (found[after] - found[before]) / (found[whole] or 1.0)

    def each(case: Mapping[Key, float]) -> float:
        return (case[after] - case[before]) / of_all

    then, now = sums[before] / of_all, sums[after] / of_all
    return _Wanted(name, "share", Quantity(change, each), then, now, f"of {sums[whole]:.0f}", scales=False)
