"""What policy may ask of a change of policy or of roles, told by the house's office."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from core.actions import JSON, ProposedAction
from core.clock import Clock
from core.people import HOME, ROLES, Permission
from core.ports import Office
from core.verdicts import Fact, FactSpec, FactType

APPROVERS = frozenset({"policy_approver", "access_approver"})
"""The roles that the governing book asks for."""
_CHANGES = ("policy.publish", "policy.roll_back")
_GRANTS = ("people.grant",)


def _of_change(path: str, kind: FactType, doc: str, *choices: str, witnessed: bool = False) -> FactSpec:
    return FactSpec(path=path, type=kind, doc=doc, choices=choices, tools=_CHANGES, witnessed=witnessed)


def _of_grant(path: str, kind: FactType, doc: str) -> FactSpec:
    return FactSpec(path=path, type=kind, doc=doc, tools=_GRANTS)


FACTS = (
    FactSpec(path="house.home", type=FactType.BOOLEAN, doc="The case is of the workspace that governs the house."),
    _of_change("change.valid", FactType.BOOLEAN, "It loads, its examples hold, and what it promises is proved."),
    _of_change("change.signed", FactType.BOOLEAN, "Everybody in approved_by signed it, for this very moment."),
    _of_change("change.fits", FactType.BOOLEAN, "Its dates and its number fit after those that were published."),
    _of_change(
        "change.direction",
        FactType.CHOICE,
        "What is proved of the difference to the version in force.",
        *("same", "tighter", "looser", "mixed", "unproved"),
        witnessed=True,
    ),
    _of_change("change.from", FactType.TEXT, "Digest of the version in force, which it changes.", witnessed=True),
    _of_change("change.summary", FactType.TEXT, "What becomes different, in the words of the file."),
    _of_grant("grant.for_oneself", FactType.BOOLEAN, "Whoever asks would get the roles."),
    _of_grant("grant.governs", FactType.BOOLEAN, "The roles decide on policy, on people, or what the house asks."),
    _of_grant("person.known", FactType.BOOLEAN, "There is such a person already."),
)
_GOVERNING = frozenset({Permission.GOVERN, Permission.OPERATE, Permission.AUDIT})


class GovernanceFacts:
    """Implements `core.ports.FactSource`."""

    def __init__(self, office: Office, clock: Clock) -> None:
        self._office = office
        self._clock = clock

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        now = self._clock.now()
        facts = {"house.home": Fact(value=action.workspace == HOME, source="house", at=now)}
        if action.tool in _CHANGES and any(path.startswith("change.") for path in wanted):
            found = await self._office.examine(action.args)
            facts |= {spec.path: self._told(spec, found, now) for spec in FACTS if spec.path.startswith("change.")}
        elif action.tool in _GRANTS:
            found = await self._office.person(str(action.args["person"]), action.case_id)
            facts |= {
                "grant.for_oneself": Fact(value=found["asked_for_themselves"], source="house", at=now),
                "grant.governs": Fact(value=_governs(action.args["roles"]), source="house", at=now),
                "person.known": Fact(value=found["known"], source="house", at=now),
            }
        return {path: fact for path, fact in facts.items() if path in wanted}

    @staticmethod
    def _told(spec: FactSpec, found: Mapping[str, JSON], now: datetime) -> Fact:
        name = spec.path.removeprefix("change.")
        return Fact(value=found[name], source="house", at=now, witnessed=spec.witnessed)


def _governs(roles: Iterable[str]) -> bool:
    """Whether any of them carries more than looking and voting. A reviewers' role that approves policy does too."""
    return any(_GOVERNING & ROLES[role] if role in ROLES else role in APPROVERS for role in roles)
