"""The frame of a page and what it is made of: headings, tables, tiles. Whatever comes in is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5d6878; --line: #d9dee6; --ground: #fbfbfa;
  --card: #fff; --then: #9aa5b4; --now: #2563a8; --loose: #c4572a; --tight: #2b7a4b; --sign: #1c2430;
  --gone: #fbe3df; --come: #dcf0e2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --dim: #98a3b3; --line: #323b47; --ground: #14181e;
  --card: #1b2129; --then: #66717f; --now: #6aa5e0; --loose: #e08a5c; --tight: #6cbf8d; --sign: #e6e9ee;
  --gone: #4a2622; --come: #1d3d2a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1000px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; } h2 { font-size: 19px; margin: 44px 0 10px; }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 0 0 12px; max-width: 76ch; } .dim { color: var(--dim); } ul { margin: 0 0 12px; padding-left: 20px; }
li { margin: 3px 0; max-width: 76ch; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(210px, 1fr)); gap: 12px; margin: 22px 0 8px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tile b { display: block; font-size: 22px; line-height: 1.35; font-variant-numeric: tabular-nums;
  letter-spacing: -0.01em; }
.tile span { color: var(--dim); display: block; } .tile.loose b { color: var(--loose); }
.tile.tight b { color: var(--tight); }
svg { display: block; width: 100%; height: auto; margin: 6px 0 14px; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
svg .dim { fill: var(--dim); } svg .axis { stroke: var(--line); } svg .zero { stroke: var(--dim); }
svg .whisker { stroke: var(--sign); stroke-width: 1.5; }
table { border-collapse: collapse; width: 100%; margin: 0 0 14px; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 500; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code, pre { font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
code { overflow-wrap: anywhere; } td code { overflow-wrap: break-word; }
.sides { display: grid; grid-template-columns: 1fr 1fr; gap: 0; border: 1px solid var(--line); border-radius: 8px;
  margin: 0 0 14px; background: var(--card); overflow: hidden; break-inside: avoid; }
.sides > b { grid-column: 1 / 3; padding: 8px 12px; border-bottom: 1px solid var(--line); font-weight: 600; }
.sides pre { margin: 0; padding: 10px 12px; white-space: pre-wrap; overflow-wrap: anywhere; }
.sides pre + pre { border-left: 1px solid var(--line); }
del { background: var(--gone); text-decoration: none; } ins { background: var(--come); text-decoration: none; }
.shown { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--then); border-radius: 6px;
  padding: 10px 14px; margin: 0 0 12px; break-inside: avoid; }
.shown.loose { border-left-color: var(--loose); } .shown.tight { border-left-color: var(--tight); }
.shown p { margin: 0 0 4px; max-width: none; }
@media print { :root { color-scheme: light; } body { background: #fff; font-size: 11pt; } main { padding: 0; }
  h2, h3 { break-after: avoid; } tr, svg, .tiles { break-inside: avoid; } .tile, .sides, .shown { background: #fff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
@media (max-width: 640px) { .sides { grid-template-columns: 1fr; } .sides > b { grid-column: 1; }
  .sides pre + pre { border-left: 0; border-top: 1px solid var(--line); } }
"""


def document(title: str, parts: Iterable[str]) -> str:
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *parts,
            "</main></body></html>\n",
        ]
    )


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, *, dim: bool = False) -> str:
    kind = ' class="dim"' if dim else ""
    return f"<p{kind}>{escape(text)}</p>"


def bullets(lines: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A heading that begins with `-` is of numbers, one that begins with `'` of names that code knows."""
    kinds = [{"-": ' class="n"'}.get(name[:1], "") for name in head]
    code = [name.startswith("'") for name in head]
    names = [name.lstrip("-'") for name in head]
    top = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, names, strict=True))
    inside = ""
    for row in rows:
        cells = (
            f"<td{kind}>{f'<code>{escape(cell)}</code>' if named else escape(cell)}</td>"
            for kind, named, cell in zip(kinds, code, row, strict=True)
        )
        inside += f"<tr>{''.join(cells)}</tr>"
    return f"<table><thead><tr>{top}</tr></thead><tbody>{inside}</tbody></table>"


def tiles(found: Iterable[tuple[str, str, str]]) -> str:
    """Each a figure, what it is, and `loose`, `tight` or nothing."""
    inside = "".join(
        f'<div class="tile {tone}"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small, tone in found
    )
    return f'<div class="tiles">{inside}</div>'
