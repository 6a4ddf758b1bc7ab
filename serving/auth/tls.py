"""How the server listens: TLS of its own, and whose word on forwarded requests it takes."""

from __future__ import annotations

import ssl
from typing import Any

from core.access_settings import ServerSettings
from core.errors import SetupError


def tls(settings: ServerSettings) -> ssl.SSLContext | None:
    """None where something else ends TLS, or nothing. Raises `SetupError` for files that don't fit."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    password = settings.tls_key_password.get_secret_value()
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password)
    except (OSError, ssl.SSLError) as error:  # no password is the empty one: nobody is asked at a terminal
        why = getattr(error, "strerror", None) or getattr(error, "reason", None) or "it is not readable"
        raise SetupError(
            f"TLS with {settings.tls_cert} is not possible: {why}.",
            hint="It takes a certificate and its key as PEM: COUNTERSIGN_SERVER__TLS_CERT and __TLS_KEY.",
        ) from error
    return context


def listening_options(settings: ServerSettings, context: ssl.SSLContext | None) -> dict[str, Any]:
    """For `uvicorn.Config`. Forwarded headers of others than the named proxies are passed over."""
    options: dict[str, Any] = {
        "proxy_headers": bool(settings.proxies),
        "forwarded_allow_ips": list(settings.proxies),
        "server_header": False,
    }
    if context is not None:
        options["ssl_context_factory"] = lambda _config, _default: context
    return options
