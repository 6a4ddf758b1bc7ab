"""What policy may ask of a change of policy or of roles, told by the house's office."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from core.actions import JSON, ProposedAction
from core.clock import Clock
from core.people import HOME, ROLES, Permission
from core.ports import Office
from core.verdicts import Fact, FactSpec, FactType, FactValue

APPROVERS = frozenset({"policy_approver", "access_approver"})
"""The roles that the governing book asks for."""
_CHANGES = ("policy.publish", "policy.roll_back")
_GRANTS = ("people.grant",)


def _of_change(path: str, kind: FactType, doc: str, *choices: str, witnessed: bool = False) -> FactSpec:
    return FactSpec(path=path, type=kind, doc=doc, choices=choices, tools=_CHANGES, witnessed=witnessed)


def _of_grant(path: str, kind: FactType, doc: str, *, witnessed: bool = False) -> FactSpec:
    return FactSpec(path=path, type=kind, doc=doc, tools=_GRANTS, witnessed=witnessed)


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
    _of_change("change.from", FactType.TEXT, "The point of the history that it comes after.", witnessed=True),
    _of_change("change.summary", FactType.TEXT, "What becomes different, in the words of the file."),
    FactSpec(
        path="house.as_asked",
        type=FactType.BOOLEAN,
        doc="It is what the case was opened for, or a person changed it.",
        tools=(*_CHANGES, *_GRANTS),
    ),
    _of_grant("grant.for_oneself", FactType.BOOLEAN, "Whoever asks would get the roles."),
    _of_grant("grant.governs", FactType.BOOLEAN, "The roles decide on policy, on people, or what the house asks."),
    _of_grant("person.roles", FactType.TEXT, "The roles that they have now; empty for none.", witnessed=True),
)
_GOVERNING = frozenset({Permission.GOVERN, Permission.OPERATE, Permission.AUDIT})


class GovernanceFacts:
    """Implements `core.ports.FactSource`."""

    def __init__(self, office: Office, clock: Clock) -> None:
        self._office = office
        self._clock = clock

    async def gather(self, action: ProposedAction, case: Mapping[str, JSON], wanted: frozenset[str]) -> dict[str, Fact]:
        now = self._clock.now()
        agent = action.proposer.startswith("agent:")
        as_asked = not agent or (action.tool, action.args) == (case.get("do"), case.get("change"))
        facts = {
            "house.home": Fact(value=action.workspace == HOME, source="house", at=now),
            "house.as_asked": Fact(value=as_asked, source="house", at=now),
        }
        if action.tool in _CHANGES and any(path.startswith("change.") for path in wanted):
            found = await self._office.examine(action.args)
            facts |= {spec.path: self._told(spec, found, now) for spec in FACTS if spec.path.startswith("change.")}
        elif action.tool in _GRANTS:
            name = str(action.args["person"])
            found = await self._office.person(name, action.case_id)
            told: dict[str, FactValue] = {
                "grant.for_oneself": found["asked_for_themselves"] or action.proposer == name,
                "grant.governs": _governs(action.args["roles"]),
                "person.roles": ", ".join(found["roles"]),
            }
            facts |= {
                spec.path: Fact(value=told[spec.path], source="house", at=now, witnessed=spec.witnessed)
                for spec in FACTS
                if spec.path in told
            }
        return {path: fact for path, fact in facts.items() if path in wanted}

    @staticmethod
    def _told(spec: FactSpec, found: Mapping[str, JSON], now: datetime) -> Fact:
        name = spec.path.removeprefix("change.")
        return Fact(value=found[name], source="house", at=now, witnessed=spec.witnessed)


def _governs(roles: Iterable[str]) -> bool:
    """Whether any of them carries more than looking and voting. A reviewers' role that approves policy does too."""
    return any(_GOVERNING & ROLES[role] if role in ROLES else role in APPROVERS for role in roles)
