"""``serve --web.config.file``: TLS and passwords, what is refused, and what SIGHUP changes."""

from __future__ import annotations

import asyncio
import base64
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import complaint
from endpoints import serving
from waiting import until

from numaprobe.cli import web_config
from numaprobe.cli.web_config_file import _ciphers, load, openssl_cipher

bcrypt = pytest.importorskip("bcrypt", reason="takes numaprobe[serve]")
pytest.importorskip("yaml", reason="takes numaprobe[serve]")

FIXTURE = Path(__file__).parents[1] / "fixtures" / "two-nodes-threads" / "host.tar.gz"
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
USERS = f'basic_auth_users:\n  prometheus: "{HASH}"\n'

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "web.yml"
        path.write_text(text)
        return path

    return written


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate for 127.0.0.1 and its key, and those of a client."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates of this test")
    where = tmp_path_factory.mktemp("certificates")
    for name, san in (("server", "IP:127.0.0.1"), ("client", "DNS:scraper.example"), ("other", "DNS:other.example")):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName={san}", "-keyout", where / f"{name}.key", "-out", where / f"{name}.crt"],
            check=True, capture_output=True,
        )  # fmt: skip
    (where / "clients.crt").write_text((where / "client.crt").read_text() + (where / "other.crt").read_text())
    return where


def get(
    where: str, path: str = "/metrics", *, user: str | None = None, tls: ssl.SSLContext | None = None
) -> tuple[int, http.client.HTTPMessage]:
    connection = (
        http.client.HTTPConnection(where, timeout=20)
        if tls is None
        else http.client.HTTPSConnection(where, timeout=20, context=tls)
    )
    headers = {} if user is None else {"Authorization": "Basic " + base64.b64encode(user.encode()).decode()}
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers
    finally:
        connection.close()


def trusting(certificates: Path, client: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "server.crt"))
    if client is not None:
        context.load_cert_chain(certificates / f"{client}.crt", certificates / f"{client}.key")
    return context


# --- passwords ---


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an endpoint that one user may read."""
    path = tmp_path_factory.mktemp("guarded") / "web.yml"
    path.write_text(USERS)
    with serving("--recording", FIXTURE, "--web.config.file", path) as (_, where):
        yield where


@pytest.mark.parametrize(
    ("user", "status"),
    [
        (None, 401),
        ("prometheus:secret", 200),
        ("prometheus:wrong", 401),
        ("prometheus:" + "x" * 100, 401),
        ("nobody:secret", 401),
        ("nobody:fakepassword", 401),
        ("prometheus", 401),
        (":", 401),
        ("", 401),
    ],
)
def test_only_a_user_with_the_right_password_is_answered(guarded: str, user: str | None, status: int) -> None:
    """Even unknown paths and health need it; an unknown user is checked as slowly as a known one."""
    for path in ("/metrics", "/healthz"):
        found, headers = get(guarded, path, user=user)
        assert found == status
        assert (headers["WWW-Authenticate"] == "Basic") == (status == 401)
    # What is remembered does not let another password in.
    assert get(guarded, user="prometheus:secret")[0] == 200
    assert get(guarded, user="prometheus:secret2")[0] == 401
    assert get(guarded, "/nowhere")[0] == 401


@pytest.mark.crowds
def test_a_crowd_of_wrong_passwords_does_not_keep_out_who_is_known(write: Write) -> None:
    """A bcrypt check is slow on purpose: a hundred guesses queue or are refused while the known user is served."""
    slow = bcrypt.hashpw(b"secret", bcrypt.gensalt(12)).decode()
    with serving("--recording", FIXTURE, "--web.config.file", write(f'basic_auth_users: {{a: "{slow}"}}')) as (
        _,
        where,
    ):
        assert get(where, user="a:secret")[0] == 200
        host, port = where.split(":")
        crowd = [socket.create_connection((host, int(port))) for _ in range(100)]
        for number, client in enumerate(crowd):
            wrong = base64.b64encode(f"a:{number}".encode())
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + wrong + b"\r\n\r\n")
        start = time.monotonic()
        assert get(where, user="a:secret")[0] == 200
        assert time.monotonic() - start < 3
        assert b" 503 " in crowd[-1].recv(100)
        for client in crowd:
            client.close()


def test_headers_are_sent_with_every_answer(write: Write) -> None:
    """Security scanners look at error pages too; http2 is accepted in the file and has no effect."""
    text = "http_server_config:\n  http2: true\n  headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff}\n"
    with serving("--recording", FIXTURE, "--web.config.file", write(text)) as (_, where):
        for path in ("/metrics", "/nowhere"):
            headers = get(where, path)[1]
            assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("deny", "nosniff")


# --- TLS ---


def test_metrics_are_served_under_tls(certificates: Path, write: Write) -> None:
    """Plain HTTP and TLS 1.1 are turned away, without a line of noise on stderr."""
    text = f"tls_server_config: {{cert_file: {certificates}/server.crt, key_file: {certificates}/server.key}}\n"
    with serving("--recording", FIXTURE, "--web.config.file", write(text + USERS)) as (process, where):
        assert get(where, tls=trusting(certificates), user="prometheus:secret")[0] == 200
        assert get(where, tls=trusting(certificates))[0] == 401
        # Whoever does not speak TLS is not answered, and harms nobody.
        with pytest.raises((ConnectionError, http.client.BadStatusLine)):
            get(where)
        old = trusting(certificates)
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            get(where, tls=old)
        assert get(where, tls=trusting(certificates), user="prometheus:secret")[0] == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_clients_with_certificates_are_told_apart_by_their_names(certificates: Path, write: Write) -> None:
    """Signed by the right CA is not enough: the subject alternative name must be on the list."""
    server = {
        name: (certificates / f"server.{ending}").read_text() for name, ending in (("cert", "crt"), ("key", "key"))
    }
    inline = "".join(
        f"  {name}: |\n" + "".join(f"    {line}\n" for line in server[name].splitlines()) for name in server
    )
    text = (
        f"tls_server_config:\n{inline}  client_auth_type: RequireAndVerifyClientCert\n"
        f"  client_ca_file: {certificates}/clients.crt\n  client_allowed_sans: [scraper.example]\n"
        "  min_version: TLS12\n  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n"
        "  curve_preferences: [X25519]\n"
    )
    with serving("--recording", FIXTURE, "--web.config.file", write(text)) as (_, where):
        assert get(where, tls=trusting(certificates, "client"))[0] == 200
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            get(where, tls=trusting(certificates, "other"))
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.BadStatusLine)):
            get(where, tls=trusting(certificates))


@pytest.mark.crowds
def test_clients_that_never_shake_hands_hold_nothing(certificates: Path, write: Write) -> None:
    """Port scanners connect and stay silent; /proc shows that each descriptor is closed again."""
    text = f"tls_server_config: {{cert_file: {certificates}/server.crt, key_file: {certificates}/server.key}}\n"
    with serving("--recording", FIXTURE, "--web.config.file", write(text)) as (process, where):
        get(where, tls=trusting(certificates))
        before = len(os.listdir(f"/proc/{process.pid}/fd"))
        host, port = where.split(":")
        silent = [socket.create_connection((host, int(port))) for _ in range(20)]
        for client in silent:
            client.settimeout(10)
            assert client.recv(10) == b""
        assert until(lambda: len(os.listdir(f"/proc/{process.pid}/fd")), lambda now: now <= before) <= before
        assert get(where, tls=trusting(certificates))[0] == 200


@pytest.mark.parametrize(
    ("suite", "name"),
    [
        ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"),
        ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES256-GCM-SHA384"),
        ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "ECDHE-RSA-CHACHA20-POLY1305"),
        ("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", "ECDHE-RSA-AES128-SHA"),
        ("TLS_RSA_WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
    ],
)
def test_cipher_suites_have_openssls_names(suite: str, name: str) -> None:
    """The file uses Go's names, as exporter-toolkit does; the linked OpenSSL has to know ours."""
    assert openssl_cipher(suite) == name
    known = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    known.set_ciphers("ALL:@SECLEVEL=0")
    assert name in {cipher["name"] for cipher in known.get_ciphers()}


# --- SIGHUP ---


def test_sighup_reads_the_file_again_and_a_broken_one_changes_nothing(write: Write) -> None:
    """A typing error must neither open the endpoint nor lock everybody out."""
    path = write(USERS)
    with serving("--recording", FIXTURE, "--web.config.file", path) as (process, where):
        assert process.stderr is not None
        assert get(where, user="prometheus:secret")[0] == 200
        path.write_text("basic_auth_users: [")
        process.send_signal(signal.SIGHUP)
        assert "stays in use" in process.stderr.readline().decode()
        assert get(where, user="prometheus:secret")[0] == 200
        assert get(where)[0] == 401
        path.write_text(USERS.replace("prometheus", "other"))
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline().decode() == f"numaprobe: {path} was read again\n"
        assert get(where, user="prometheus:secret")[0] == 401
        assert get(where, user="other:secret")[0] == 200


@pytest.mark.parametrize("words", [(), ("--textfile", "x.prom")])
def test_sighup_ends_nothing(words: tuple[str, ...], tmp_path: Path) -> None:
    """Service managers reload with SIGHUP, whose default action would end a service that has no config."""
    command = [sys.executable, "-m", "numaprobe", "serve", "--recording", str(FIXTURE), *words]
    if not words:
        command += ["--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        if words:
            assert until((tmp_path / "x.prom").exists)
        else:
            process.stderr.readline()
        process.send_signal(signal.SIGHUP)
        # A process that is over takes no other signal, and its status is then that of the first.
        process.terminate()
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


# --- what is refused, and what is said ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "the file must be a mapping"),
        ("a: [", "is not YAML"),
        ("tls_server_conf: {}", "unknown field 'tls_server_conf'"),
        ("basic_auth_users: [a]", "basic_auth_users must be a mapping"),
        ("basic_auth_users: {a: secret}", "user 'a' is not a bcrypt hash"),
        ("basic_auth_users: {a: 1}", "user 'a' is not a bcrypt hash"),
        ("tls_server_config: {cert_fil: x}", "unknown field 'cert_fil'"),
        ("tls_server_config: {key_file: x}", "one of cert and cert_file"),
        ("tls_server_config: {cert_file: none.crt, key_file: none.key}", "none.crt: No such file"),
        ("tls_server_config: {cert_file: web.yml, key_file: web.yml}", "cannot be loaded"),
        ("tls_server_config: {cert_file: x, key_file: x, min_version: TLS9}", "'TLS9'"),
        ("tls_server_config: {cert_file: x, key_file: x, client_auth_type: RequireAnyClientCert}", "'RequireAnyClientCert'"),
        ("tls_server_config: {cert_file: x, key_file: x, client_allowed_sans: [a]}", "client_allowed_sans requires"),
        ("tls_server_config: {cert_file: x, key_file: x, cipher_suites: [TLS_A_WITH_B]}", "'TLS_A_WITH_B'"),
        ("tls_server_config: {cert_file: x, key_file: x, curve_preferences: [X]}", "curve_preferences"),
        ("http_server_config: {headers: {X-Other: a}}", "unknown field 'X-Other'"),
        ('http_server_config: {headers: {X-Frame-Options: "a\\r\\nb"}}', "X-Frame-Options must be one line"),
    ],
)  # fmt: skip
def test_a_configuration_that_cannot_be_used_is_one_line_that_quotes_it(write: Write, text: str, words: str) -> None:
    """Ignoring an unknown field could silently leave the endpoint without protection."""
    path = write(text)
    status = 1 if "No such file" in words else 2
    line = complaint(status, "serve", "--recording", FIXTURE, "--listen", "127.0.0.1:0", "--web.config.file", path)
    assert words in line
    assert str(path.parent) in line


def test_no_error_quotes_a_hash(write: Write) -> None:
    """Errors end up in logs, which more people can read than the configuration."""
    path = write(f'basic_auth_users: {{a: "{HASH}"]\n')
    assert HASH[10:30] not in complaint(2, "serve", "--recording", FIXTURE, "--web.config.file", path)


def test_a_fifo_is_no_configuration(tmp_path: Path) -> None:
    """Opening it would wait for a writer at every start and reload."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="not a regular file"):
        load(str(tmp_path / "fifo"))


@pytest.mark.parametrize("missing", ["yaml", "bcrypt"])
def test_without_its_libraries_it_says_what_to_install(missing: str, write: Write) -> None:
    """PyYAML and bcrypt are only needed for this option, so serve works without them."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from numaprobe.cli import main; sys.exit(main(['serve', '--web.config.file', sys.argv[1]]))"
    )
    found = subprocess.run([sys.executable, "-c", program, write(USERS)], capture_output=True, text=True, check=False)
    assert found.stderr == f"numaprobe: --web.config.file needs {missing}: pip install 'numaprobe[serve]'\n"
    assert found.returncode == 2


@pytest.mark.parametrize(
    ("listen", "text", "words"),
    [
        ("0.0.0.0:0", "", "neither TLS nor a password"),
        ("0.0.0.0:0", USERS, "no TLS"),
        ("127.0.0.1:0", "", None),
    ],
    ids=["neither", "a password", "loopback"],
)
def test_an_address_that_others_can_reach_is_warned_of(write: Write, listen: str, text: str, words: str | None) -> None:
    """A password without TLS travels in plain text; loopback needs neither."""
    more = ("--web.config.file", write(text)) if text else ()
    command = [
        sys.executable,
        "-m",
        "numaprobe",
        "serve",
        "--recording",
        str(FIXTURE),
        "--listen",
        listen,
        *map(str, more),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        first = process.stderr.readline().decode()
        assert words in first if words else "warning" not in first, first
        assert ("is not a loopback address" in first) == (words is not None)
    finally:
        process.terminate()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def authorization(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_only_so_many_passwords_wait_to_be_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last that may wait is checked, and the next is told to come back."""
    monkeypatch.setattr(web_config, "MAX_CHECKS", 2)
    users = {"prometheus": HASH.encode()}

    async def asked() -> list[bool | None]:
        checks = web_config.Authenticator()
        found = await asyncio.gather(
            *(checks.allows(users, authorization("prometheus", word)) for word in ("secret", "wrong", "other"))
        )
        later = await checks.allows(users, authorization("prometheus", "wrong"))
        checks.close()
        return [*found, later]

    assert asyncio.run(asked()) == [True, False, None, False]


def test_a_password_is_remembered_only_if_it_is_right_and_for_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten."""
    checked: list[bytes] = []
    matches = web_config._matches

    def counted(password: bytes, hashed: bytes) -> bool:
        checked.append(password)
        return matches(password, hashed)

    monkeypatch.setattr(web_config, "_matches", counted)
    monkeypatch.setattr(web_config, "MAX_REMEMBERED", 2)
    users = {name: HASH.encode() for name in ("a", "b", "c")}

    async def asked(*names: str) -> list[bool | None]:
        checks = web_config.Authenticator()
        found = [await checks.allows(users, authorization(name, "secret")) for name in names]
        checks.close()
        return found

    assert asyncio.run(asked("a", "a", "b", "b", "a")) == [True] * 5
    assert len(checked) == 2
    checked.clear()
    assert asyncio.run(asked("a", "b", "c", "b", "c", "a")) == [True] * 6
    assert len(checked) == 4
    checked.clear()
    assert asyncio.run(asked("x", "x")) == [False, False]
    assert len(checked) == 2


@pytest.mark.parametrize(
    ("wish", "prefers"),
    [({}, True), ({"prefer_server_cipher_suites": True}, True), ({"prefer_server_cipher_suites": False}, False)],
)
def test_the_servers_order_of_ciphers_is_preferred_unless_it_is_told_not_to(
    wish: dict[str, bool], prefers: bool
) -> None:
    """As exporter-toolkit has it, whose file this is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _ciphers(context, wish)
    assert bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE) == prefers
