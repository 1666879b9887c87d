"""``numaprobe place`` with the planner replaced: what is refused, written and said; and the file of ``--web.config.file``."""

from __future__ import annotations

import io
import json
import os
import ssl
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hosts import GIB, MIB, domain, host

from numaprobe import DoesNotFit, Traffic, place
from numaprobe.cli import place as command
from numaprobe.cli import placing
from numaprobe.cli import web_config_file as web
from numaprobe.cli.parser import parsed
from numaprobe.metrics import METRICS
from numaprobe.metrics.rows import domain_rows, topology_rows, traffic_rows
from numaprobe.version import SCHEMA


def options(*words: str, **more: Any) -> Namespace:
    return Namespace(**{**vars(parsed(["place", *words])), **more})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--claim-pid", "3"], "--claim-pid and --claim-domain require --claim"), (["--claim-domain", "3"], "--claim-pid and --claim-domain require --claim"),
        (["--partial"], "--partial and --optimal require --batch"), (["--optimal"], "--partial and --optimal require --batch"),
        (["--soft"], "--soft requires --format xl"), (["--soft", "--format", "libvirt"], "--soft requires --format xl"),
        (["--batch", "f", "--seconds", "3"], "--seconds requires --optimal"),
    ],
)  # fmt: skip
def test_options_of_place_that_need_another(words: list[str], text: str) -> None:
    """Before anything is read."""
    with pytest.raises(ValueError, match=text):
        command.run(options(*words), io.StringIO())


@pytest.mark.parametrize(
    ("words", "module"),
    [
        (["--claims"], "claims"),
        (["--release", "0"], "claims"),
        (["--rebalance"], "moves"),
        (["--moves", "0"], "moves"),
        (["--without", "g"], "moves"),
    ],
)
def test_questions_about_claims_and_moves_are_their_own(
    monkeypatch: pytest.MonkeyPatch, words: list[str], module: str
) -> None:
    """Also with a number of 0."""
    from numaprobe.cli import claims, moves

    asked: list[str] = []
    monkeypatch.setattr(claims, "show", lambda options, out: asked.append("claims"))
    monkeypatch.setattr(moves, "run", lambda options, out: asked.append("moves"))
    command.run(options(*words), io.StringIO())
    assert asked == [module]


def test_the_plan_for_one_guest_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the guest of the command line."""
    monkeypatch.setattr(placing, "wanted", lambda options: ("request",))
    monkeypatch.setattr(
        placing,
        "solved",
        lambda options, requests: SimpleNamespace(plans=(PLAN,)) if requests == ("request",) else None,
    )
    assert placing.plan_for(options()) is PLAN


PLAN = place(host([GIB]), vcpus=2, memory=MIB, reserve=0)
FULL = ("it is full", "and busy")


def batch(*plans: Any, **more: Any) -> Any:
    missed = tuple((i, FULL) for i, plan in enumerate(plans) if plan is None)
    return SimpleNamespace(
        **{"plans": plans, "missed": missed, "optimal": False, "bound": None, "cost": None, "least_cost": None, **more}
    )


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The next answer of the planner, an error among them; three guests are asked for."""
    found: list[Any] = []

    def solved(options: Any, requests: Any) -> Any:
        answer = found.pop()
        if isinstance(answer, Exception):
            raise answer
        return answer

    names = [SimpleNamespace(name=name) for name in ("a", None, "c")]
    monkeypatch.setattr(command, "wanted", lambda options: tuple(names if options.batch else names[:1]))
    monkeypatch.setattr(command, "solved", solved)
    claim = [SimpleNamespace(id=7), SimpleNamespace(id=8)]
    monkeypatch.setattr(
        command, "claim", lambda options, requests: (solved(options, requests), claim[: 1 if len(requests) == 1 else 2])
    )
    return found


def said(*words: str) -> str:
    out = io.StringIO()
    command.run(options(*words), out)
    return out.getvalue()


def test_one_plan_is_written_in_its_format(answers: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    """With its claim, which text says on standard error."""
    for words, found in (
        ((), PLAN.render("text")),
        (("--format", "xl"), PLAN.render("xl")),
        (("--format", "xl", "--soft"), PLAN.render("xl", soft=True)),
    ):
        answers.append(batch(PLAN))
        assert said(*words) == found
    answers.append(batch(PLAN))
    assert "claim" not in json.loads(said("--json"))
    answers.append(batch(PLAN))
    assert json.loads(said("--json", "--claim"))["claim"] == 7
    assert capsys.readouterr().err == ""
    answers.append(batch(PLAN))
    assert said("--claim", "--claim-seconds", "9.6") == PLAN.render("text")
    assert capsys.readouterr().err == "numaprobe: claimed for 10 s (place --release 7)\n"


def test_several_plans_have_a_summary_or_a_document_each(
    answers: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Guests without a place are named, and have their reasons in the document."""
    answers.append(batch(PLAN, None, PLAN))
    text = PLAN.render("text")
    assert said("--batch", "f", "--claim") == f"{text}\n{text}\n2 of 3 guests placed\n"
    assert (
        capsys.readouterr().err
        == "numaprobe: claimed for 300 s (place --release 7, 8)\nnumaprobe: 1 guest left out: guest 2\n"
    )
    answers.append(batch(PLAN, None, PLAN))
    assert said("--batch", "f", "--format", "numactl") == PLAN.render("numactl") * 2
    capsys.readouterr()
    answers.append(batch(PLAN, None, PLAN, bound=2, cost=3.0, least_cost=2.0))
    first, second, third = json.loads(said("--batch", "f", "--json", "--claim"))
    assert capsys.readouterr().err == ""
    assert (first["claim"], third["claim"], "claim" in second) == (7, 8, False)
    assert (
        first["batch"]
        == second["batch"]
        == {"guests": 3, "placed": 2, "bound": 2, "cost": 3.0, "least_cost": 2.0, "optimal": False}
    )
    assert (second["fits"], second["name"], second["reasons"], first["fits"]) == (False, None, list(FULL), True)


def test_a_guest_that_does_not_fit_is_an_error_with_a_document(answers: list[Any]) -> None:
    """Of a batch of which none fits too."""
    out = io.StringIO()
    answers.append(DoesNotFit(*FULL))
    with pytest.raises(DoesNotFit):
        command.run(options("--json"), out)
    assert json.loads(out.getvalue()) == {
        "schema": SCHEMA, "fits": False, "name": "a", "cells": [], "cpus": [], "vcpus": [], "memory": {}, "guest_cells": [],
        "reasons": list(FULL), "rejected": [],
    }  # fmt: skip
    out = io.StringIO()
    answers.append(DoesNotFit(*FULL))
    with pytest.raises(DoesNotFit):
        command.run(options("--json", "--batch", "f"), out)
    assert json.loads(out.getvalue())["name"] is None
    out = io.StringIO()
    answers.append(DoesNotFit(*FULL))
    with pytest.raises(DoesNotFit):
        command.run(options(), out)
    assert out.getvalue() == ""
    answers.append(batch(None, None, None))
    with pytest.raises(DoesNotFit) as caught:
        command.run(options("--batch", "f"), io.StringIO())
    assert caught.value.reasons == ("no guest of the batch fits", *FULL)


# --- the web configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ([], "the file must be a mapping, not list"), ({"x": 1}, "the file has an unknown field 'x'; known: tls_server_config, http_server_config, basic_auth_users"),
        ({"basic_auth_users": []}, "basic_auth_users must be a mapping, not list"), ({"basic_auth_users": {"u": "plain"}}, "the password of user 'u' is not a bcrypt"),
        ({"basic_auth_users": {"u": 7}}, "the password of user 'u' is not a bcrypt"), ({"http_server_config": {"headers": {"X": "1"}}}, "http_server_config.headers has an"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "a\nb"}}}, "header X-Frame-Options must be one line of ASCII, not"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "é"}}}, "header X-Frame-Options must be one line of ASCII, not 'é'"), ({"http_server_config": {"headers": {"X-Frame-Options": 1}}}, "header X-Frame-Options must be one line of ASCII, not 1"),
        ({"tls_server_config": {"client_auth_type": "RequestClientCert"}}, "client_auth_type 'RequestClientCert' is not supported; use one of NoClientCert, Verify"),
        ({"tls_server_config": {"client_auth_type": 1}}, "client_auth_type must be a string, not 1"),
        ({"tls_server_config": {"client_allowed_sans": ["a"]}}, "client_allowed_sans requires client_auth_type RequireAndVerifyClientCert"),
        ({"tls_server_config": {"client_allowed_sans": "a"}}, "client_allowed_sans must be a list of strings, not 'a'"),
        ({"tls_server_config": {"client_allowed_sans": [1]}}, "client_allowed_sans must be a list of strings"),
        ({"tls_server_config": {"min_version": "TLS9"}}, "min_version must be one of TLS10, TLS11, TLS12, TLS13, not 'TLS9'"),
        ({"tls_server_config": {"max_version": "TLS9"}}, "max_version must be one of"),
        ({"tls_server_config": {"curve_preferences": ["X25519", "CurveP256"]}}, "curve_preferences may be one of CurveP256, CurveP384, CurveP521, X25519, not"),
        ({"tls_server_config": {"curve_preferences": ["X"]}}, "curve_preferences may be one of"),
        ({"tls_server_config": {"prefer_server_cipher_suites": 1}}, "prefer_server_cipher_suites must be true or false, not 1"),
        ({"tls_server_config": {"cipher_suites": ["TLS_X_WITH_Y"]}}, "cipher_suites: 'TLS_X_WITH_Y' is not available"),
        ({"tls_server_config": {"min_version": "TLS12"}}, "tls_server_config must have one of cert and cert_file"),
        ({"tls_server_config": {"cert": "a", "cert_file": "b", "key": "c"}}, "tls_server_config must have one of cert and cert_file"),
        ({"tls_server_config": {"cert": "a"}}, "tls_server_config must have one of key and key_file"),
        ({"tls_server_config": {"cert": "a", "key": "b"}}, "the certificate and its key cannot be loaded: "),
    ],
)  # fmt: skip
def test_a_web_configuration_is_refused_by_its_field(found: Any, text: str) -> None:
    """In one sentence that names it."""
    with pytest.raises(ValueError) as caught:
        web._config(found, ".")
    assert str(caught.value).startswith(text)


def test_a_web_configuration_has_what_is_written() -> None:
    """Users with their hashes, and headers."""
    hashed = "$2y$10$" + "a" * 53
    found = web._config(
        {
            "basic_auth_users": {"u": hashed, 7: hashed},
            "http_server_config": {"http2": True, "headers": {"X-Frame-Options": "deny"}},
        },
        ".",
    )
    assert (found.users, found.headers, found.tls, found.verifies_clients) == (
        {"u": hashed.encode(), "7": hashed.encode()},
        (("X-Frame-Options", "deny"),),
        None,
        False,
    )
    assert web._config({}, ".").users == {}


@pytest.mark.parametrize("hashed", ["$2a$04$", "$2b$31$", "$2y$10$", "$2y$03$", "$2y$32$", "$2c$10$", "$1$10$"])
def test_a_hash_is_bcrypts_of_4_to_31_rounds(hashed: str) -> None:
    """Of 53 characters."""
    good = hashed in ("$2a$04$", "$2b$31$", "$2y$10$")
    for length, right in ((53, good), (52, False), (54, False)):
        assert bool(web.BCRYPT.fullmatch(hashed + "a" * length)) is right


@pytest.mark.parametrize(
    ("fields", "low", "high", "prefers"),
    [({}, "TLSv1_2", None, True), ({"min_version": "TLS13"}, "TLSv1_3", None, True), ({"max_version": "TLS12"}, "TLSv1_2", "TLSv1_2", True),
     ({"prefer_server_cipher_suites": False}, "TLSv1_2", None, False)],
)  # fmt: skip
def test_a_context_has_the_versions_that_are_written(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], low: str, high: str | None, prefers: bool
) -> None:
    """1.2 at least, and no renegotiation."""
    monkeypatch.setattr(web, "_certificates", lambda *_: None)
    context = web._context(fields, ".")
    assert context.minimum_version is ssl.TLSVersion[low]
    assert high is None or context.maximum_version is ssl.TLSVersion[high]
    assert bool(context.options & ssl.OP_NO_RENEGOTIATION)
    assert bool(context.options & ssl.OP_CIPHER_SERVER_PREFERENCE) is prefers


def test_cipher_suites_are_those_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of TLS 1.3 none can be chosen."""
    monkeypatch.setattr(web, "_certificates", lambda *_: None)
    suites = [
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_AES_128_GCM_SHA256",
    ]
    context = web._context({"cipher_suites": suites, "curve_preferences": ["CurveP256"]}, ".")
    names = [one["name"] for one in context.get_ciphers() if not one["name"].startswith("TLS_")]
    assert names == ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]


def test_certificates_in_the_file_itself_are_read_from_memory(tmp_path: Path) -> None:
    """Their descriptors are closed in the end; a path is relative to the configuration's."""
    (tmp_path / "x").write_text("there")
    before = len(os.listdir("/proc/self/fd"))
    with web._Files(str(tmp_path)) as path_of:
        inline = path_of("hello", "")
        assert Path(inline).read_text() == "hello"
        assert path_of("", "x") == str(tmp_path / "x")
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ValueError, match="the key is encrypted; a key without a passphrase is needed"):
        web._no_password()


@pytest.mark.parametrize(("size", "good"), [(1 << 20, True), ((1 << 20) + 1, False)])
def test_a_web_configuration_is_of_a_mebibyte_at_most(tmp_path: Path, size: int, good: bool) -> None:
    """And a regular file."""
    (tmp_path / "x").write_bytes(b"")
    os.truncate(tmp_path / "x", size)
    if good:
        assert len(web._bytes_of(str(tmp_path / "x"))) == size
    else:
        with pytest.raises(ValueError, match="is larger than 1048576 bytes"):
            web._bytes_of(str(tmp_path / "x"))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="is not a regular file"):
        web._bytes_of(str(tmp_path / "pipe"))


def test_what_is_no_yaml_is_said_with_its_line_and_without_its_text(tmp_path: Path) -> None:
    """A line may hold a hash."""
    pytest.importorskip("yaml")
    path = tmp_path / "web.yml"
    path.write_text("a: 1\nsecret: [\n")
    with pytest.raises(ValueError, match=r"web\.yml is not YAML: .* at line 3$") as caught:
        web.load(str(path))
    assert "secret" not in str(caught.value)
    path.write_text("")
    assert web.load(str(path)).users == {}


# --- metrics ------------------------------------------------------------------------------------------------------------


def test_metrics_of_at_most_a_hundred_guests_and_groups_are_given() -> None:
    """Unless another limit is set; the others are counted."""
    guests = [domain(f"g{number}", 1, id=number, kind="qemu") for number in range(101)]
    rows = domain_rows(guests)
    assert len(rows["numaprobe_domain_vcpus"]) == 100
    assert (rows["numaprobe_domains"], rows["numaprobe_omitted_domains"]) == ([((), 101)], [((), 1)])
    groups = [Traffic(group=f"g{number:03}", cache=0, total=1) for number in range(101)]
    assert len(traffic_rows(groups)["numaprobe_traffic_bytes_total"]) == 100
    assert "numaprobe_cpu_info" not in topology_rows(host([GIB]))
    assert len(topology_rows(host([GIB]), cpu_info=True)["numaprobe_cpu_info"]) == 8


def test_a_name_in_a_label_has_200_characters_at_most() -> None:
    """What is beyond them is cut, after control characters were escaped."""
    for name, shown in (("x" * 200, "x" * 200), ("x" * 201, "x" * 200), ("\x1b" * 60, "\\x1b" * 50)):
        rows = domain_rows([domain(name, 1, id=7)])
        assert rows["numaprobe_domain_vcpus"] == [(("7", shown), 1)]


def test_every_metric_is_whole() -> None:
    """Its kind decides its suffix, and its unit stands in its name."""
    assert len(METRICS) > 40
    for metric in METRICS:
        assert metric.kind in ("gauge", "counter", "info")
        assert metric.name == f"numaprobe_{metric.short}"
        assert metric.name.endswith("_total") is (metric.kind == "counter")
        assert metric.name.endswith("_info") is (metric.kind == "info")
        assert metric.family == metric.name.removesuffix("_total").removesuffix("_info")
        if metric.unit:
            assert metric.family.endswith(f"_{metric.unit}")
        assert {"bytes": "By", "seconds": "s", "pages": "{page}"}.get(metric.unit, metric.ucum) == metric.ucum
