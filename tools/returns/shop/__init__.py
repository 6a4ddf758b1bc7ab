"""What a returns shop understands, and what it refuses by itself whatever anybody approved.

A system of record protects itself: ownership, quantities, final sale, money that is left, stock and
states are checked here, independently of any policy. Refusals carry a reason of one or two words.
"""

from __future__ import annotations

from tools.fulfillment.ports import Dialect
from tools.returns.shop import contact, lifecycle, lookups, money, warehouse

DIALECT = Dialect(
    name="returns",
    collections={
        "customers": "customer_id",
        "variants": "variant_id",
        "orders": "order_id",
        "returns": "return_id",
        "refunds": "refund_id",
        "exchanges": "exchange_id",
        "labels": "label_id",
        "messages": "message_id",
    },
    queries=lookups.QUERIES,
    operations={**lifecycle.OPERATIONS, **warehouse.OPERATIONS, **money.OPERATIONS, **contact.OPERATIONS},
    indexes={
        "variants": ("product_id",),
        "orders": ("customer_id",),
        "returns": ("customer_id",),
        "refunds": ("return_id", "order_id"),
        "exchanges": ("return_id",),
    },
)
