"""An issuer of OpenID Connect on a real port: it lists keys, rotates them, breaks down, and signs what it is told."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

AUDIENCE = "https://desk.example.com"


@dataclass
class Issuer:
    """Keys by their id, and what it answers."""

    url: str = ""
    keys: dict[str, tuple[str, Private]] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    extra: list[dict[str, Any]] = field(default_factory=list)
    """Further entries of its key set, as they are."""
    says_it_is: str = ""
    broken: bool = False
    asked: int = 0
    """How often its keys were read."""

    def make(self, kid: str, algorithm: str = "ES256", *, bits: int = 2048) -> None:
        made: Private
        if algorithm.startswith("RS"):
            made = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        elif algorithm.startswith("ES"):
            made = ec.generate_private_key(ec.SECP256R1())
        else:
            made = ed25519.Ed25519PrivateKey.generate()
        self.keys[kid] = (algorithm, made)
        self.listed.append(kid)

    def public(self, kid: str) -> dict[str, Any]:
        algorithm, key = self.keys[kid]
        found: dict[str, Any]
        if isinstance(key, rsa.RSAPrivateKey):
            found = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            found = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        else:
            found = OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**found, "kid": kid, "use": "sig", "alg": algorithm}

    def sign(self, claims: Mapping[str, Any], kid: str, headers: Mapping[str, Any] | None = None) -> str:
        algorithm, key = self.keys[kid]
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers={"kid": kid, **(headers or {})})

    def answer(self, path: str) -> Mapping[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.says_it_is or self.url, "jwks_uri": f"{self.url}/keys"}
        if path == "/keys":
            self.asked += 1
            return {"keys": [*self.extra, *(self.public(kid) for kid in self.listed)]}
        return None


@contextmanager
def issuing() -> Iterator[Issuer]:
    issuer = Issuer()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = None if issuer.broken else issuer.answer(self.path)
            body = json.dumps(found or {}).encode()
            self.send_response(200 if found is not None else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    issuer.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
