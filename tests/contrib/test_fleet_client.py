"""What an answer of Placement that is none is raised as."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("keystoneauth1", reason="needs numaprobe[openstack]")

from numaprobe.contrib.openstack.client import _age, _failure, _short
from numaprobe.contrib.openstack.errors import Conflict, FleetError, NotThere, Unheard


def failure(status: int, document: Any, reason: str = "") -> FleetError:
    def json() -> Any:
        if document is None:
            raise ValueError("no JSON")
        return document

    return _failure("PUT", "http://placement", "/x", SimpleNamespace(status_code=status, reason=reason, json=json))


def error(detail: str, code: str | None = "placement.undefined_code") -> dict[str, Any]:
    return {"errors": [{"detail": detail, **({"code": code} if code else {})}]}


@pytest.mark.parametrize(
    ("status", "detail", "code", "kind"),
    [
        (409, "provider generation conflict", "placement.concurrent_update", Conflict),
        (400, "No such trait CUSTOM_X", "c", Unheard),
        (400, "Unknown resource class in inventory", "c", Unheard),
        (400, "JSON does not validate", "c", FleetError),
        (404, "No resource provider with uuid", "c", NotThere),
        (404, "not found", None, FleetError),
        (406, "Unacceptable version header", "c", FleetError),
        (401, "The request you have made requires authentication", "c", FleetError),
        (500, "The server has either erred", "c", FleetError),
    ],
)
def test_each_status_has_its_error_with_the_servers_words(
    status: int, detail: str, code: str | None, kind: type[FleetError]
) -> None:
    """Callers retry a conflict, create what is unheard of, and give up otherwise."""
    found = failure(status, error(detail, code))
    assert type(found) is kind
    assert detail in str(found)
    assert ("microversion 1." in str(found)) == (status == 406)
    assert (f"PUT http://placement/x: {status}: " in str(found)) == (status != 406)
    if isinstance(found, Conflict):
        assert found.code == code


@pytest.mark.parametrize("document", [None, {}, {"errors": []}, {"errors": [{}]}, [], "x"])
def test_an_answer_without_an_error_of_its_own_has_the_reason_of_its_status(document: Any) -> None:
    """As a proxy's page in between."""
    found = failure(503, document, "Service Unavailable")
    assert str(found) == "PUT http://placement/x: 503: Service Unavailable"


def test_words_of_the_server_are_one_line_of_bounded_length() -> None:
    """A proxy may answer with a page of HTML, which would fill a log."""
    assert _short(" a\n b\tc ") == "a b c"
    long = _short("x" * 5000)
    assert long.endswith("x...")
    assert _short(long) == long
    assert _short("x" * len(long)) == "x" * len(long)
    assert _short("x" * (len(long) + 1)) == long


def test_an_age_is_between_two_times_of_the_server() -> None:
    """The local clock may be wrong, and without both headers the age is unknown."""
    then, now = "Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:01:30 GMT"
    assert _age({"date": now, "last-modified": then}) == 90
    for headers in ({}, {"date": now}, {"last-modified": then}, {"date": now, "last-modified": "x"}):
        assert _age(headers) is None
