"""One embedded ledger for all tests of the fleet: a process has one; each test has hosts of its own in it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ledger_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ledger")


@pytest.fixture
def ledger(ledger_directory: Path) -> object:
    """The real Placement in this process."""
    pytest.importorskip("placement", reason="needs numaprobe[openstack-embedded]")
    pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")
    from numaprobe.contrib.openstack.embedded import embedded

    return embedded(ledger_directory)


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """What the names of this test's hosts begin with."""
    return f"{request.node.name}-"
