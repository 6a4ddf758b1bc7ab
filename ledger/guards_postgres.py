"""The guard's rules in PostgreSQL's words. `ledger/guards.py` says what they are for.

The functions look only into the schema that they were made in, or a temporary table could stand in for a real one.
No statement may hold a per cent sign: the driver would take it for a parameter.
"""

from __future__ import annotations

_NO = "integrity_constraint_violation"
"""What SQLite's triggers raise too."""


def _refuse(table: str, why: str, condition: str) -> str:
    return f"    IF {condition} THEN\n        RAISE '{table} refused: {why}' USING ERRCODE = '{_NO}';\n    END IF;\n"


_BEGINS = (
    """
DECLARE
    proposed action;
    concerned "case";
    decided decision;
    asked review;
    undone run;
    some_missing boolean;
    too_few boolean;
BEGIN
    -- Each statement below has a snapshot of its own: nobody may commit a run between two of them.
    PERFORM pg_advisory_xact_lock(hashtext('countersign runs'), hashtext(NEW.workspace));
    -- An insert that comes again changes nothing.
    IF EXISTS (SELECT 1 FROM run WHERE action_id = NEW.action_id) THEN
        RETURN NULL;
    END IF;
"""
    + _refuse("run", "its key is taken", "EXISTS (SELECT 1 FROM run WHERE key = NEW.key)")
    + _refuse("run", "it has to begin as an intent", "NEW.status <> 'intent'")
    + "    SELECT * INTO proposed FROM action WHERE id = NEW.action_id;\n"
    + _refuse(
        "run",
        "this is not the action that was proposed",
        "(proposed.workspace, proposed.case_id, proposed.tool, proposed.proposer,\n"
        "        proposed.case_id || ':' || proposed.step_key || ':' || left(proposed.id, 16))\n"
        "        IS DISTINCT FROM (NEW.workspace, NEW.case_id, NEW.tool, NEW.proposer, NEW.key)",
    )
    + '    SELECT * INTO concerned FROM "case" WHERE id = NEW.case_id;\n'
)

_GOES_ON = _refuse(
    "run",
    "its case may not go on",
    "(concerned.workspace, concerned.subject) IS DISTINCT FROM (NEW.workspace, NEW.subject)\n"
    "        OR concerned.desired <> 'run'",
)
"""What version 0003 asks, which knows neither copies nor what takes an effect back."""

_GOES_ON_OR_BACK = (
    _refuse(
        "run",
        "its case may not go on",
        "(concerned.workspace, concerned.subject) IS DISTINCT FROM (NEW.workspace, NEW.subject)\n"
        "        OR (CASE WHEN NEW.compensates IS NULL THEN concerned.desired <> 'run'\n"
        "        ELSE concerned.status NOT IN ('closed', 'cancelled') END)",
    )
    + _refuse(
        "run",
        "it does not say what it takes back",
        "NEW.compensates IS NULL AND left(proposed.step_key, 5) = 'undo-'",
    )
    + _refuse(
        "run",
        "it has to say whether its case is a copy",
        "concerned.simulated IS DISTINCT FROM NEW.simulated",
    )
    + """    IF NEW.compensates IS NOT NULL THEN
        SELECT * INTO undone FROM run WHERE action_id = NEW.compensates;
"""
    + _refuse(
        "run",
        "what it takes back was not done",
        "(undone.workspace, undone.case_id, undone.status, undone.simulated)\n"
        "        IS DISTINCT FROM (NEW.workspace, NEW.case_id, 'done'::varchar, false)\n"
        "        OR undone.compensates IS NOT NULL OR NOT EXISTS\n"
        "        (SELECT 1 FROM action WHERE id = NEW.compensates AND effect = 'reversible')\n"
        "        OR (proposed.proposer, left(proposed.step_key, 37))\n"
        "        IS DISTINCT FROM ('house'::varchar, 'undo-' || left(NEW.compensates, 32))",
    )
    + _refuse(
        "run",
        "it was taken back already",
        "EXISTS (SELECT 1 FROM run WHERE compensates = NEW.compensates AND status <> 'failed')",
    )
    + "    END IF;\n"
)

_PASSED_ON = """AND NOT EXISTS (SELECT 1 FROM escalation AS e
            WHERE e.action_id = NEW.action_id AND e.person = v.person AND e.undone_at IS NULL)"""
"""Nobody who gave the question to others."""

_KEEPS = """
        AND NOT EXISTS (SELECT 1 FROM person AS o CROSS JOIN json_array_elements_text(o.keepers) AS k(name)
            WHERE o.workspace = asked.workspace AND o.id IN (proposed.proposer, concerned.opened_by)
            AND k.name = v.person)"""
"""Nobody who holds a token of whoever proposed it, or opened its case."""

_NOT_TAKEN_BACK = _refuse("run", "whoever approved it may still take that back", "asked.undo_until > NEW.started_at")

_LET = (
    "    SELECT * INTO decided FROM decision WHERE action_id = NEW.action_id ORDER BY id DESC LIMIT 1;\n"
    + _refuse(
        "run",
        "it was not decided on again",
        "(decided.workspace, decided.stage, decided.at)\n"
        "        IS DISTINCT FROM (NEW.workspace, 'execute'::varchar, NEW.started_at)",
    )
    + _refuse("run", "policy denies it", "decided.verdict NOT IN ('allow', 'review')")
    + _refuse("run", "gated has to say what policy says", "NEW.gated IS DISTINCT FROM (decided.verdict = 'review')")
    + """    IF NOT NEW.gated THEN
        RETURN NEW;
    END IF;
    SELECT * INTO asked FROM review WHERE action_id = NEW.action_id AND status = 'approved'
    ORDER BY opened_at DESC, id DESC LIMIT 1;
"""
    + _refuse(
        "run",
        "approval is missing",
        "(asked.workspace, asked.case_id) IS DISTINCT FROM (NEW.workspace, NEW.case_id)\n"
        "        OR asked.decided_at IS NULL OR asked.decided_at > NEW.started_at",
    )
    + _refuse(
        "run",
        "somebody refused it",
        "EXISTS (SELECT 1 FROM vote WHERE review_id = asked.id AND choice <> 'approve')",
    )
    + _NOT_TAKEN_BACK
    + """    WITH took_over AS (  -- what the review says of who was late
        SELECT e->'stands_for'->>0 AS first, e->>'group' AS of_group, e->>'role' AS of_role
        FROM json_array_elements(asked.reviewers) AS e
    ), wanted AS (  -- whose seats are to be filled: a set's own, or those of who took over from it
        SELECT s.n, (s.of->>'people')::int AS at_least, CASE
            WHEN (s.of->>'group', s.of->'late'->>'group', s.of->'late'->>'role') IN (SELECT * FROM took_over)
            THEN s.of->'late'
            WHEN (s.of->>'group', s.of->'late'->'late'->>'group', s.of->'late'->'late'->>'role')
                IN (SELECT * FROM took_over)
            THEN s.of->'late'->'late'
            ELSE s.of END AS of
        FROM json_array_elements(decided.body->'reviewers') WITH ORDINALITY AS s(of, n)
    ), seat AS (
        SELECT n, of->>'role' AS role, greatest(at_least, (of->>'people')::int) AS people FROM wanted
    ), approver AS (  -- who counts, with each role that they had when they voted and have now; nobody it is about
        SELECT v.person, had.role
        FROM vote AS v
        JOIN person AS p ON p.workspace = asked.workspace AND p.id = v.person
        CROSS JOIN json_array_elements_text(v.roles) AS had(role)
        JOIN json_array_elements_text(p.roles) AS has(role) ON has.role = had.role
        WHERE v.review_id = asked.id AND v.action_id = NEW.action_id AND v.workspace = asked.workspace
        AND v.choice = 'approve' AND v.at <= asked.due_at AND p.active
        AND v.person <> proposed.proposer AND v.person <> concerned.opened_by
        AND NOT EXISTS (
            SELECT 1 FROM json_each(proposed.args) AS a(name, of)
            WHERE json_typeof(a.of) = 'string' AND a.of #>> '{}' = v.person)
        """
    + _PASSED_ON
    + _KEEPS
    + """
    )
    SELECT
        NOT EXISTS (SELECT 1 FROM seat) OR EXISTS (
            SELECT 1 FROM seat AS s
            WHERE s.people > (SELECT count(DISTINCT person) FROM approver WHERE role = s.role)),
        EXISTS (
            SELECT 1 FROM seat AS s JOIN seat AS t ON t.n > s.n WHERE s.people + t.people
            > (SELECT count(DISTINCT person) FROM approver WHERE role IN (s.role, t.role)))
        OR (SELECT sum(people) FROM seat)
            > (SELECT count(DISTINCT person) FROM approver WHERE role IN (SELECT role FROM seat))
    INTO some_missing, too_few;
"""
    + _refuse("run", "approval is missing of some who are asked", "some_missing")
    + _refuse("run", "one person sits on two seats", "too_few")
    + "    RETURN NEW;\nEND"
)


def _run_update(more: tuple[str, ...]) -> str:
    kept, new = (", ".join(f"{row}.{name}" for name in (*_RESERVED, *more)) for row in ("OLD", "NEW"))
    return (
        "\nBEGIN\n"
        + _refuse("run", "what was reserved does not change", f"({kept})\n        IS DISTINCT FROM ({new})")
        + _refuse("run", "it is over", "OLD.status IN ('done', 'failed')")
        + _refuse("run", "it can not begin again", "NEW.status NOT IN (OLD.status, 'done', 'failed', 'unknown')")
        + "    RETURN NEW;\nEND"
    )


_RESERVED = (
    *("action_id", "workspace", "case_id", "key", "tool", "args_digest", "subject", "proposer", "started_at"),
    *("gated", "counted_by::text"),
)

_REVIEW_INSERT = (
    "\nBEGIN\n" + _refuse("review", "it has to begin open", "NEW.status <> 'open'") + "    RETURN NEW;\nEND"
)

_REVIEW_UPDATE = (
    "\nBEGIN\n"
    + _refuse(
        "review",
        "what is asked does not change",
        "(OLD.id, OLD.workspace, OLD.case_id, OLD.action_id, OLD.opened_at)\n"
        "        IS DISTINCT FROM (NEW.id, NEW.workspace, NEW.case_id, NEW.action_id, NEW.opened_at)",
    )
    + "    IF OLD.status = 'open' THEN\n        RETURN NEW;\n    END IF;\n"
    + _refuse(
        "review",
        "it was decided",
        "NEW.status <> OLD.status AND NOT (OLD.status IN ('approved', 'rejected', 'responded')\n"
        "        AND NEW.status = 'superseded')",
    )
    + _refuse(
        "review",
        "who was asked, and until when, stays",
        "(OLD.reviewers::text, OLD.due_at) IS DISTINCT FROM (NEW.reviewers::text, NEW.due_at)",
    )
    + "    RETURN NEW;\nEND"
)


def _never(table: str, why: str) -> str:
    return f"\nBEGIN\n    RAISE '{table} refused: {why}' USING ERRCODE = '{_NO}';\nEND"


FUNCTIONS = {
    "run_guard_insert": _BEGINS + _GOES_ON_OR_BACK + _LET,
    "run_guard_update": _run_update(("compensates", "simulated")),
    "run_guard_delete": _never("run", "it happened, and stays"),
    "review_guard_insert": _REVIEW_INSERT,
    "review_guard_update": _REVIEW_UPDATE,
    "review_guard_delete": _never("review", "it was asked, and stays"),
}
"""Bodies of the trigger functions, each of which has the name of its trigger."""


_FIRST = FUNCTIONS | {"run_guard_insert": _BEGINS + _GOES_ON + _LET, "run_guard_update": _run_update(())}


def _before_desk_work(body: str) -> str:
    ends = "IN ('approved', 'rejected', 'responded')\n       "
    return body.replace(_PASSED_ON, "").replace(_KEEPS, "").replace(_NOT_TAKEN_BACK, "").replace(ends, "= 'approved'")


def functions(schema: str, takes_back: bool, desk_work: bool) -> list[str]:
    """Makes the functions, over the tables of this schema. `takes_back`: whether a run says what it takes back.

    `desk_work`: whether a question can be passed on, and what was decided taken back.
    """
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql "
        f'SET search_path = "{schema}", pg_temp AS $guard${body if desk_work else _before_desk_work(body)}\n$guard$'
        for name, body in (FUNCTIONS if takes_back else _FIRST).items()
    ]


def _each(table: str, change: str) -> str:
    name = f"{table}_guard_{change}"
    return f"CREATE TRIGGER {name} BEFORE {change.upper()} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"


TRIGGERS = (
    *(_each(table, change) for table in ("run", "review") for change in ("insert", "update", "delete")),
    *(
        f"CREATE TRIGGER {table}_guard_truncate BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_guard_delete()"
        for table in ("run", "review")
    ),
)

KEEPER = "is_append_only"
KEPT = f"""CREATE OR REPLACE FUNCTION {KEEPER}() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    RAISE USING MESSAGE = TG_TABLE_NAME || ' is append-only', ERRCODE = '{_NO}';
END
$guard$"""


def kept(table: str) -> list[str]:
    """Rows that are only added. Nothing replaces a row here without an update."""
    return [
        f"CREATE TRIGGER {table}_is_append_only_{name} BEFORE {changes} ON {table} "
        f"FOR EACH {each} EXECUTE FUNCTION {KEEPER}()"
        for name, changes, each in (("change", "UPDATE OR DELETE", "ROW"), ("truncate", "TRUNCATE", "STATEMENT"))
    ]
