"""An outside MCP server that runs as a program here: its lines are bounded, and it ends when the conversation does.

The SDK's own transport collects a line until it ends, however long it is.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

_GRACE_S = 2.0
"""To end after its input did; then again after it was told to."""

Incoming = MemoryObjectSendStream[SessionMessage | Exception]
Outgoing = MemoryObjectReceiveStream[SessionMessage]
Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]


@asynccontextmanager
async def bounded_program(command: Sequence[str], env: Mapping[str, str], longest: int) -> AsyncIterator[Streams]:
    """A conversation with a program, one message a line. A line longer than `longest` bytes ends it.

    Raises `OSError` if the program can't be started.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=get_default_environment() | dict(env),
        limit=longest,
        start_new_session=True,  # what it starts ends with it
    )
    into, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, out = anyio.create_memory_object_stream[SessionMessage](0)
    try:
        async with anyio.create_task_group() as both:
            both.start_soon(_read, process, into)
            both.start_soon(_write, process, out, into)
            try:
                yield incoming, outgoing
            finally:
                both.cancel_scope.cancel()
    finally:
        for stream in (into, incoming, outgoing, out):
            stream.close()
        with anyio.CancelScope(shield=True):
            await _ended(process)


async def _read(process: asyncio.subprocess.Process, into: Incoming) -> None:
    assert process.stdout is not None
    async with into:
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
            while True:
                try:
                    line = await process.stdout.readline()
                except ValueError:  # it is longer than the limit: nothing that follows is known to be a message
                    return
                if not line:
                    return
                try:
                    await into.send(SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False)))
                except ValueError as wrong:
                    await into.send(wrong)


async def _write(process: asyncio.subprocess.Process, out: Outgoing, into: Incoming) -> None:
    assert process.stdin is not None
    try:
        async with out:
            async for each in out:
                process.stdin.write(each.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
                await process.stdin.drain()
    except ConnectionError:  # it is gone: whoever waits for an answer hears of it
        await into.aclose()


async def _ended(process: asyncio.subprocess.Process) -> None:
    """By itself when its input ends, or told to, or killed; with all that it started."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    drained = asyncio.ensure_future(_drained(process.stdout))  # who is stuck in writing does not see its input end
    for told in (signal.SIGTERM, signal.SIGKILL):
        if await _gone_within(process, _GRACE_S):
            break
        _tell(process, told)
    _tell(process, signal.SIGKILL)  # what it left behind
    await asyncio.wait([drained], timeout=_GRACE_S)
    drained.cancel()
    await process.wait()


async def _drained(stdout: asyncio.StreamReader) -> None:
    while await stdout.read(65_536):
        pass


async def _gone_within(process: asyncio.subprocess.Process, seconds: float) -> bool:
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _tell(process: asyncio.subprocess.Process, what: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, what)
