"""What the returns policy may ask, told from the shop and the case, never from the model's word.

A fact that can't be told of an action is left out: policy takes that as missing, and denies.

Of a return, the `reason` of each line is what the model wrote when it asked for it, so these rest on its word:
`reason.*`, and through it `return.entitled` (fees, shipping) and `order.window_days` (longer for our fault). Where
money or a late return hangs on it, the book wants a photo; `reason.contradicts_form` holds it against the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from core.actions import JSON, ProposedAction
from core.clock import Clock
from core.verdicts import Fact, FactSpec
from tools.fulfillment.ports import Shop
from tools.returns.sightings import SIGHTINGS
from tools.returns.subject import Subject
from tools.returns.telling import TOOL_NAMES
from tools.vision.ports import NoScorer, VisionScorer

FACTS: tuple[FactSpec, ...] = tuple(sighting.spec for sighting in SIGHTINGS)

FACTS_BY_TOOL: Mapping[str, frozenset[str]] = {
    tool: frozenset(spec.path for spec in FACTS if not spec.tools or tool in spec.tools) for tool in TOOL_NAMES
}


class ReturnsFacts:
    """Implements `core.ports.FactSource`. Reads what is wanted, each record once for an action.

    Of the case it reads `customer_id`, `letter` (text) and `photos` (a list, each as `vision.score` takes it).
    """

    def __init__(
        self, shop: Shop, clock: Clock, vision: VisionScorer | None = None, photos: Path | None = None
    ) -> None:
        self._shop = shop
        self._clock = clock
        self._vision = vision or NoScorer()
        self._photos = photos

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        now = self._clock.now()
        about = Subject(self._shop, action, case, now, self._vision, self._photos)
        known = wanted & FACTS_BY_TOOL.get(action.tool, frozenset())
        facts = {}
        for spec, tell, source in SIGHTINGS:
            if spec.path in known and (value := await tell(about)) is not None:
                facts[spec.path] = Fact(value=value, source=source, at=now, witnessed=spec.witnessed)
        return facts
