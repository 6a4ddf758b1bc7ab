"""Whether a new version of a book is tighter or looser than the old one, in every situation, tool by tool."""

from __future__ import annotations

import time

from policies.book import Book
from policies.proofs.difference import Difference, ToolDifference
from policies.proofs.findings import Progress
from policies.proofs.logic import Logic
from policies.proofs.outside import changes
from policies.proofs.pair import Pair
from policies.proofs.shape import says


def compare(old: Book, new: Book, progress: Progress = lambda step, seconds: None) -> Difference:
    """Tools whose rules say the same are not looked at: their verdicts are the same.

    Where the same words mean other figures in the two versions, what is said with them can't be held together.
    """
    outside = changes(old, new)
    unproved = {tool: change for change in outside for tool in change.tools}
    logic, found = Logic(), {}
    for tool in sorted(old.programs.keys() | new.programs.keys()):
        begun = time.perf_counter()
        if tool in unproved:
            found[tool] = ToolDifference(tool, unproved=unproved[tool].what)
        elif says(old.rules, tool) != says(new.rules, tool):
            found[tool] = Pair(old, new, tool, logic).difference()
        progress(tool, time.perf_counter() - begun)
    return Difference(old, new, found, tuple(outside))
