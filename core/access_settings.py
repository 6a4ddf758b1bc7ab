"""Settings of the server's door: where it listens, whom it lets in, how much it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ServerSettings(_Part):
    host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=1, le=65535)
    tls_cert: Path | None = None
    """A PEM file: the certificate, and those between it and its root. With it the server speaks TLS, 1.2 or later."""
    tls_key: Path | None = None
    """Its private key, if not in the same file."""
    tls_key_password: SecretStr = SecretStr("")
    behind_proxy: bool = False
    """Something in front of the server ends TLS: it may listen beyond this machine without it."""
    proxies: list[str] = []
    """Addresses and networks whose forwarded headers are believed, such as `10.0.0.7`; of nobody, if empty."""
    hosts: list[str] = []
    """Names that the server answers to, such as `desk.example.com` or `*.example.com`; any, if empty."""
    origins: list[str] = []
    """Pages that browsers may call it from, such as `https://chat.example.com`; none, if empty."""

    @field_validator("origins")
    @classmethod
    def _named(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            where = urlsplit(origin)
            if where.scheme not in ("http", "https") or not where.netloc or where.path or "*" in origin:
                raise ValueError(f"'{origin}' is no origin: name each one, such as https://chat.example.com")
        return origins

    @field_validator("proxies")
    @classmethod
    def _few(cls, proxies: list[str]) -> list[str]:
        if "*" in proxies:
            raise ValueError("'*' would believe everybody: name the proxies")
        return proxies

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key is of no use without tls_cert")
        return self


class AuthSettings(_Part):
    """Tokens of the house, and how often somebody may ask."""

    token_days: int = Field(default=90, ge=1)
    """How long a token is good if whoever makes it by the API does not say."""
    token_days_at_most: int = Field(default=365, ge=1)
    remembered_s: float = Field(default=1.0, ge=0, le=5)
    """How long another process's change of a person or a token may go unnoticed here."""
    streams_asked_s: float = Field(default=5.0, ge=0)
    """How often a stream that goes on is asked whether its reader may still come in."""
    requests_per_s: float = Field(default=500.0, ge=0)
    """What one person may ask for in the long run; 0 for no limit."""
    requests_at_once: int = Field(default=2_000, ge=1)
    """What they may ask for in one go."""
    attached_bytes_a_day: int = Field(default=2_000_000_000, ge=0)
    """New attachments that one person, or service account, may send to a process; 0 for no limit."""
    failures_per_minute: float = Field(default=60.0, ge=0)
    """Wrong tokens that are looked up for one address; 0 for no limit."""
    failures_at_once: int = Field(default=100, ge=1)


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those with a public key. What both sides share is no proof of who signed, and `none` proves nothing."""


class OidcSettings(_Part):
    """People who sign in elsewhere (OpenID Connect): they come with an access token of that issuer."""

    issuer: str = Field(default="", pattern=r"^$|^https?://[^\s?#]+$", max_length=200)
    """Such as `https://id.example.com/realms/desk`, as its tokens say it; empty for nobody."""
    audience: str = ""
    """What its tokens for this house are addressed to."""
    jwks_url: str = Field(default="", pattern=r"^$|^https?://")
    """Where its keys are; empty to ask the issuer (`/.well-known/openid-configuration`)."""
    algorithms: list[Algorithm] = ["RS256", "ES256", "EdDSA"]
    leeway_s: float = Field(default=30.0, ge=0, le=300)
    """How far its clock may be from the house's."""
    longest_s: float = Field(default=86_400.0, gt=0)
    """The longest life of a token that is taken."""
    signed_in_within_days: int = Field(default=7, ge=1)
    """How long the house's own tokens of a person whose roles the issuer keeps open anything, after they signed in."""
    id_claim: str = "sub"
    """What names a person here: letters, digits and - _ . @"""
    groups_claim: str = "groups"
    """Where the groups are: a list, or words; `realm_access.roles` looks into an object."""
    workspace_claim: str = ""
    """What names the workspace; empty for the default one."""
    roles: dict[str, list[str]] = {}
    """The roles of each group, such as `{"returns-desk": ["returns_reviewer"]}`. Other groups have none."""
    keys_for_s: float = Field(default=600.0, ge=0)
    """How long its keys are used before they are read again."""
    keys_at_most_s: float = Field(default=86_400.0, ge=0)
    """How long known keys go on while it can't be reached."""
    grace_s: float = Field(default=300.0, ge=0)
    """How long a key counts that it lists no more."""
    pause_s: float = Field(default=10.0, ge=0)
    """Between two times that it is asked for keys, whatever comes in."""
    timeout_s: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.issuer and not self.audience:
            raise ValueError("an issuer needs an audience: tokens for others are not for this house")
        if self.issuer and not self.algorithms:
            raise ValueError("an issuer needs algorithms")
        return self
