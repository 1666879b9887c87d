"""Which interface version is asked for, in what order, and what each refusal means."""

from __future__ import annotations

import errno

import pytest
from fake_xen import SRAT, VERSIONS, FakeXen, two_node_pc

from numaprobe.errors import FactError, InterfaceMismatch, SourceDenied, SourceUnavailable
from numaprobe.xen.calls import version
from numaprobe.xen.collect import collect
from numaprobe.xen.facts import XenFacts
from numaprobe.xen.versions import negotiate, negotiate_domctl

SYSCTL, DOMCTL, VERSION, PHYSINFO = 35, 36, 17, 3


def facts_of(xen: FakeXen) -> XenFacts:
    """Facts of a hand-made hypervisor."""
    return collect(xen, SRAT)


@pytest.mark.parametrize("release", VERSIONS)
def test_a_known_release_is_asked_in_its_own_version_at_once(release: str) -> None:
    """No hypercall is wasted where the table knows; 4.10 has two domctl versions."""
    xen = two_node_pc(release)
    found = version(xen)
    xen.made.clear()
    sysctl, _, notes = negotiate(xen, found)
    assert (sysctl.version, notes, len(xen.made)) == (VERSIONS[release][0], (), 1)
    xen.made.clear()
    assert negotiate_domctl(xen, found) == (VERSIONS[release][1], ())
    assert len(xen.made) == (2 if release == "4.10.0" else 1)


def named(release: str, xen: FakeXen) -> FakeXen:
    """The hypervisor under another release's name."""

    def name(self: FakeXen, number: int, command: int) -> None:
        if (number, command) == (VERSION, 0):
            self.release = release
        elif self.release == release:
            self.release = under

    under = xen.release
    xen.before = name
    return xen


def test_an_unknown_release_is_searched_from_the_newest_known_version() -> None:
    """Nothing is odd about a new release with an old interface."""
    facts = facts_of(named("4.31", two_node_pc("4.20")))
    assert (str(facts.version), facts.sysctl_version, facts.notes) == ("4.31.5", 0x15, ())


def test_a_newer_version_is_taken_if_it_is_plausible_and_noted() -> None:
    """It is read in the newest known layout."""
    facts = facts_of(named("4.31", two_node_pc("4.23", sysctl_version=0x19)))
    assert facts.sysctl_version == 0x19
    assert facts.present_pages == (655263, 393184)
    assert facts.notes == (("sysctl", "Xen 4.31.5 speaks version 0x19, newer than any known; it was read as 0x16"),)


def test_a_newer_version_with_another_layout_is_refused() -> None:
    """The version is accepted by Xen, and physinfo is not what the newest known layout says."""
    xen = named("4.31", two_node_pc("4.14", sysctl_version=0x19))
    with pytest.raises(FactError, match="sysctl physinfo: not plausible in interface version 0x19"):
        facts_of(xen)


def test_a_builder_who_changed_the_version_is_noted() -> None:
    """The release is known and speaks another release's version."""
    facts = facts_of(two_node_pc("4.20", sysctl_version=0x16))
    assert facts.notes == (("sysctl", "Xen 4.20.5 speaks version 0x16 where its release had 0x15"),)


@pytest.mark.parametrize("ask", [negotiate, negotiate_domctl])
def test_an_unprivileged_caller_is_told_who_may_ask(ask: object) -> None:
    """EPERM is about the caller, at the first version that is right."""
    xen = two_node_pc(deny={(SYSCTL, PHYSINFO): errno.EPERM, (DOMCTL, 5): errno.EPERM})
    with pytest.raises(SourceDenied, match="only root in a control domain") as caught:
        ask(xen, version(xen))  # type: ignore[operator]
    assert caught.value.errno == errno.EPERM
    assert isinstance(caught.value, PermissionError)


def test_a_xen_without_sysctl_is_unavailable() -> None:
    """ENOSYS is about the hypervisor."""
    xen = two_node_pc(deny={(SYSCTL, PHYSINFO): errno.ENOSYS})
    with pytest.raises(SourceUnavailable, match=r"sysctl: this Xen 4\.17\.5 has no sysctl"):
        facts_of(xen)


def test_a_known_release_that_refuses_everything_has_a_policy_against_it() -> None:
    """FLASK answers EACCES to the right version too."""
    xen = two_node_pc(deny={(SYSCTL, PHYSINFO): errno.EACCES})
    with pytest.raises(SourceDenied, match=r"refused its own interface version.*XSM, FLASK") as caught:
        facts_of(xen)
    assert caught.value.errno == errno.EACCES


def test_an_unknown_release_that_refuses_everything_names_both_reasons() -> None:
    """The versions that were tried are listed, each once, and both causes are possible."""
    xen = named("4.31", two_node_pc("4.23", sysctl_version=0x40))
    with pytest.raises(
        InterfaceMismatch, match=r"0x8 to 0x1e: it is newer than that, or its security policy"
    ) as caught:
        facts_of(xen)
    assert sorted(caught.value.tried) == list(range(0x08, 0x1F))
    assert caught.value.tried[0] == 0x16
    assert xen.made.count((SYSCTL, PHYSINFO)) == len(caught.value.tried)


def test_a_xen_that_is_too_old_is_not_asked() -> None:
    """Before 4.1 there is no numainfo."""
    xen = two_node_pc(release="4.0")
    with pytest.raises(InterfaceMismatch, match=r"Xen 4\.0\.5 is too old"):
        facts_of(xen)
    assert {number for number, _ in xen.made} == {VERSION}
