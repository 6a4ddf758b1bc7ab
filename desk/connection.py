"""Where the server is and who asks: options, then the environment, then what `countersign up` left behind."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import SetupError

_START = (
    "Start it with `countersign up`. After a demo, `countersign demo desk` starts one by itself. "
    "For another server give --url and --token."
)


@dataclass(frozen=True)
class Connection:
    url: str
    token: str = field(repr=False)


def find_connection(url: str = "", token: str = "") -> Connection:
    """Raises `SetupError` that says what is missing and how to start a server."""
    url = url or os.environ.get("COUNTERSIGN_URL", "")
    token = token or os.environ.get("COUNTERSIGN_TOKEN", "")
    if url and not token:
        raise SetupError(f"There is no token for {url}.", hint="Give --token, or set COUNTERSIGN_TOKEN.")
    if not url:
        from core.settings import load_settings

        data = load_settings().data
        url = _kept(data, "local-address")
        token = token or _kept(data, "local-token")
    if not url.startswith(("http://", "https://")):
        raise SetupError(f"'{url[:80]}' is no address of a server.", hint="It looks like http://127.0.0.1:8642.")
    return Connection(url.rstrip("/"), token)


def _kept(data: Path, name: str) -> str:
    path = data / name
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SetupError(f"No server runs here: {path} does not exist.", hint=_START) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} can't be read: {error}.", hint="It belongs to whoever started the server.") from error
    if not text:
        raise SetupError(f"No server runs here: {path} is empty.", hint=_START)
    return text
