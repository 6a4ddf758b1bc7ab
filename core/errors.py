"""Every error a person, a client or a provider can cause, as one tree.

    CountersignError
    ├── InvalidInput 422            what was sent is not acceptable; `field` says where
    │   ├── TooLarge 413
    │   ├── UnsupportedMedia 415    the body is of a type that is not read here
    │   └── PolicyInvalid           a policy file was refused; carries every problem found
    ├── Unauthenticated 401
    ├── Forbidden 403               names the role that is missing
    ├── NotFound 404
    ├── MethodNotAllowed 405
    ├── WrongHost 421               the request was for a server of another name
    ├── NotServed 501               part of a client's protocol that this house does not serve
    ├── Conflict 409                the present state is in `present`
    │   ├── StaleState              compare-and-set lost
    │   ├── LeaseLost               a claim or an execution lease went to somebody else
    │   ├── AlreadyDecided          names who decided
    │   ├── KeyReused               an idempotency key came back with other parameters
    │   ├── KeyInUse                a request with this idempotency key is not answered yet
    │   ├── Tampered                what is stored is not what was sealed
    │   ├── Erased                  it was erased, and nobody can read it any more
    │   └── PreconditionFailed 412  `If-Match` names what is no longer so
    ├── Busy 429                    `retry_after` seconds
    ├── SignInUnavailable 503       whoever people sign in with can't be asked for its keys
    ├── DatabaseUnavailable 503     the records can't be reached or written; `committed`: no, unknown
    ├── SetupError                  settings, data folder, port: told to the operator, exit 2
    │   ├── KeyMissing              what is stored was sealed under a key that is not here
    │   └── NotAllowed              this login of the database may not do that
    ├── ProviderError 502           a system outside answered with a failure
    │   ├── ProviderRefused         it said no: nothing happened there, asking again won't help
    │   ├── ProviderUnavailable     nothing happened there, asking again may help
    │   └── OutcomeUnknown          it may or may not have happened: look it up, never guess
    └── ModelError 502              the model server
        ├── ModelUnavailable
        └── ModelNonsense           it answered something that is no answer

Routes and commands never build HTTP errors by hand: an error carries its status, a title for
its class, the detail of this occurrence, and `hint`, which says what to do about it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal


class CountersignError(Exception):
    """Root of the tree. `detail` is what happened, `hint` what the reader can do."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Countersign failed"

    def __init__(self, detail: str, *, hint: str = "", **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint
        self.extra = extra

    def __str__(self) -> str:
        return f"{self.detail} {self.hint}".strip()

    @property
    def code(self) -> str:
        """The class as a stable word for machines: `StaleState` is `stale-state`."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

    def problem(self) -> dict[str, Any]:
        """RFC 9457 problem details; `extra` becomes extension members."""
        body: dict[str, Any] = {
            "type": f"urn:countersign:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.hint:
            body["hint"] = self.hint
        return body | self.extra


class InvalidInput(CountersignError):
    status = 422
    title = "The input is not acceptable"

    def __init__(self, detail: str, *, field: str = "", hint: str = "", **extra: Any) -> None:
        super().__init__(detail, hint=hint, **({"field": field} if field else {}), **extra)
        self.field = field


class TooLarge(InvalidInput):
    status = 413
    title = "Too large"


class UnsupportedMedia(InvalidInput):
    status = 415
    title = "This type is not read here"


class PolicyInvalid(InvalidInput):
    title = "The policy file was refused"


class Unauthenticated(CountersignError):
    status = 401
    title = "Who are you?"


class Forbidden(CountersignError):
    status = 403
    title = "Not allowed"


class NotFound(CountersignError):
    status = 404
    title = "Not found"


class MethodNotAllowed(CountersignError):
    status = 405
    title = "Not done here"


class WrongHost(CountersignError):
    status = 421
    title = "Another server was meant"


class NotServed(CountersignError):
    status = 501
    title = "Not served here"


class Conflict(CountersignError):
    status = 409
    title = "Not in this state"


class StaleState(Conflict):
    title = "Somebody was faster"


class LeaseLost(Conflict):
    title = "The lease is lost"


class AlreadyDecided(Conflict):
    title = "Already decided"


class KeyReused(Conflict):
    title = "Idempotency key used with other parameters"


class KeyInUse(Conflict):
    title = "Idempotency key in use"


class PreconditionFailed(Conflict):
    status = 412
    title = "It has changed meanwhile"


class Tampered(Conflict):
    title = "Stored data was changed"


class Erased(Conflict):
    title = "Erased"


class Busy(CountersignError):
    status = 429
    title = "Too busy"

    def __init__(self, detail: str, *, retry_after: int = 1, hint: str = "") -> None:
        super().__init__(detail, hint=hint, retry_after=retry_after)
        self.retry_after = retry_after


class SignInUnavailable(CountersignError):
    status = 503
    title = "Signing in is not possible"

    def __init__(self, detail: str, *, retry_after: int = 10, hint: str = "") -> None:
        super().__init__(detail, hint=hint, retry_after=retry_after)


class DatabaseUnavailable(CountersignError):
    """`committed` says whether the last change was kept: `no`, or `unknown` where the answer to a commit was lost."""

    status = 503
    title = "The database is not available"

    def __init__(self, detail: str, *, committed: Literal["no", "unknown"] = "no", hint: str = "") -> None:
        super().__init__(detail, hint=hint, committed=committed)
        self.committed = committed


class SetupError(CountersignError):
    title = "Set-up"


class KeyMissing(SetupError):
    title = "A key is missing"


class NotAllowed(SetupError):
    title = "The database does not let this login do that"


class ProviderError(CountersignError):
    status = 502
    title = "A provider failed"


class ProviderRefused(ProviderError):
    """`reason` is the provider's own code, such as `already_refunded`."""

    title = "A provider refused"

    def __init__(self, detail: str, *, reason: str = "refused", hint: str = "", **extra: Any) -> None:
        super().__init__(detail, hint=hint, reason=reason, **extra)
        self.reason = reason


class ProviderUnavailable(ProviderError):
    title = "A provider is not available"


class OutcomeUnknown(ProviderError):
    title = "The outcome at the provider is unknown"


class ModelError(CountersignError):
    status = 502
    title = "The model server failed"


class ModelUnavailable(ModelError):
    title = "The model server is not available"


class ModelNonsense(ModelError):
    title = "The model gave no usable answer"
