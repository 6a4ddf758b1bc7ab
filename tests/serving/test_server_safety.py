"""What every answer carries, who is answered at all, TLS, and what a house in production does not start with."""

from __future__ import annotations

import asyncio
import logging
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from httpx import ASGITransport, AsyncClient
from pydantic import ValidationError

from core.access_settings import OidcSettings, ServerSettings
from core.errors import SetupError
from core.settings import DatabaseSettings, ExecutorSettings, Settings, ShopSettings
from serving.api.app import make_app
from serving.auth.safety import is_loopback, require_safe, weaknesses
from serving.auth.tls import listening_options, tls
from serving.house import House
from tests.serving.live import Live, living, typed
from tests.support.folders import quick_folder

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = "https://chat.example.com"


def _client(app: object, host: str = "desk.example.com", **headers: str) -> AsyncClient:
    transport = ASGITransport(app, client=("203.0.113.7", 1))  # type: ignore[arg-type]
    return AsyncClient(transport=transport, base_url=f"https://{host}", headers=headers)


async def test_every_answer_tells_browsers_to_do_nothing_with_it(live: Live) -> None:
    async with live.as_("vera") as http:
        for path in ("/me", "/nowhere", "/cases/case_nope"):
            answer = await http.get(path)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] in ("no-store", "private, no-cache")
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "Strict-Transport-Security" not in answer.headers  # it came without TLS
            assert "uvicorn" not in answer.headers.get("Server", "")
    async with _client(make_app(live.house)) as http:
        assert "max-age" in (await http.get("/ok")).headers["Strict-Transport-Security"]
        docs = await http.get("/docs")
        assert (docs.status_code, "script-src https://" in docs.headers["Content-Security-Policy"]) == (200, True)


@pytest.mark.parametrize("where", ["access_token={}", "token={}", "a=1&api_key={}", "x=%63s_{:.0}{}", "q={}&limit=1"])
async def test_a_token_in_an_address_opens_nothing(live: Live, where: str, caplog: pytest.LogCaptureFixture) -> None:
    token = live.tokens["vera"]
    query = where.format(token, token[3:]) if "%63" in where else where.format(token)
    with caplog.at_level(logging.DEBUG, "countersign"):
        async with live.as_("vera") as http:
            answer = await http.get(f"/me?{query}")
        assert answer.status_code == 401
        assert "Revoke it" in answer.json()["hint"]
        assert token not in answer.text
    assert token not in caplog.text
    async with live.as_("vera") as http:
        assert (await http.get("/cases?before=case_01&kind=returns")).status_code == 200


async def test_pages_elsewhere_reach_nothing_unless_they_are_named(live: Live) -> None:
    asks = {"Origin": PAGE, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    async with _client(make_app(live.house)) as http:
        answer = await http.options("/api/v1/me", headers=asks)
        assert "access-control-allow-origin" not in answer.headers
    server = ServerSettings(origins=[PAGE])
    house = _with(live, server)
    async with _client(make_app(house)) as http:
        answer = await http.options("/api/v1/me", headers=asks)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, PAGE)
        assert "access-control-allow-credentials" not in answer.headers
        other = await http.options("/api/v1/me", headers={**asks, "Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        read = await http.get("/ok", headers={"Origin": PAGE})
        assert "Retry-After" in read.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["*", "https://*.example.com", "chat.example.com", "https://a.example/path", "null"])
async def test_an_origin_is_named_whole(origin: str) -> None:
    with pytest.raises(ValidationError, match="no origin"):
        ServerSettings(origins=[origin])


async def test_only_the_names_of_the_server_are_answered(live: Live) -> None:
    house = _with(live, ServerSettings(hosts=["desk.example.com", "*.inside.example"]))
    for host, status in (
        ("desk.example.com", 401),
        ("DESK.example.com.:8642", 401),
        ("a.inside.example", 401),
        ("evil.example", 421),
        ("inside.example", 421),
        ("[::1]", 421),
    ):
        async with _client(make_app(house)) as http:
            answer = await http.get("/api/v1/me", headers={"Host": host})
            assert answer.status_code == status, host
            assert answer.headers["content-type"] == "application/problem+json"
    async with _client(make_app(house), "10.0.0.3") as http:
        assert (await http.get("/ok")).status_code == 200


async def test_docs_are_off_in_production(live: Live) -> None:
    async with _client(make_app(_with(live, ServerSettings(), environment="production"))) as http:
        assert (await http.get("/docs")).status_code == 404
        assert (await http.get("/ok")).status_code == 200


def _with(live: Live, server: ServerSettings, **more: str) -> House:
    settings = live.house.settings.model_copy(update={"server": server, **more})
    return replace(live.house, settings=settings)


# TLS


def _certificate(folder: Path, password: bytes = b"") -> ServerSettings:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    sealed = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed)
    (folder / "key.pem").write_bytes(private)
    return ServerSettings(tls_cert=folder / "cert.pem", tls_key=folder / "key.pem", tls_key_password=password.decode())


async def test_the_server_speaks_tls_and_nothing_older_than_1_2(tmp_path: Path) -> None:
    server = _certificate(tmp_path)
    with quick_folder() as folder:
        async with living(Settings(data=folder / "data", server=server)) as live:
            assert live.url.startswith("https://")
            known = ssl.create_default_context(cafile=str(server.tls_cert))
            async with httpx.AsyncClient(verify=known) as http:
                answer = await http.get(f"{live.url}/ok")
                assert (answer.status_code, "Strict-Transport-Security" in answer.headers) == (200, True)
            async with httpx.AsyncClient() as stranger:
                with pytest.raises(httpx.ConnectError):
                    await stranger.get(f"{live.url}/ok")
    context = tls(server)
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


async def test_a_certificate_that_does_not_fit_is_told(tmp_path: Path) -> None:
    server = _certificate(tmp_path, b"sesame")
    assert tls(server) is not None
    assert tls(ServerSettings()) is None
    wrong = [
        server.model_copy(update={"tls_key_password": ServerSettings().tls_key_password}),
        server.model_copy(update={"tls_cert": tmp_path / "nowhere.pem"}),
        server.model_copy(update={"tls_key": tmp_path / "cert.pem"}),
    ]
    for each in wrong:
        with pytest.raises(SetupError, match="TLS with") as no:
            tls(each)
        assert "COUNTERSIGN_SERVER__TLS_CERT" in no.value.hint
    with pytest.raises(ValidationError, match="tls_cert"):
        ServerSettings(tls_key=tmp_path / "key.pem")


async def test_forwarded_headers_are_believed_of_named_proxies_alone() -> None:
    assert listening_options(ServerSettings(), None)["proxy_headers"] is False
    named = listening_options(ServerSettings(proxies=["10.0.0.7"]), None)
    assert (named["proxy_headers"], named["forwarded_allow_ips"]) == (True, ["10.0.0.7"])
    with pytest.raises(ValidationError, match="everybody"):
        ServerSettings(proxies=["*"])


# production

GOOD = "9fQe2LwX7cRk0vTzYb5HnUa3MdPs8JgE"


def _settings(**parts: object) -> Settings:
    elsewhere = {"file": "/etc/countersign/master.keys"}
    return Settings.model_validate({"environment": "production", "keys": elsewhere, **parts})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"server": ServerSettings(host="0.0.0.0")}, "listens on 0.0.0.0 without TLS"),
        ({"server": ServerSettings(host="desk.example.com")}, "without TLS"),
        ({"server": ServerSettings(host="::")}, "without TLS"),
        ({"executor": ExecutorSettings(url="http://127.0.0.1:8644")}, "token of the executor is not set"),
        ({"executor": ExecutorSettings(url="http://127.0.0.1:1", token="secret")}, "everybody knows"),
        ({"executor": ExecutorSettings(token="aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")}, "can be guessed"),
        ({"executor": ExecutorSettings(url="http://far.example", token=GOOD)}, "in the clear"),
        ({"shop": ShopSettings(url="https://shop.example", token="changeme")}, "token of the shop"),
        ({"database": DatabaseSettings(url="postgresql://u:postgres@db/x")}, "password of the database"),
        ({"database": DatabaseSettings(url="postgresql://u@db/x")}, "password of the database is not set"),
        ({"database": DatabaseSettings(url="postgresql://u:Countersign@db/x")}, "everybody knows"),
        ({"oidc": OidcSettings(issuer="http://id.example", audience="a")}, "in the clear"),
        ({"keys": {}}, "the master key lies in the data folder"),
        (
            {"data": "/srv/desk", "keys": {"file": "/srv/other/../desk/a.keys"}},
            "the master key lies in the data folder",
        ),
    ],
    ids=str,
)
async def test_in_production_nothing_starts_that_everybody_can_get_into(parts: dict[str, object], said: str) -> None:
    settings = _settings(**parts)
    with pytest.raises(SetupError, match="Not safe enough") as no:
        require_safe(settings, settings.server.host)
    assert said in no.value.detail
    assert "COUNTERSIGN_" in no.value.hint
    assert "secret" not in no.value.detail.replace("secrets", "")
    require_safe(settings.model_copy(update={"environment": "development"}), settings.server.host)
    assert [said in each.says for each in weaknesses(settings)] == [True]  # what the doctor tells is the same


async def test_what_is_safe_starts(tmp_path: Path) -> None:
    good = _settings(
        server=ServerSettings(host="0.0.0.0", behind_proxy=True),
        executor=ExecutorSettings(url="https://executor.example", token=GOOD),
        shop=ShopSettings(url="http://localhost:8700", token=GOOD),
        database=DatabaseSettings(url=f"postgresql://u:{GOOD}@db/x"),
    )
    require_safe(good, "0.0.0.0")
    require_safe(_settings(server=_certificate(tmp_path)), "0.0.0.0")
    require_safe(_settings(keys={"ring": GOOD}))
    require_safe(_settings(database=DatabaseSettings(url="postgresql:///x?host=/var/run/postgresql")), "::1")
    assert [is_loopback(each) for each in ("127.0.0.9", "[::1]", "localhost", "localhost.evil")] == [True] * 3 + [False]


@pytest.mark.parametrize("command", [("up", "--host", "0.0.0.0"), ("executor", "--host", "0.0.0.0")])
async def test_the_commands_refuse_and_say_what_to_do(command: tuple[str, ...], tmp_path: Path) -> None:
    env = {"COUNTERSIGN_ENVIRONMENT": "production", "COUNTERSIGN_DATA": str(tmp_path / "data")}
    told = typed(*command, env=env)
    assert told.code == 2
    assert "listens on 0.0.0.0 without TLS" in told.err
    assert "BEHIND_PROXY" in told.err
    assert not (tmp_path / "data").exists()


async def test_the_doctor_tells_the_same(tmp_path: Path) -> None:
    env = {"COUNTERSIGN_DATA": str(tmp_path), "COUNTERSIGN_SERVER__HOST": "0.0.0.0", "COUNTERSIGN_ENVIRONMENT": ""}
    env["COUNTERSIGN_KEYS__FILE"] = str(tmp_path.with_suffix(".keys"))
    for environment, state in (("development", "warn"), ("production", "fail")):
        env["COUNTERSIGN_ENVIRONMENT"] = environment
        told = await asyncio.to_thread(typed, "doctor", "--json", "--within", "1", env=env)
        (line,) = [each for each in told.json["lines"] if each["part"] == "safety"]
        assert (line["state"], "without TLS" in line["says"]) == (state, True)
