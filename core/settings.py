"""Settings, from the environment (`COUNTERSIGN_*`) over a `countersign.toml` over the defaults.

The defaults run everything embedded in one folder, with no GPU and no server beside it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.access_settings import AuthSettings, OidcSettings, ServerSettings
from core.errors import SetupError
from core.key_settings import KeySettings
from core.mcp_settings import McpSettings


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ModelSettings(_Part):
    """Which model agents think with. `openai` is any server that speaks the OpenAI protocol, vLLM included."""

    backend: Literal["embedded", "openai"] = "embedded"
    base_url: str = "http://127.0.0.1:8000/v1"
    name: str = "default"
    api_key: SecretStr = SecretStr("none")
    timeout_s: float = Field(default=30.0, gt=0)
    max_tokens: int = Field(default=1024, gt=0)
    retries: int = Field(default=2, ge=0)
    hosting: Literal["embedded", "self_hosted", "managed"] | None = None
    """Whose machine it runs on, for policy. Unset, it is told from `backend` and the address in `base_url`."""
    region: str = Field(default="", pattern=r"^[a-z0-9-]{0,40}$")
    """Where its data is processed, such as `eu`, for policy."""


class ShopSettings(_Part):
    """Where the system of record is: in this process, or at a URL (`countersign shop`)."""

    url: str = ""
    token: SecretStr = SecretStr("")
    timeout_s: float = Field(default=10.0, gt=0)


class DatabaseSettings(_Part):
    """Where the records are: in the data folder (SQLite), or on a PostgreSQL server that many processes share."""

    url: SecretStr = SecretStr("")
    """Such as `postgresql://user:password@host:5432/countersign`; empty for the data folder."""
    connections: int = Field(default=10, ge=2)
    """The most that one process opens."""
    patience_s: float = Field(default=10.0, ge=0)
    """How long a transaction is tried again while the database is away or others hold it."""

    @field_validator("url")
    @classmethod
    def _postgresql(cls, url: SecretStr) -> SecretStr:
        if (given := url.get_secret_value()) and not given.startswith(("postgresql://", "postgres://")):
            raise ValueError("is to begin with postgresql://, or to be empty for the data folder")
        return url


class BusSettings(_Part):
    """Where events come from and go to: over HTTP alone, or by NATS JetStream as well."""

    url: str = Field(default="", pattern=r"^$|^(nats|tls)://")
    """Such as `nats://host:4222`; empty for HTTP alone."""
    prefix: str = Field(default="countersign", pattern=r"^[A-Za-z0-9_-]{1,40}$")
    """What the subjects and streams at the broker begin with: one for each house."""
    gap_s: float = Field(default=60.0, ge=0)
    """How long an event that is ahead of others of its source waits for them."""


class EngineSettings(_Part):
    worker: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]{0,60}$")
    """The name of this process among workers; a new one at each start, if empty."""
    release: str = Field(default="", pattern=r"^[A-Za-z0-9_.+-]{0,60}$")
    """What this process runs, for operators to tell deployments apart; the program's version, if empty."""
    concurrency: int = Field(default=8, ge=1)
    """Segments that one process runs at a time; of several workers, the one that started last says it for all."""
    concurrency_in_all: int = Field(default=0, ge=0)
    """Segments that all workers together run at a time; 0 for no limit."""
    segments_per_s: int = Field(default=0, ge=0)
    """Segments that all workers together begin in a second; 0 for no limit."""
    sweep_s: float = Field(default=2.0, gt=0)
    """How often timers, late events and dead leases are looked for."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long an effect may take before another worker may look it up, and a worker may be silent before its cases
    are taken back."""
    drain_s: float = Field(default=10.0, gt=0)
    """How long a process that is told to stop may take to end what it has in hand, or to hand it over."""
    attempts: int = Field(default=5, ge=1)
    """Crashes of one segment before the case goes to people."""
    queue_limit: int = Field(default=10_000, ge=1)
    """Unprocessed events before intake answers 429."""
    keep_checkpoints_days: float = Field(default=30.0, ge=0)
    """How long one can go back to each step of a case: of older ones that rest or ended, the last step stays."""


class ExecutorSettings(_Part):
    """Where effects are carried out: in this process, or by `countersign executor`, which alone holds credentials."""

    url: str = Field(default="", pattern=r"^$|^https?://")
    """Such as `http://127.0.0.1:8644`; empty for this process."""
    token: SecretStr = SecretStr("")
    """The secret that workers show to the executor."""
    timeout_s: float = Field(default=90.0, gt=0)
    """How long an answer may take: an effect waits for another one of the same subject, or for a lease."""
    host: str = "127.0.0.1"
    """Where `countersign executor` listens."""
    port: int = Field(default=8644, ge=1, le=65535)


class RetentionSettings(_Part):
    """How long cases are kept that are over, and what has served its time."""

    closed_days: float | None = Field(default=None, ge=0)
    """After it a closed case loses its payload, trace, checkpoints and attachments; unset, it never does."""
    cancelled_days: float | None = Field(default=None, ge=0)
    """The same for a cancelled one."""
    spent_days: float = Field(default=7.0, ge=0)
    """How long fired timers, published events, tokens that ended and done rows of the queue are kept."""


class ThreadSettings(_Part):
    """Runs of graphs on threads."""

    concurrency: int = Field(default=64, ge=1)
    """Runs that one process carries out at a time; more wait."""
    queue_limit: int = Field(default=1_000, ge=0)
    """Runs that could begin, and wait, before a new one is answered with 429."""
    queue_of_person: int = Field(default=500, ge=0)
    """The same of one person or service; runs that are for later count here too."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long a process may be silent before another one goes on with its runs."""
    keep_events_days: float = Field(default=7.0, ge=0)
    """How long a stream of a run that ended can be read again."""


class StreamSettings(_Part):
    """Streams of events that clients hold open."""

    open: int = Field(default=10_000, ge=0)
    """In one process. There are never more than the files that it may have open leave room for."""
    of_person: int = Field(default=200, ge=0)
    """Of one person or service, in one process."""
    send_s: float = Field(default=30.0, gt=0)
    """How long a reader may take nothing before its stream is cut off."""
    keep: int = Field(default=2_000, ge=1)
    """Events of a workspace that are in memory for all its streams; who is further behind comes back for them."""
    keep_bytes: int = Field(default=8_000_000, ge=1)
    """The same in bytes."""


class GraphSettings(_Part):
    """A plain LangGraph graph that is served on threads."""

    path: str
    """`module.name:attribute` or `path/to/file.py:attribute`: a graph, its builder, or a function that returns one."""
    title: str = ""
    answered_by: Literal["reviewers", "opener"] = "reviewers"
    """Who may answer its questions: people who decide, but not whoever started the run; or who may write to it."""


class DeskSettings(_Part):
    """What reviewers may take back."""

    undo_s: float = Field(default=0.0, ge=0, le=3600)
    """For so many seconds after a decision its effect waits, and whoever decided may take it back; 0 for not at all."""
    undo_tools: dict[str, Annotated[float, Field(ge=0, le=3600)]] = {}
    """The same for single tools, such as `"payments.refund" = 30`."""


class BudgetSettings(_Part):
    """What one case may use before people look at it."""

    steps: int = Field(default=24, ge=1)
    tokens: int = Field(default=60_000, ge=1)
    money_minor: int = Field(default=500_000, ge=0)


class ChatSettings(_Part):
    """The chat: how long an answer may take."""

    settle_s: float = Field(default=60.0, gt=0, le=600)
    """How long an answer waits for the house's own work; after that it says that the case is being worked on."""
    wait_s: float = Field(default=10.0, ge=0, le=600)
    """How long a stream stays open for people's decision, after it told that they have to look."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="COUNTERSIGN_", env_nested_delimiter="__", extra="forbid", toml_file="countersign.toml"
    )

    environment: Literal["development", "production"] = "development"
    """In production the house does not start with secrets that everybody knows, or open to a network without TLS."""
    data: Path = Path(".countersign")
    """Everything that is kept, when embedded: databases, worlds, reports, the local token."""
    policies: Path | None = None
    """Folder of policy books; the ones that ship with the project if unset."""
    database: DatabaseSettings = DatabaseSettings()
    bus: BusSettings = BusSettings()
    model: ModelSettings = ModelSettings()
    shop: ShopSettings = ShopSettings()
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    oidc: OidcSettings = OidcSettings()
    engine: EngineSettings = EngineSettings()
    executor: ExecutorSettings = ExecutorSettings()
    desk: DeskSettings = DeskSettings()
    budget: BudgetSettings = BudgetSettings()
    retention: RetentionSettings = RetentionSettings()
    mcp: McpSettings = McpSettings()
    chat: ChatSettings = ChatSettings()
    keys: KeySettings = KeySettings()
    threads: ThreadSettings = ThreadSettings()
    streams: StreamSettings = StreamSettings()
    graphs: dict[str, GraphSettings] = Field(default_factory=dict)
    """Plain graphs, by the name that clients call them."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def load_settings(**overrides: Any) -> Settings:
    """The settings in force. Raises `SetupError` that names the setting, where it came from and what to do."""
    path = Path(os.environ.get("COUNTERSIGN_CONFIG", "countersign.toml"))
    if "COUNTERSIGN_CONFIG" in os.environ and not path.is_file():
        raise SetupError(f"The settings file {path} does not exist.", hint="Correct COUNTERSIGN_CONFIG.")
    chosen: type[Settings] = type(
        "Settings", (Settings,), {"model_config": SettingsConfigDict(**{**Settings.model_config, "toml_file": path})}
    )
    try:
        return chosen(**overrides)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is no valid TOML: {error}.", hint="Correct that line.") from error
    except SettingsError as error:
        raise SetupError(
            f"The environment is not valid: {error}.", hint="Set single settings, such as COUNTERSIGN_ENGINE__SWEEP_S."
        ) from error
    except OSError as error:
        raise SetupError(f"{path} can't be read: {error.strerror}.", hint="Check its permissions.") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise SetupError(
            f"Settings are not valid: {'; '.join(lines)}.",
            hint=f"Correct them in {path} or in the environment (COUNTERSIGN_…).",
        ) from error
