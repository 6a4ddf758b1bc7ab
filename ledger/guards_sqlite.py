"""The guard's rules in SQLite's words. `ledger/guards.py` says what they are for.

Triggers here can hold no common table expression; what several rules read is a view. Conditions stand from the
cheap to the dear, and all that is about approvals asks `NEW.gated` first, so that a plain effect pays for four
look-ups by key.
"""

from __future__ import annotations


def _took_over(late: str) -> str:
    """Whether the review says that this successor sits for a set `s` that policy asks for."""
    return f"""EXISTS (
            SELECT 1 FROM json_each(r.reviewers) AS e
            WHERE json_extract(e.value, '$.stands_for[0]') = json_extract(s.value, '$.group')
            AND json_extract(e.value, '$.group') = json_extract(s.value, '$.{late}.group')
            AND json_extract(e.value, '$.role') = json_extract(s.value, '$.{late}.role'))"""


_PASSED_ON = """AND NOT EXISTS (SELECT 1 FROM escalation AS e
            WHERE e.action_id = r.action_id AND e.person = v.person AND e.undone_at IS NULL)"""
"""Nobody who gave the question to others."""

_KEEPS = """
        AND NOT EXISTS (SELECT 1 FROM person AS o CROSS JOIN json_each(o.keepers) AS k
            WHERE o.workspace = r.workspace AND o.id IN (r.proposer, r.opened_by) AND k.value = v.person)"""
"""Nobody who holds a token of whoever proposed it, or opened its case."""

VIEWS = {
    # The approval that counts for an action: the last one.
    "run_approval": """CREATE VIEW run_approval AS
        SELECT r.action_id, r.id AS review_id, r.reviewers, r.due_at, r.decided_at, a.workspace, a.proposer,
        a.args, c.opened_by, r.undo_until
        FROM review AS r
        JOIN action AS a ON a.id = r.action_id AND a.workspace = r.workspace AND a.case_id = r.case_id
        JOIN "case" AS c ON c.id = a.case_id
        WHERE r.id = (
            SELECT id FROM review WHERE action_id = r.action_id AND status = 'approved'
            ORDER BY opened_at DESC, id DESC LIMIT 1)""",
    # Whose seats the last decision asks to be filled: a set's own, or those of who took over from it.
    "run_seat": f"""CREATE VIEW run_seat AS
        SELECT d.action_id, s.key AS n, max(json_extract(s.value, '$.people'), json_extract(
            CASE WHEN {_took_over("late")} THEN json_extract(s.value, '$.late')
            WHEN {_took_over("late.late")} THEN json_extract(s.value, '$.late.late')
            ELSE s.value END, '$.people')) AS people, json_extract(
            CASE WHEN {_took_over("late")} THEN json_extract(s.value, '$.late')
            WHEN {_took_over("late.late")} THEN json_extract(s.value, '$.late.late')
            ELSE s.value END, '$.role') AS role
        FROM decision AS d CROSS JOIN run_approval AS r CROSS JOIN json_each(d.body, '$.reviewers') AS s
        WHERE d.id = (SELECT max(id) FROM decision WHERE action_id = d.action_id) AND r.action_id = d.action_id""",
    # Who counts, with each role that they had when they voted and have now; nobody whom the action is about.
    "run_approver": """CREATE VIEW run_approver AS
        SELECT r.action_id, v.person, had.value AS role
        FROM run_approval AS r
        CROSS JOIN vote AS v ON v.review_id = r.review_id
        CROSS JOIN person AS p ON p.workspace = r.workspace AND p.id = v.person
        CROSS JOIN json_each(v.roles) AS had
        CROSS JOIN json_each(p.roles) AS has ON has.value = had.value
        WHERE v.action_id = r.action_id AND v.workspace = r.workspace AND v.choice = 'approve' AND v.at <= r.due_at
        AND v.person <> r.proposer AND v.person <> r.opened_by AND p.active
        AND NOT EXISTS (SELECT 1 FROM json_each(r.args) AS a WHERE a.type = 'text' AND a.value = v.person)
        """
    + _PASSED_ON
    + _KEEPS,
}


def views(desk_work: bool) -> list[str]:
    """Makes them. `desk_work`: whether a question can be passed on, and what was decided taken back."""
    if desk_work:
        return list(VIEWS.values())
    return [each.replace(_PASSED_ON, "").replace(_KEEPS, "").replace(", r.undo_until", "") for each in VIEWS.values()]


def _refuse(table: str, why: str, condition: str) -> str:
    return f"    SELECT RAISE(ABORT, '{table} refused: {why}') WHERE {condition};\n"


_LAST = "(SELECT max(id) FROM decision WHERE action_id = NEW.action_id)"
_HALL = "(SELECT count(DISTINCT v.person) FROM run_approver AS v WHERE v.action_id = s.action_id AND v.role {held})"
"""How many different people hold a role, or one of several: never fewer than the seats for it."""

_BEGINS = (
    # An insert that comes again changes nothing; a REPLACE would change everything.
    "    SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM run WHERE action_id = NEW.action_id);\n"
    + _refuse("run", "its key is taken", "EXISTS (SELECT 1 FROM run WHERE key = NEW.key)")
    + _refuse("run", "it has to begin as an intent", "NEW.status <> 'intent'")
    + _refuse(
        "run",
        "this is not the action that was proposed",
        "NOT EXISTS (SELECT 1 FROM action AS a WHERE a.id = NEW.action_id AND a.workspace = NEW.workspace "
        "AND a.case_id = NEW.case_id AND a.tool = NEW.tool AND a.proposer = NEW.proposer "
        "AND NEW.key = a.case_id || ':' || a.step_key || ':' || substr(a.id, 1, 16))",
    )
)

_GOES_ON = _refuse(
    "run",
    "its case may not go on",
    'NOT EXISTS (SELECT 1 FROM "case" AS c WHERE c.id = NEW.case_id AND c.workspace = NEW.workspace '
    "AND c.subject = NEW.subject AND c.desired = 'run')",
)
"""What version 0003 asks, which knows neither copies nor what takes an effect back."""

_GOES_ON_OR_BACK = (
    _refuse(
        "run",
        "its case may not go on",
        'NOT EXISTS (SELECT 1 FROM "case" AS c WHERE c.id = NEW.case_id AND c.workspace = NEW.workspace '
        "AND c.subject = NEW.subject AND CASE WHEN NEW.compensates IS NULL THEN c.desired = 'run' "
        "ELSE c.status IN ('closed', 'cancelled') END)",
    )
    + _refuse(
        "run",
        "it does not say what it takes back",
        "NEW.compensates IS NULL AND EXISTS "
        "(SELECT 1 FROM action AS a WHERE a.id = NEW.action_id AND substr(a.step_key, 1, 5) = 'undo-')",
    )
    + _refuse(
        "run",
        "what it takes back was not done",
        "NEW.compensates IS NOT NULL AND NOT EXISTS (SELECT 1 FROM run AS o "
        "JOIN action AS done ON done.id = o.action_id JOIN action AS a ON a.id = NEW.action_id "
        "WHERE o.action_id = NEW.compensates AND o.workspace = NEW.workspace AND o.case_id = NEW.case_id "
        "AND o.status = 'done' AND o.compensates IS NULL AND NOT o.simulated AND done.effect = 'reversible' "
        "AND a.proposer = 'house' AND substr(a.step_key, 1, 37) = 'undo-' || substr(o.action_id, 1, 32))",
    )
    + _refuse(
        "run",
        "it was taken back already",
        "NEW.compensates IS NOT NULL AND EXISTS "
        "(SELECT 1 FROM run AS o WHERE o.compensates = NEW.compensates AND o.status <> 'failed')",
    )
    + _refuse(
        "run",
        "it has to say whether its case is a copy",
        'NEW.simulated IS NOT (SELECT c.simulated FROM "case" AS c WHERE c.id = NEW.case_id)',
    )
)

_LET = (
    _refuse(
        "run",
        "it was not decided on again",
        f"NOT EXISTS (SELECT 1 FROM decision AS d WHERE d.id = {_LAST} AND d.workspace = NEW.workspace "
        "AND d.stage = 'execute' AND d.at = NEW.started_at)",
    )
    + _refuse(
        "run",
        "policy denies it",
        f"NOT EXISTS (SELECT 1 FROM decision AS d WHERE d.id = {_LAST} AND d.verdict IN ('allow', 'review'))",
    )
    + _refuse(
        "run",
        "gated has to say what policy says",
        f"NEW.gated IS NOT (SELECT d.verdict = 'review' FROM decision AS d WHERE d.id = {_LAST})",
    )
    + _refuse(
        "run",
        "approval is missing",
        "NEW.gated AND NOT EXISTS (SELECT 1 FROM run_approval AS r WHERE r.action_id = NEW.action_id "
        "AND r.decided_at <= NEW.started_at)",
    )
    + _refuse(
        "run",
        "somebody refused it",
        "NEW.gated AND EXISTS (SELECT 1 FROM run_approval AS r JOIN vote AS v ON v.review_id = r.review_id "
        "WHERE r.action_id = NEW.action_id AND v.choice <> 'approve')",
    )
    + _refuse(
        "run",
        "approval is missing of some who are asked",
        "NEW.gated AND (NOT EXISTS (SELECT 1 FROM run_seat AS s WHERE s.action_id = NEW.action_id) "
        "OR EXISTS (SELECT 1 FROM run_seat AS s WHERE s.action_id = NEW.action_id "
        f"AND s.people > {_HALL.format(held='= s.role')}))",
    )
    + _refuse(
        "run",
        "one person sits on two seats",
        "NEW.gated AND (EXISTS (SELECT 1 FROM run_seat AS s JOIN run_seat AS t ON t.action_id = s.action_id "
        "WHERE t.n > s.n AND s.action_id = NEW.action_id "
        f"AND s.people + t.people > {_HALL.format(held='IN (s.role, t.role)')}) "
        "OR (SELECT sum(s.people) FROM run_seat AS s WHERE s.action_id = NEW.action_id) > "
        "(SELECT count(DISTINCT v.person) FROM run_approver AS v WHERE v.action_id = NEW.action_id "
        "AND v.role IN (SELECT s.role FROM run_seat AS s WHERE s.action_id = NEW.action_id)))",
    )
)

_NOT_TAKEN_BACK = _refuse(
    "run",
    "whoever approved it may still take that back",
    "NEW.gated AND EXISTS (SELECT 1 FROM run_approval AS r WHERE r.action_id = NEW.action_id "
    "AND r.undo_until > NEW.started_at)",
)

_RESERVED = (
    "action_id",
    "workspace",
    "case_id",
    "key",
    "tool",
    "args_digest",
    "subject",
    "proposer",
    "started_at",
    "gated",
    "counted_by",
)
_ASKED = ("id", "workspace", "case_id", "action_id", "opened_at")
_HEARD = ("reviewers", "due_at")


def _changed(columns: tuple[str, ...]) -> str:
    old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("OLD", "NEW"))
    return f"({old}) IS NOT ({new})"


def _trigger(table: str, change: str, body: str) -> str:
    return f"CREATE TRIGGER {table}_guard_{change.lower()} BEFORE {change} ON {table} BEGIN\n{body}END"


def triggers(takes_back: bool, desk_work: bool) -> tuple[str, ...]:
    """Makes them. `takes_back`: whether a run says what it takes back, and whether its case is a copy.

    `desk_work`: whether a question can be passed on, and what was decided taken back.
    """
    reserved = (*_RESERVED, "compensates", "simulated") if takes_back else _RESERVED
    let = _LET + (_NOT_TAKEN_BACK if desk_work else "")
    ends = "'approved', 'rejected', 'responded'" if desk_work else "'approved'"
    return (
        _trigger("run", "INSERT", _BEGINS + (_GOES_ON_OR_BACK if takes_back else _GOES_ON) + let),
        _trigger(
            "run",
            "UPDATE",
            _refuse("run", "what was reserved does not change", _changed(reserved))
            + _refuse("run", "it is over", "OLD.status IN ('done', 'failed')")
            + _refuse("run", "it can not begin again", "NEW.status NOT IN (OLD.status, 'done', 'failed', 'unknown')"),
        ),
        _trigger(
            "review",
            "UPDATE",
            _refuse("review", "what is asked does not change", _changed(_ASKED))
            + _refuse(
                "review",
                "it was decided",
                "OLD.status <> 'open' AND NEW.status <> OLD.status "
                f"AND NOT (OLD.status IN ({ends}) AND NEW.status = 'superseded')",
            )
            + _refuse("review", "who was asked, and until when, stays", f"OLD.status <> 'open' AND {_changed(_HEARD)}"),
        ),
        *_ALWAYS,
    )


_ALWAYS = (
    _trigger("run", "DELETE", _refuse("run", "it happened, and stays", "1")),
    _trigger(
        "review",
        "INSERT",
        _refuse("review", "it has to begin open", "NEW.status <> 'open'")
        + _refuse("review", "it is there already", "EXISTS (SELECT 1 FROM review WHERE id = NEW.id)"),
    ),
    _trigger("review", "DELETE", _refuse("review", "it was asked, and stays", "1")),
)


def kept(table: str, taken: str) -> list[str]:
    """Rows that are only added. `taken` says in what a new row would replace an older one."""
    no = f"RAISE(ABORT, '{table} is append-only')"
    # An INSERT OR REPLACE deletes without asking the other triggers. The same action again is no mistake.
    again = "RAISE(IGNORE)" if table == "action" else no
    return [
        f"CREATE TRIGGER {table}_is_append_only_update BEFORE UPDATE ON {table} BEGIN SELECT {no}; END",
        f"CREATE TRIGGER {table}_is_append_only_delete BEFORE DELETE ON {table} BEGIN SELECT {no}; END",
        f"CREATE TRIGGER {table}_is_append_only_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {taken}) BEGIN SELECT {again}; END",
    ]
