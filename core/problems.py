"""Problem documents (RFC 9457) back into the errors that they were, for clients of the API."""

from __future__ import annotations

from core import errors
from core.actions import JSON
from core.errors import CountersignError, ProviderUnavailable, SetupError

_PREFIX = "urn:countersign:"
_PLAIN = {"type", "title", "status", "detail", "hint", "instance"}
_TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CountersignError)]
"""The errors that travel. Other floors may have some of their own, which are made in other ways."""


def error_of(status: int, body: JSON, url: str) -> CountersignError:
    """The error that an answer of at least 400 tells of; an unknown type becomes the class of its status.

    `body` is the answer's JSON, or None where it has none.
    """
    if not isinstance(body, dict):
        if status >= 500:
            return ProviderUnavailable(f"The server answered {status}.", hint="Try again.")
        return SetupError(f"{url} answered {status}, and not as a Countersign server does.", hint="Check the address.")
    detail = str(body.get("detail") or body.get("title") or f"HTTP {status}")
    code = str(body.get("type", "")).removeprefix(_PREFIX)
    extra = {name: value for name, value in body.items() if name not in _PLAIN}
    known = [each for each in _TREE if each(detail="").code == code]
    known += [each for each in _TREE if each.status == status]
    error = (known or [CountersignError])[0](detail, hint=str(body.get("hint", "")))
    error.extra.update(extra)
    for name in ("field", "retry_after", "reason"):
        if hasattr(error, name) and name in extra:
            setattr(error, name, extra[name])
    return error
