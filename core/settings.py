"""Settings, from the environment (`COUNTERSIGN_*`) over a `countersign.toml` over the defaults.

The defaults run everything embedded in one folder, with no GPU and no server beside it.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from core.errors import SetupError


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


class ServerSettings(_Part):
    host: str = "127.0.0.1"
    port: int = Field(default=8642, ge=1, le=65535)


class EngineSettings(_Part):
    concurrency: int = Field(default=8, ge=1)
    """Segments that one process runs at a time."""
    sweep_s: float = Field(default=2.0, gt=0)
    """How often timers, late events and dead leases are looked for."""
    lease_s: float = Field(default=30.0, gt=0)
    """How long an effect may take before another worker may look it up."""
    attempts: int = Field(default=5, ge=1)
    """Crashes of one segment before the case goes to people."""
    queue_limit: int = Field(default=10_000, ge=1)
    """Unprocessed events before intake answers 429."""


class BudgetSettings(_Part):
    """What one case may use before people look at it."""

    steps: int = Field(default=24, ge=1)
    tokens: int = Field(default=60_000, ge=1)
    money_minor: int = Field(default=500_000, ge=0)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="COUNTERSIGN_", env_nested_delimiter="__", extra="forbid", toml_file="countersign.toml"
    )

    data: Path = Path(".countersign")
    """Everything that is kept, when embedded: databases, worlds, reports, the local token."""
    policies: Path | None = None
    """Folder of policy books; the ones that ship with the project if unset."""
    model: ModelSettings = ModelSettings()
    shop: ShopSettings = ShopSettings()
    server: ServerSettings = ServerSettings()
    engine: EngineSettings = EngineSettings()
    budget: BudgetSettings = BudgetSettings()

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
