"""What a kind is run with, as digests: a change of its graph, its prompt or its model shows without running anything.

The graph is its nodes and edges, and the source of the modules that its nodes come from. The prompt is all that a model
is told before it is told of a case: its role, the tools with their schemas, and the outcomes that it may end with.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any

from core.actions import ToolSpec
from core.ids import digest
from core.model_call import Hosting, ModelInUse
from graphs.kind import TaskKind


def digests(kind: TaskKind, specs: Mapping[str, ToolSpec[Any]], model: ModelInUse) -> dict[str, str]:
    """Digests of `graph`, `prompt` and `model`. The embedded model is the kind's procedure itself."""
    told: dict[str, Any] = model.model_dump(mode="json")
    if model.hosting is Hosting.EMBEDDED:
        told["procedure"] = _source(type(kind.procedure))
    prompt = {
        "role": kind.role.instructions([specs[name] for name in sorted(specs)]),
        "tools": {name: spec.args.model_json_schema() for name, spec in specs.items()},
        "outcomes": sorted(kind.outcomes),
    }
    return {"graph": _graph(kind), "prompt": digest(prompt), "model": digest(told)}


def _graph(kind: TaskKind) -> str:
    flow = kind.build()
    sources = {_source(getattr(node.runnable, "afunc", None) or getattr(node.runnable, "func", None) or node.runnable)
               for node in flow.nodes.values()}  # fmt: skip
    return digest(
        {
            "nodes": {name: _source(getattr(node, "input_schema", None)) for name, node in flow.nodes.items()},
            "edges": sorted([list(edge) for edge in flow.edges]),
            "branches": {name: sorted(found) for name, found in flow.branches.items()},
            "sources": sorted(sources),
        }
    )


def _source(thing: Any) -> str:
    """Digest of the module that something comes from; of its name, where there is no file to read."""
    module = inspect.getmodule(thing)
    try:
        text = inspect.getsource(module) if module is not None else ""
    except (OSError, TypeError):
        text = ""
    return hashlib.sha256((text or f"{type(thing).__module__}.{type(thing).__qualname__}").encode()).hexdigest()
