"""Two themes. Colour only repeats what a glyph or a word says, so that NO_COLOR loses nothing."""

from __future__ import annotations

from textual.theme import Theme

DARK = Theme(
    name="countersign-dark",
    primary="#5fa8d3",
    secondary="#8d99ae",
    accent="#e0a458",
    success="#6cc08b",
    warning="#e9b44c",
    error="#ef6f6c",
    foreground="#d8dee9",
    background="#12161c",
    surface="#171c24",
    panel="#212936",
    dark=True,
)
LIGHT = Theme(
    name="countersign-light",
    primary="#1d5f8a",
    secondary="#5c677d",
    accent="#9a5b00",
    success="#1f7a45",
    warning="#8a5a00",
    error="#b3261e",
    foreground="#1f2328",
    background="#fafaf7",
    surface="#f2f2ec",
    panel="#e2e4e0",
    dark=False,
)
