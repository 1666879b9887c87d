"""What operators deploy, by the schemas of those it is for: Kubernetes, Grafana, systemd."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "packaging" / "systemd" / "numaprobe.service"
DAEMONSET = ROOT / "packaging" / "kubernetes" / "daemonset.yaml"


def daemonset() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DAEMONSET.read_text("utf-8"))
    return document


def test_kubernetes_schema_accepts_the_daemonset() -> None:
    """Validation is strict: a field that the schema does not know is an error."""
    validate = pytest.importorskip("kubernetes_validate", reason="the schema is in PyPI's kubernetes-validate")
    validate.validate(daemonset(), "1.33", strict=True)
    broken = daemonset()
    broken["spec"]["template"]["spec"]["hostPid"] = True
    with pytest.raises(validate.ValidationError):
        validate.validate(broken, "1.33", strict=True)


def test_the_daemonset_mounts_what_its_command_reads() -> None:
    """Read-only, and below the directory that --root names."""
    spec = daemonset()["spec"]["template"]["spec"]
    [container] = spec["containers"]
    root = container["args"][container["args"].index("--root") + 1]
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {f"{root}/sys", f"{root}/proc"}
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}


def test_grafanas_own_types_read_the_dashboard() -> None:
    """They must find every panel in it, since unknown ones are dropped silently."""
    dashboards = pytest.importorskip(
        "grafana_foundation_sdk.models.dashboard", reason="the types are in PyPI's grafana-foundation-sdk"
    )
    pytest.importorskip("grafana_foundation_sdk.cog.plugins").register_default_plugins()
    document = json.loads((ROOT / "numaprobe" / "contrib" / "data" / "dashboard.json").read_text("utf-8"))
    read = dashboards.Dashboard.from_json(document)
    assert read.title == document["title"]
    assert [panel.title for panel in read.panels or ()] == [panel["title"] for panel in document["panels"]]


def test_systemd_finds_nothing_wrong_in_the_unit(tmp_path: Path) -> None:
    """Its own check, with the program where it is here."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here (Debian's systemd)")
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text("utf-8").replace("/usr/bin/numaprobe", "/bin/true"), "utf-8")
    run = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (run.returncode, [line for line in run.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_the_unit_runs_nothing_that_a_small_system_does_not_have() -> None:
    """``kill`` is of procps, which a minimal Debian has not: reloading failed there with 203/EXEC."""
    programs = re.findall(r"^Exec\w+=(\S+)", UNIT.read_text("utf-8"), re.M)
    assert set(programs) == {"/usr/bin/numaprobe", "/bin/sh"}
