"""What the machine draws from: amounts around every limit, turns of a model, policies, faults and deaths."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.guarantee.stage import STAFF
from tests.support.till import pay, write
from tests.support.till_kind import BOOK
from tools.fulfillment.faults import Fault

AMOUNTS = (
    "0.01",
    "10.00",
    "50.00",
    "50.01",
    "60.00",
    "100.00",
    "199.00",
    "200.00",
    "200.01",
    "300.00",
    "899.00",
    "901.00",
)
CALLS = st.one_of(
    st.builds(pay, st.sampled_from(AMOUNTS), st.sampled_from(("acc_1", "acc_1", "acc_2", "acc_nobody"))),
    st.builds(pay, st.sampled_from(AMOUNTS[2:9])),
    st.sampled_from([write(), write("parcel.send"), write("letter.send"), write("people.ask", "May I?")]),
)
SCRIPTS = st.lists(st.lists(CALLS, min_size=1, max_size=2), min_size=1, max_size=3)
CUSTOMERS = st.sampled_from(("cus_1", "cus_1", "cus_2"))
NAMES = st.sampled_from(sorted(STAFF))
ANY = st.integers(min_value=0, max_value=11)
"""One of those there are, counted round."""
_TEXT = BOOK.read_text()
SECOND = _TEXT[_TEXT.index("- id: T-3\n") : _TEXT.index("- id: T-4\n")]
"""The rule that asks for two people."""
POLICIES = {
    "stricter: auto": (("auto: 50 USD", "auto: 5 USD"),),
    "looser: auto": (("auto: 50 USD", "auto: 150 USD"), ("auto: 5 USD", "auto: 50 USD")),
    "stricter: two people": (("two_people: 200 USD", "two_people: 80 USD"),),
    "looser: two people": (("two_people: 80 USD", "two_people: 200 USD"),),
    "stricter: cap": (("cap: 900 USD", "cap: 90 USD"),),
    "looser: cap": (("cap: 90 USD", "cap: 900 USD"),),
    "looser: day": (("day: 400 USD", "day: 800 USD"),),
    "stricter: day": (("day: 800 USD", "day: 400 USD"), ("day: 400 USD", "day: 100 USD")),
    "two clerks": (("role: clerk, within", "role: clerk, people: 2, within"),),
    "one clerk": (("role: clerk, people: 2, within", "role: clerk, within"),),
    "late clerks are followed": (("within: 4 hours, if_late: deny", "within: 4 hours, if_late: escalate to bosses"),),
    "late is no": (("if_late: escalate to bosses", "if_late: deny"),),
    "one boss": (("role: boss, people: 2", "role: boss, people: 1"),),
    "two bosses": (("role: boss, people: 1", "role: boss, people: 2"),),
    "no second rule": ((SECOND, ""),),
    "the second rule again": (("- id: T-4\n", f"{SECOND}- id: T-4\n"),),
    "beyond the day: denied": (("decide: review by desk\n  when: customer", "decide: deny\n  when: customer"),),
    "beyond the day: reviewed": (("decide: deny\n  when: customer", "decide: review by desk\n  when: customer"),),
    "a book that denies": (("decide: allow\n  when: args.amount", "decide: deny\n  when: args.amount"),),
    "a book that allows again": (("decide: deny\n  when: args.amount <=", "decide: allow\n  when: args.amount <="),),
}
FAULTS = (
    ("gift.pay", Fault.TIMEOUT_AFTER, 1),
    ("gift.pay", Fault.TIMEOUT_BEFORE, 1),
    ("gift.pay", Fault.ERROR, 1),
    ("gift.pay", Fault.ERROR, 4),
    ("gift.pay", Fault.LATE, 1),
    ("gift.pay", Fault.SLOW, 2),
    ("account.read", Fault.SLOW, 2),
    ("account.read", Fault.ERROR, 1),
    ("letter.send", Fault.TIMEOUT_AFTER, 1),
    ("parcel.send", Fault.TIMEOUT_AFTER, 1),
)
"""What strikes the provider, and how often."""
POINTS = ("gift.pay:before", "gift.pay:after", "note.write:after", "letter.send:after", "saver+1", "saver+3", "saver+8")
REFUSALS = {
    "You proposed": "its proposer",
    "You opened": "the case's opener",
    "It takes the role": "the wrong role",
    "may not": "nobody here",
    "holds it": "held by another",
    "is looking at it": "held by another",
    "does not hold it": "held by another",
    "You have voted": "the second vote",
    "It changed since": "looked at something else",
    "Its time is over": "late",
    r"It is \w+ already": "decided already",
    "was the key of another": "a key of another decision",
    "Policy does not allow it": "an edit that policy forbids",
    "Nothing was changed": "an edit of nothing",
    "Nothing can be edited": "an edit of nothing",
}
