"""What a reviewer's no means for the case, by the words of their reason. Pure; English."""

from __future__ import annotations

import re
from collections.abc import Set

from tools.returns.models import Resolution

R = Resolution

_MEANS: list[tuple[Resolution, str]] = [
    (R.STORE_CREDIT, r"store credit|shop credit|voucher|gift card|\bcredit\b"),
    (R.REPLACE, r"replac\w+|\bsame (?:item|one|goods) again"),
    (R.EXCHANGE, r"exchang\w+|\bswap"),
    (
        R.DENY,
        r"declin\w+|\bden(?:y|ied)|reject the|not eligible|no refund|do(?:n't| not) refund|refuse|final sale|too late",
    ),
    (R.RETURNLESS_REFUND, r"keep (?:it|them|the)|without (?:a )?return|returnless"),
    (R.REFUND_ORIGINAL, r"\brefund|money back|approve|accept|goodwill|let (?:it|them) through"),
]
_GAVE = {
    "refunds.create": frozenset({R.REFUND_ORIGINAL, R.RETURNLESS_REFUND}),
    "store_credit.issue": frozenset({R.STORE_CREDIT}),
    "exchanges.create": frozenset({R.EXCHANGE, R.REPLACE}),
    "returns.decline": frozenset({R.DENY}),
}


def meant_by(note: str, open_: Set[Resolution], *, refused: str) -> Resolution | None:
    """The first way that the note names, is open, and is not what was refused; None if it names none."""
    text = note.lower().replace("’", "'")
    for resolution, pattern in _MEANS:
        if resolution in open_ and resolution not in _GAVE.get(refused, frozenset()) and re.search(pattern, text):
            return resolution
    return None
