"""A data folder belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

from core.errors import SetupError


def lock_folder(folder: Path) -> IO[str]:
    """Makes a data folder and holds it for this process. Raises `SetupError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / "lock", "a+", encoding="utf-8")  # noqa: SIM115 - held for the process's life
    except OSError as error:
        raise SetupError(
            f"The data folder {folder} can't be written: {error.strerror}.",
            hint="Choose another with COUNTERSIGN_DATA, or give yourself the permission.",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.seek(0)
        holder = handle.read().strip()
        handle.close()
        raise SetupError(
            f"The data folder {folder} is in use by process {holder or 'unknown'}.",
            hint="Stop that process, or choose another folder with COUNTERSIGN_DATA.",
        ) from error
    handle.seek(0)
    handle.truncate()
    handle.write(str(os.getpid()))
    handle.flush()
    return handle
