"""Reading and checking a web configuration file."""

from __future__ import annotations

import os
import re
import stat

from .web_config import WebConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from typing import Any

MAX_BYTES = 1 << 20
BCRYPT = re.compile(r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
TLS_FIELDS = (
    "cert", "cert_file", "cipher_suites", "client_allowed_sans", "client_auth_type", "client_ca", "client_ca_file",
    "curve_preferences", "key", "key_file", "max_version", "min_version", "prefer_server_cipher_suites",
)  # fmt: skip
VERSIONS = {"TLS10": "TLSv1", "TLS11": "TLSv1_1", "TLS12": "TLSv1_2", "TLS13": "TLSv1_3"}
# Python's ssl either verifies a client's certificate or does not request it.
CLIENT_AUTH = {
    "": "CERT_NONE",
    "NoClientCert": "CERT_NONE",
    "VerifyClientCertIfGiven": "CERT_OPTIONAL",
    "RequireAndVerifyClientCert": "CERT_REQUIRED",
}
CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


def load(path: str) -> WebConfig:
    """The configuration in a file; relative paths inside are relative to its directory.

    Raises ``ValueError`` that quotes the path and the offending field, for a missing library too, and ``OSError``.
    """
    try:
        import bcrypt  # noqa: F401
        import yaml
    except ModuleNotFoundError as error:
        raise ValueError(f"--web.config.file needs {error.name}: pip install 'numaprobe[serve]'") from None
    text = _bytes_of(path)
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        # Not the error's own text, which quotes the line: it may hold a password's hash.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{path} is not YAML: {getattr(error, 'problem', None) or 'not understood'}{where}") from None
    try:
        return _config({} if found is None else found, os.path.dirname(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _config(found: Any, directory: str) -> WebConfig:
    fields = _mapping("the file", found, ("tls_server_config", "http_server_config", "basic_auth_users"))
    users = _mapping("basic_auth_users", fields.get("basic_auth_users"))
    http = _mapping("http_server_config", fields.get("http_server_config"), ("http2", "headers"))
    headers = _mapping("http_server_config.headers", http.get("headers"), HEADERS)
    tls = _mapping("tls_server_config", fields.get("tls_server_config"), TLS_FIELDS)
    auth = _word(tls, "client_auth_type")
    if auth not in CLIENT_AUTH:
        raise ValueError(
            f"client_auth_type {auth!r} is not supported; use one of {', '.join(filter(None, CLIENT_AUTH))}"
        )
    sans = _words(tls, "client_allowed_sans")
    if sans and CLIENT_AUTH[auth] != "CERT_REQUIRED":
        raise ValueError("client_allowed_sans requires client_auth_type RequireAndVerifyClientCert")
    return WebConfig(
        tls=_context(tls, directory) if tls else None,
        users={str(user): _hash(str(user), hashed) for user, hashed in users.items()},
        headers=tuple((name, _header(name, value)) for name, value in headers.items()),
        sans=frozenset(sans),
        verifies_clients=CLIENT_AUTH[auth] == "CERT_REQUIRED",
    )


def _mapping(name: str, found: Any, known: tuple[str, ...] | None = None) -> dict[str, Any]:
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ValueError(f"{name} must be a mapping, not {type(found).__name__}")
    for field in found:
        if known is not None and field not in known:
            raise ValueError(f"{name} has an unknown field {field!r}; known: {', '.join(known)}")
    return found


def _hash(user: str, hashed: Any) -> bytes:
    # The hash itself is not quoted: errors end up in logs.
    if not isinstance(hashed, str) or not BCRYPT.fullmatch(hashed):
        raise ValueError(f"the password of user {user!r} is not a bcrypt hash (htpasswd -nBC 10 '' makes one)")
    return hashed.encode()


def _header(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise ValueError(f"header {name} must be one line of ASCII, not {value!r}")
    return value


def _word(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {value!r}")
    return value or ""


def _words(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name)
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise ValueError(f"{name} must be a list of strings, not {value!r}")
    return list(value or ())


def _context(fields: dict[str, Any], directory: str) -> ssl.SSLContext:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, attribute in (("min_version", "minimum_version"), ("max_version", "maximum_version")):
        version = _word(fields, name)
        if version and version not in VERSIONS:
            raise ValueError(f"{name} must be one of {', '.join(VERSIONS)}, not {version!r}")
        if version:
            setattr(context, attribute, ssl.TLSVersion[VERSIONS[version]])
    _ciphers(context, fields)
    curves = _words(fields, "curve_preferences")
    if len(curves) > 1 or not set(curves) <= CURVES.keys():
        raise ValueError(f"curve_preferences may be one of {', '.join(CURVES)}, not {curves!r}")
    for curve in curves:
        context.set_ecdh_curve(CURVES[curve])
    _certificates(context, fields, directory)
    return context


def _ciphers(context: ssl.SSLContext, fields: dict[str, Any]) -> None:
    import ssl

    prefer = fields.get("prefer_server_cipher_suites", True)
    if not isinstance(prefer, bool):
        raise ValueError(f"prefer_server_cipher_suites must be true or false, not {prefer!r}")
    # Python's contexts for servers have it set.
    context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if prefer:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    # The suites of TLS 1.3 cannot be configured, nor in Go's library.
    suites = [suite for suite in _words(fields, "cipher_suites") if "_WITH_" in suite or not suite.startswith("TLS_")]
    for suite in suites:
        try:
            context.set_ciphers(openssl_cipher(suite))
        except ssl.SSLError:
            raise ValueError(f"cipher_suites: {suite!r} is not available") from None
    if suites:
        context.set_ciphers(":".join(map(openssl_cipher, suites)))


def openssl_cipher(suite: str) -> str:
    """OpenSSL's name of a cipher suite of TLS 1.2, of IANA's: ``ECDHE-RSA-AES128-GCM-SHA256``."""
    exchange, _, cipher = suite.removeprefix("TLS_").partition("_WITH_")
    cipher = cipher.replace("CHACHA20_POLY1305_SHA256", "CHACHA20_POLY1305").replace("AES_", "AES").replace("_CBC", "")
    return "-".join([*(exchange.split("_") if exchange != "RSA" else ()), *cipher.split("_")])


def _certificates(context: ssl.SSLContext, fields: dict[str, Any], directory: str) -> None:
    import ssl

    pairs = [(_word(fields, name), _word(fields, f"{name}_file")) for name in ("cert", "key")]
    for name, (inline, file) in zip(("cert", "key"), pairs, strict=True):
        if bool(inline) == bool(file):
            raise ValueError(f"tls_server_config must have one of {name} and {name}_file")
    with _Files(directory) as path_of:
        certificate, key = (path_of(inline, file) for inline, file in pairs)
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as error:
            raise ValueError(f"the certificate and its key cannot be loaded: {error.reason or error}") from None
    authority, file = _word(fields, "client_ca"), _word(fields, "client_ca_file")
    if authority and file:
        raise ValueError("tls_server_config must not have both client_ca and client_ca_file")
    auth = CLIENT_AUTH[_word(fields, "client_auth_type")]
    if auth != "CERT_NONE" and not (authority or file):
        raise ValueError("client_auth_type requires client_ca_file")
    if auth == "CERT_NONE" and (authority or file):
        raise ValueError("client_ca_file has no effect without client_auth_type RequireAndVerifyClientCert")
    if authority or file:
        with _Files(directory) as path_of:
            try:
                context.load_verify_locations(path_of(authority, file))
            except ssl.SSLError as error:
                raise ValueError(f"the certificates of client_ca cannot be loaded: {error.reason or error}") from None
    context.verify_mode = ssl.VerifyMode[auth]


def _no_password() -> str:
    raise ValueError("the key is encrypted; a key without a passphrase is needed")


class _Files:
    """Paths of certificates: ssl reads those that are written in the configuration from a file in memory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._open: list[int] = []

    def __enter__(self) -> Callable[[str, str], str]:
        return self._path

    def __exit__(self, *_error: object) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def _path(self, inline: str, file: str) -> str:
        if not inline:
            path = os.path.join(self._directory, file)
            # ssl's own error does not say which file it is about.
            _bytes_of(path)
            return path
        descriptor = os.memfd_create("numaprobe")
        self._open.append(descriptor)
        os.write(descriptor, inline.encode())
        return f"/proc/self/fd/{descriptor}"


def _bytes_of(path: str) -> bytes:
    """A regular file's content; opening a FIFO must not wait."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError(f"{path} is not a regular file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes")
    return content
