"""What a client asks for, as the engine takes it. Whatever can't be done is refused here, by the name of its field."""

from __future__ import annotations

from core.errors import InvalidInput
from core.wire_threads import CheckpointIn, Nodes, RunIn
from engine.thread_starts import Wish

MODES = ("values", "updates", "messages", "messages-tuple", "custom", "tasks", "checkpoints", "debug")
OF_STEPS = frozenset({"tasks", "checkpoints", "debug"})
"""What a graph's own steps send. A case's steps are told as `updates` and in the thread's history."""


def wish_of(asked: RunIn, *, temporary: bool = False, of_kind: bool = False) -> Wish:
    """`of_kind` where the run's graph is a kind of business task. Raises `InvalidInput`."""
    modes = modes_of(asked.stream_mode)
    if of_kind and OF_STEPS & set(modes):
        raise InvalidInput(
            f"A kind sends nothing in the stream mode '{min(OF_STEPS & set(modes))}'.",
            field="stream_mode",
            hint="Its steps are in 'updates', and the state after each is in the thread's history.",
        )
    if asked.webhook:
        raise InvalidInput(
            "Webhooks of runs are not sent: an address in a request could make this server call anything.",
            field="webhook",
            hint="Follow the run with GET /threads/{thread_id}/runs/{run_id}/stream.",
        )
    command = asked.command
    resumes = command is not None and command.resume is not None
    if resumes and asked.input is not None:
        raise InvalidInput("A run has new input, or it answers: not both.", field="input", hint="Send one of them.")
    steers = {} if command is None else {"update": command.update, "goto": command.goto}
    checkpoint = checkpoint_of(asked.checkpoint, asked.checkpoint_id)
    if resumes and checkpoint:
        raise InvalidInput("Answers are for what is open now.", field="checkpoint", hint="Leave it out.")
    return Wish(
        graph=asked.assistant_id,
        input=asked.input,
        resume=command.resume if command is not None else None,
        resumes=resumes,
        command={name: value for name, value in steers.items() if value is not None},
        config=asked.config.model_dump(exclude_none=True) if asked.config else {},
        context=asked.context or {},
        modes=modes,
        subgraphs=asked.stream_subgraphs,
        before=_names(asked.interrupt_before),
        after=_names(asked.interrupt_after),
        durability=asked.durability or "async",
        checkpoint=checkpoint,
        meta=asked.metadata or {},
        strategy=asked.multitask_strategy or "enqueue",
        after_s=asked.after_seconds or 0.0,
        creates=asked.if_not_exists == "create",
        temporary=temporary,
    )


def modes_of(given: str | list[str] | None) -> tuple[str, ...]:
    """Raises `InvalidInput` for a stream mode that is not served."""
    modes = [given] if isinstance(given, str) else list(given or ())
    for mode in modes:
        if mode not in MODES:
            why = "Events of every component would show what a graph does inside." if mode == "events" else ""
            raise InvalidInput(
                f"The stream mode '{mode[:40]}' is not served. {why}".strip(),
                field="stream_mode",
                hint=f"There are: {', '.join(MODES)}.",
            )
    return tuple(dict.fromkeys(modes)) or ("values",)


def checkpoint_of(given: CheckpointIn | None, by_id: str | None) -> str:
    if given is not None and given.checkpoint_ns:
        raise InvalidInput(
            "Steps of subgraphs are not begun at by themselves.",
            field="checkpoint.checkpoint_ns",
            hint="Name a step of the graph itself.",
        )
    return (given.checkpoint_id if given is not None else None) or by_id or ""


def _names(nodes: Nodes | None) -> tuple[str, ...]:
    return ("*",) if nodes == "*" else tuple(nodes or ())
