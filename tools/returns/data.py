"""What the results of a returns desk's tools hold, by classes of data. Customers are ids here, never names."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from core.data import DataClass as D
from tools.returns import results as r
from tools.returns.rules import Calculation, Evaluation
from tools.vision.ports import ScoredPhoto

HOLDS: Mapping[type[BaseModel], frozenset[D]] = {
    r.OrderFound: frozenset({D.INTERNAL, D.PAYMENT}),
    r.ReturnableItems: frozenset({D.INTERNAL}),
    r.ReturnFound: frozenset({D.INTERNAL, D.FREE_TEXT}),
    r.VariantFound: frozenset({D.PUBLIC}),
    r.History: frozenset({D.INTERNAL}),
    ScoredPhoto: frozenset({D.INTERNAL}),
    Evaluation: frozenset({D.INTERNAL, D.FREE_TEXT}),
    Calculation: frozenset({D.INTERNAL}),
    r.ReturnState: frozenset({D.INTERNAL}),
    r.Processed: frozenset({D.INTERNAL, D.PAYMENT}),
    r.MoneyGiven: frozenset({D.INTERNAL, D.PAYMENT}),
    r.Exchanged: frozenset({D.INTERNAL}),
    r.LabelMade: frozenset({D.INTERNAL}),
    r.LabelVoided: frozenset({D.INTERNAL}),
    r.MessageSent: frozenset({D.INTERNAL}),
    r.Asked: frozenset({D.FREE_TEXT}),
}
"""By the type of the result: a tool whose result is none of these is not built."""
