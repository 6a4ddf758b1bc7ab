"""The one table, for people; and the same as plain values, for scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Cost, Figure, Report

_PLAIN_WIDTH = 150
"""Columns where the output is no terminal: wide enough for no line to be broken."""


def show(machine: Mapping[str, str], report: Report, console: Console | None = None) -> None:
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    said = "{cores} cores, Python {python}, {system}, load {load} (1, 5, 15 minutes)".format_map(machine)
    console.print(said, style="dim")
    table = Table(header_style="bold", pad_edge=False)
    table.add_column("figure", overflow="fold")
    table.add_column("beside", style="dim", overflow="fold")
    for name in ("wall", "floor", "ratio", "CPU", "floor", "ratio"):
        table.add_column(name, justify="right", no_wrap=True, style="bold" if name == "ratio" else "")
    table.add_column("aim", overflow="fold")
    for figure in report.figures:
        table.add_row(figure.name, figure.beside, *_cells(figure), _aim(figure))
    console.print(table)
    for note in report.notes:
        console.print(note, soft_wrap=True)


def as_json(machine: Mapping[str, str], report: Report) -> dict[str, Any]:
    figures = [
        {
            "name": figure.name,
            "beside": figure.beside,
            "wall_s": figure.ours.wall,
            "cpu_s": figure.ours.cpu,
            "floor_wall_s": figure.floor.wall,
            "floor_cpu_s": figure.floor.cpu,
            "ratio_wall": ratio(figure.ours.wall, figure.floor.wall),
            "ratio_cpu": ratio(figure.ours.cpu, figure.floor.cpu),
            "aim": figure.aim,
            "met": figure.met,
        }
        for figure in report.figures
    ]
    return {"machine": dict(machine), "figures": figures, "notes": report.notes}


def ratio(ours: float, floor: float) -> float | None:
    """None where the floor is below what the clock can tell."""
    return ours / floor if floor > 0 else None


def _cells(figure: Figure) -> list[str]:
    def wall(cost: Cost) -> str:
        return f"{_round(1 / cost.wall)}/s" if figure.per_second else _long(cost.wall)

    ours, floor = figure.ours, figure.floor
    return [
        wall(ours),
        wall(floor),
        _times(ratio(ours.wall, floor.wall)),
        _long(ours.cpu),
        _long(floor.cpu),
        _times(ratio(ours.cpu, floor.cpu)),
    ]


def _aim(figure: Figure) -> str:
    if figure.met is None:
        return figure.aim
    return f"{figure.aim}: {'met' if figure.met else 'missed'}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{_round(value)} x"


def _long(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{_round(seconds * 1e6)} µs"
    return f"{_round(seconds * 1e3)} ms" if seconds < 1 else f"{_round(seconds)} s"


def _round(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
