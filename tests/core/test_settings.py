"""Settings: the environment over the file over the defaults, and a broken one is told in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SetupError
from core.settings import load_settings


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a settings file that is in force, and not there yet."""
    path = tmp_path / "house.toml"
    path.write_text("")
    monkeypatch.setenv("COUNTERSIGN_CONFIG", str(path))
    return path


def test_without_anything_all_is_embedded(config: Path) -> None:
    settings = load_settings()
    assert settings.data == Path(".countersign")
    assert settings.model.backend == "embedded"
    assert settings.shop.url == ""
    assert settings.server.host == "127.0.0.1"


def test_the_environment_wins_over_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('data = "/var/lib/house"\n[engine]\nconcurrency = 3\nsweep_s = 0.5\n')
    monkeypatch.setenv("COUNTERSIGN_ENGINE__CONCURRENCY", "5")
    settings = load_settings()
    assert settings.data == Path("/var/lib/house")
    assert (settings.engine.concurrency, settings.engine.sweep_s) == (5, 0.5)
    assert load_settings(data=Path("here")).data == Path("here")


def test_secrets_are_not_shown(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_MODEL__API_KEY", "sk-very-secret")
    settings = load_settings()
    assert settings.model.api_key.get_secret_value() == "sk-very-secret"
    assert "very-secret" not in repr(settings)
    assert "very-secret" not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"data = ", "no valid TOML"),
        (b"[engine\nconcurrency = 3", "no valid TOML"),
        (b"\xff\xfe\x00data", "no valid TOML"),
        (b"dtaa = '.countersign'", "dtaa"),
        (b"[engine]\nconcurency = 3", "engine.concurency"),
        (b"[engine]\nconcurrency = 0", "engine.concurrency"),
        (b"[engine]\nconcurrency = 'many'", "engine.concurrency"),
        (b"[server]\nport = 70000", "server.port"),
        (b"[model]\nbackend = 'gpt'", "model.backend"),
        (b"model = 7", "model"),
    ],
)
def test_a_broken_file_is_told_with_the_setting_and_the_file(config: Path, content: bytes, said: str) -> None:
    config.write_bytes(content)
    with pytest.raises(SetupError) as broken:
        load_settings()
    assert said in broken.value.detail
    assert broken.value.hint
    assert str(config) in str(broken.value)


def test_an_unknown_setting_in_the_environment_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_ENGINE__CONCURENCY", "5")
    with pytest.raises(SetupError, match=r"engine\.concurency"):
        load_settings()


def test_a_whole_part_in_the_environment_has_to_be_json(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_ENGINE", "fast please")
    with pytest.raises(SetupError, match="engine"):
        load_settings()


def test_a_file_that_was_named_has_to_be_there(config: Path) -> None:
    config.unlink()
    with pytest.raises(SetupError, match="does not exist"):
        load_settings()


def test_several_mistakes_are_told_at_once(config: Path) -> None:
    config.write_text("[engine]\nconcurrency = 0\n[server]\nport = 0\n")
    with pytest.raises(SetupError) as broken:
        load_settings()
    assert "engine.concurrency" in broken.value.detail
    assert "server.port" in broken.value.detail
