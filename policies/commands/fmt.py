"""`countersign policy fmt`."""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from pathlib import Path

import click

from core.errors import SetupError
from policies.book import read_book
from policies.commands import asking
from policies.fmt import formatted
from policies.problems import PolicyRefused


@click.command("fmt")
@asking.files
@asking.kind
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file would change.")
@click.option("--diff", "show", is_flag=True, help="Write nothing; show what would change.")
def format_files(files: tuple[Path, ...], kind: str | None, check: bool, show: bool) -> None:
    """Lay policy files out in the one way. Texts and comments stay; a file with problems is not touched.

    \b
    Exit 0: done. 1: a file has problems, or would change under --check. 2: wrong use.
    Example:
      countersign policy fmt --check policies/books/returns.yaml
    """
    wrong = []
    for file in files:
        try:
            book = read_book(file, asking.vocabulary(file, kind))
        except PolicyRefused as refused:
            click.echo("\n".join(map(str, refused.problems)))
            wrong.append(True)
            continue
        before = file.read_bytes()
        if hashlib.sha256(before).hexdigest() != book.digest:
            raise _changed(file)
        after = formatted(before)
        wrong.append(check and before != after)
        if show:
            click.echo(_difference(file, before, after), nl=False)
        elif before == after:
            click.echo(f"{file.name}: as it should be.")
        elif check:
            click.echo(f"{file.name}: would change.")
        else:
            _replace(file, before, after)
            click.echo(f"{file.name}: formatted.")
    asking.exit_if(wrong)


def _changed(file: Path) -> SetupError:
    return SetupError(f"{file} changed while it was formatted.", hint="Save it and try again.")


def _difference(file: Path, before: bytes, after: bytes) -> str:
    old, new = (data.decode("utf-8").splitlines(keepends=True) for data in (before, after))
    lines = difflib.unified_diff(old, new, str(file), f"{file} (formatted)")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _replace(file: Path, before: bytes, after: bytes) -> None:
    """In one step, so that nobody ever reads half a policy. Permissions stay, and a link stays a link."""
    target = file.resolve()
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        fresh = Path(name)
        try:
            with os.fdopen(handle, "wb") as out:
                os.fchmod(out.fileno(), target.stat().st_mode & 0o7777)
                out.write(after)
                out.flush()
                os.fsync(out.fileno())
            if target.read_bytes() != before:
                raise _changed(file)
            fresh.replace(target)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(f"{file} can't be written: {error.strerror}.", hint="Check its permissions.") from error
