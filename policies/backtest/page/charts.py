"""Figures drawn as SVG. Every chart says in words what it shows, and every number in it stands in a table, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import floor, log10

from policies.backtest.figures import Figure
from policies.backtest.telling import VERDICTS, between, shown

_WIDTH, _LABEL, _ROW = 950, 270, 44
_RIGHT = 260
"""Room beside the bars, for the figure and its interval."""
_CELL_W, _CELL_H = 150, 54
_TONE = {"goes out without a person": "--loose", "of it, refused by people": "--loose"}


def transitions(found: Mapping[tuple[str, str], int]) -> str:
    """Three by three: from the verdict of then to the one of now. What stays the same lies on the diagonal."""
    left, top = 190, 58
    changed = [many for (then, now), many in found.items() if then != now]
    most = max(changed, default=1)
    drawn = [
        f'<text class="dim" x="{left + 1.5 * _CELL_W}" y="18" text-anchor="middle">under the new policy</text>',
        f'<text class="dim" x="{left - 86}" y="{top + 1.5 * _CELL_H}" text-anchor="end">as recorded</text>',
    ]
    for place, name in enumerate(VERDICTS):
        drawn.append(f'<text x="{left + (place + 0.5) * _CELL_W}" y="{top - 12}" text-anchor="middle">{name}</text>')
        drawn.append(f'<text x="{left - 14}" y="{top + (place + 0.5) * _CELL_H + 5}" text-anchor="end">{name}</text>')
    for row, then in enumerate(VERDICTS):
        for column, now in enumerate(VERDICTS):
            many = found.get((then, now), 0)
            tone = "--then" if row == column else "--loose" if column < row else "--tight"
            strength = 0.14 if row == column else (0.15 + 0.65 * many / most if many else 0.0)
            x, y = left + column * _CELL_W, top + row * _CELL_H
            drawn.append(
                f'<rect x="{x + 2}" y="{y + 2}" width="{_CELL_W - 4}" height="{_CELL_H - 4}" rx="5" '
                f'fill="var({tone})" fill-opacity="{strength:.2f}" stroke="var(--line)"/>'
                f'<text x="{x + _CELL_W / 2}" y="{y + _CELL_H / 2 + 5}" text-anchor="middle">{many:,}</text>'
            )
    legend = left + 3 * _CELL_W + 40
    keys = (("--loose", "looser"), ("--tight", "tighter"), ("--then", "the same"))
    for place, (tone, name) in enumerate(keys):
        y = top + 22 + place * 28
        drawn.append(
            f'<rect x="{legend}" y="{y - 12}" width="16" height="16" rx="3" fill="var({tone})" fill-opacity="0.6"/>'
            f'<text x="{legend + 26}" y="{y + 1}">{name}</text>'
        )
    return _svg(top + 3 * _CELL_H + 8, drawn, "Decisions by the verdict recorded and the verdict under the new policy")


def amounts(figures: Sequence[Figure]) -> str:
    """Bars of one currency from zero, each with its interval."""
    most = max(max(each.interval.high, each.change) for each in figures) or 1.0
    least = min(0.0, *(each.interval.low for each in figures))
    axis = _Axis(least, most, figures[0].unit)
    drawn = axis.drawn(len(figures))
    for place, each in enumerate(figures):
        middle = place * _ROW + _ROW / 2
        drawn += [
            _label(each.name, middle),
            axis.bar(0.0, each.change, middle, 18, _TONE.get(each.name, "--tight")),
            axis.whisker(each, 0.0, middle),
            _said(shown(each.change, each.unit), between(each), middle),
        ]
    return _svg(
        len(figures) * _ROW + 30, drawn, f"Money in {figures[0].unit} whose verdict changes, with 95% intervals"
    )


def before_and_after(figures: Sequence[Figure]) -> str:
    """Each on a scale of its own: a bar for then, a bar for now, and the interval of the change around now."""
    drawn: list[str] = []
    for place, each in enumerate(figures):
        then, now = each.then or 0.0, each.now or 0.0
        axis = _Axis(0.0, max(then, now, then + each.interval.high) or 1.0, each.unit)
        middle = place * 58 + 29
        drawn += [
            _label(each.name, middle),
            axis.bar(0.0, then, middle - 11, 14, "--then"),
            axis.bar(0.0, now, middle + 7, 14, "--now"),
            axis.whisker(each, then, middle + 7),
            _said(f"{shown(then, each.unit)} → {shown(now, each.unit)}", f"change {between(each)}", middle),
        ]
    bottom = len(figures) * 58 + 18
    for x, tone, name in ((_LABEL, "--then", "as recorded"), (_LABEL + 130, "--now", "under the new policy")):
        drawn.append(
            f'<rect x="{x}" y="{bottom - 12}" width="14" height="14" rx="3" fill="var({tone})"/>'
            f'<text class="dim" x="{x + 22}" y="{bottom}">{name}</text>'
        )
    drawn.append(
        f'<text class="dim" x="{_LABEL + 310}" y="{bottom}">the line: where a repetition could end (95%)</text>'
    )
    return _svg(bottom + 10, drawn, "Work of people before and after, with 95% intervals of the change")


class _Axis:
    def __init__(self, least: float, most: float, unit: str) -> None:
        self._step = _round_step((most - least) / 4)
        self._least, self._unit = least, unit
        self._scale = (_WIDTH - _LABEL - _RIGHT) / (most - least)

    def at(self, value: float) -> float:
        return _LABEL + (value - self._least) * self._scale

    def drawn(self, rows: int) -> list[str]:
        bottom, found, value = rows * _ROW, [], 0.0
        while self.at(value) <= _WIDTH - _RIGHT + 1:
            x = self.at(value)
            kind = "zero" if value == 0 else "axis"
            found.append(
                f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}"/><text class="dim" x="{x:.1f}" '
                f'y="{bottom + 20}" text-anchor="middle">{escape(_short(value, self._unit))}</text>'
            )
            value += self._step
        return found

    def bar(self, begin: float, end: float, middle: float, tall: float, tone: str) -> str:
        x, wide = self.at(min(begin, end)), abs(end - begin) * self._scale
        return (
            f'<rect x="{x:.1f}" y="{middle - tall / 2:.1f}" width="{max(wide, 1.0):.1f}" height="{tall}" rx="2" '
            f'fill="var({tone})" fill-opacity="0.75"/>'
        )

    def whisker(self, figure: Figure, base: float, middle: float) -> str:
        low, high = (self.at(max(self._least, base + end)) for end in figure.interval)
        if high - low < 1:
            return ""
        ends = "".join(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{middle - 5}" y2="{middle + 5}"/>'
            for x in (low, high)
        )
        return f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>{ends}'


def _label(name: str, middle: float) -> str:
    return f'<text x="{_LABEL - 14}" y="{middle + 5:.1f}" text-anchor="end">{escape(name)}</text>'


def _said(figure: str, interval: str, middle: float) -> str:
    x = _WIDTH - _RIGHT + 24
    return (
        f'<text x="{x}" y="{middle - 3:.1f}">{escape(figure)}</text>'
        f'<text class="dim" x="{x}" y="{middle + 15:.1f}" style="font-size: 12px">{escape(interval)}</text>'
    )


def _round_step(rough: float) -> float:
    """1, 2 or 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power: float = 10 ** floor(log10(rough))
    return power * next(each for each in (1, 2, 5, 10) if rough <= each * power)


def _short(value: float, unit: str) -> str:
    return shown(value, unit).removesuffix(f" {unit}").removesuffix(".00")


def _svg(height: float, drawn: Iterable[str], label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(drawn)}</svg>'
