"""Each value of a request at its limits, and the sentence for what is beyond them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from numaprobe import Request

# vcpus and bytes of a small guest.
SMALL: dict[str, Any] = {"vcpus": 4, "memory": 1 << 21}


@pytest.mark.parametrize(
    "asked",
    [
        {"vcpus": 1},
        {"vcpus": 8192},
        {"memory": 4096},
        {"memory": 1 << 60},
        {"vcpus": 65536 // 8, "max_cells": 65536},
        {"max_cells": 1},
        {"cells": 4},
        {"cells": 1},
        {"guest_cells": 4},
        {"cells": 2, "guest_cells": 2},
        {"cells": 4, "max_cells": 4},
        {"huge_page": 4096},
        {"huge_page": 1 << 21},
        {"huge_page": 1 << 60, "memory": 1 << 60},
        {"memory": 16384, "cells": 4},
        {"memory": 1 << 22, "cells": 2, "huge_page": 1 << 21},
        {"pinned_vcpus": [0, 3]},
        {"emulator": 1},
        {"emulator": 8192},
        {"emulator": [0, 65535]},
        {"near": 0},
        {"near": 65536},
        {"smt": "isolate", "cores": True},
    ],
)
def test_what_is_just_within_the_limits(asked: dict[str, Any]) -> None:
    """The last value on each side of every limit is a request."""
    request = Request(**{**SMALL, **asked})
    assert request.vcpus == {**SMALL, **asked}["vcpus"]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"vcpus": 0}, "vcpus must be from 1 to 8192, not 0"),
        ({"vcpus": 8193}, "vcpus must be from 1 to 8192, not 8193"),
        ({"memory": 4095}, "memory must be from 4096 to 1152921504606846976 bytes, not 4095"),
        ({"memory": (1 << 60) + 1}, "memory must be from 4096 to 1152921504606846976 bytes, not 1152921504606846977"),
        ({"cells": 0}, "cells must be from 1 to 65536, not 0"),
        ({"max_cells": 0}, "max_cells must be from 1 to 65536, not 0"),
        ({"max_cells": 65537}, "max_cells must be from 1 to 65536, not 65537"),
        ({"guest_cells": 65537}, "guest_cells must be from 1 to 65536, not 65537"),
        ({"huge_page": 2048}, "huge_page must be from 4096 to 1152921504606846976, not 2048"),
        ({"huge_page": 1 << 61}, "huge_page must be from 4096 to 1152921504606846976, not 2305843009213693952"),
        ({"huge_page": 12288}, "huge_page must be a power of two, not 12288"),
        ({"huge_page": 1 << 22}, "memory of 2 MiB is not a whole number of huge pages of 4 MiB"),
        ({"cells": 2, "guest_cells": 3}, "3 guest cells need 3 cells, not 2"),
        ({"cells": 3, "max_cells": 2}, "3 cells are more than the 2 allowed"),
        ({"guest_cells": 2, "max_cells": 1}, "2 cells are more than the 1 allowed"),
        ({"cells": 5}, "5 cells need at least 5 vcpus, not 4"),
        ({"cells": 4, "memory": 16383}, "memory of 16.0 KiB is too little for 4 cells"),
        ({"cells": 2, "huge_page": 1 << 21}, "memory of 2 MiB is too little for 2 cells"),
        ({"policy": "first"}, "policy must be one of pack, balance, spread, not 'first'"),
        ({"smt": "maybe"}, "smt must be one of share, avoid, isolate, require, not 'maybe'"),
        ({"smt": "share", "cores": True}, "cores means smt isolate: it cannot be combined with smt share"),
        ({"kinds": "ram"}, "a kind of memory must be one of cxl, dax, gpu, not 'ram'"),
        ({"pinned_vcpus": [4]}, "pinned_vcpus must be from 0 to 3, not 4"),
        ({"pinned_vcpus": [-1]}, "pinned_vcpus must be from 0 to 3, not -1"),
        (
            {"pinned_vcpus": [1], "pinned": True},
            "pinned already pins every vcpu: give pinned or pinned_vcpus, not both",
        ),
        ({"emulator": 0}, "emulator must be from 1 to 8192, not 0"),
        ({"emulator": 8193}, "emulator must be from 1 to 8192, not 8193"),
        ({"emulator": [65536]}, "emulator must be from 0 to 65535, not 65536"),
        ({"emulator": [-1]}, "emulator must be from 0 to 65535, not -1"),
        ({"near": -1}, "near must be from 0 to 65536, not -1"),
        ({"near": 65537}, "near must be from 0 to 65536, not 65537"),
    ],
)
def test_what_no_host_can_satisfy(asked: dict[str, Any], text: str) -> None:
    """The sentence has the name of the argument, its limits and what was given."""
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        Request(**{**SMALL, **asked})


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"vcpus": True}, "vcpus must be an int, not True"),
        ({"vcpus": "4"}, "vcpus must be an int, not '4'"),
        ({"memory": 4096.0}, "memory must be an int in bytes, not 4096.0"),
        ({"memory": True}, "memory must be an int in bytes, not True"),
        ({"cells": 1.0}, "cells must be an int, not 1.0"),
        ({"name": ""}, "name must be a non-empty string, not ''"),
        ({"name": 7}, "name must be a non-empty string, not 7"),
        ({"near": [""]}, "near must be a non-empty string, not ''"),
        ({"away_from": ["a", 7]}, "away_from must be a non-empty string, not 7"),
        ({"together_with": [""]}, "together_with must be a non-empty string, not ''"),
        ({"kinds": [7]}, "kinds must be a non-empty string, not 7"),
        ({"pinned_vcpus": 1}, "pinned_vcpus must be a sequence of ints, not 1"),
        ({"pinned_vcpus": "01"}, "pinned_vcpus must be a sequence of ints, not '01'"),
        ({"pinned_vcpus": b"01"}, "pinned_vcpus must be a sequence of ints, not b'01'"),
        ({"pinned_vcpus": ["0"]}, "pinned_vcpus must be an int, not '0'"),
        ({"emulator": 1.5}, "emulator must be a sequence of ints, not 1.5"),
        *[
            ({name: 1}, f"{name} must be true or false, not 1")
            for name in ("cores", "pinned", "memory_only", "nearest", "fewest", "vfio")
        ],
    ],
)
def test_values_of_the_wrong_type(asked: dict[str, Any], text: str) -> None:
    """True is a number to Python, and no number of vcpus."""
    with pytest.raises(TypeError, match=f"^{re.escape(text)}$"):
        Request(**{**SMALL, **asked})


def test_what_is_not_said_is_the_default() -> None:
    """A guest that floats and may be anywhere, on as many cells as it takes, and the fullest are filled first."""
    assert Request(4, 8192)._asdict() == {
        "vcpus": 4,
        "memory": 8192,
        "name": None,
        "huge_page": None,
        "cores": False,
        "pinned": False,
        "cells": None,
        "max_cells": None,
        "near": (),
        "away_from": (),
        "together_with": (),
        "guest_cells": None,
        "memory_only": False,
        "nearest": False,
        "policy": "pack",
        "smt": None,
        "pinned_vcpus": (),
        "emulator": None,
        "fewest": False,
        "kinds": (),
        "vfio": False,
    }


@pytest.mark.parametrize(
    ("asked", "dedicated", "exclusive", "pinned", "cores"),
    [
        ({}, False, 0, False, False),
        ({"pinned": True}, True, 4, True, False),
        ({"cores": True}, True, 4, False, True),
        ({"smt": "isolate"}, True, 4, False, True),
        ({"smt": "require"}, True, 4, True, False),
        ({"smt": "avoid"}, False, 0, False, False),
        ({"pinned_vcpus": [2, 1]}, False, 2, False, False),
        ({"pinned_vcpus": [2, 1], "smt": "require"}, False, 2, False, False),
        ({"pinned_vcpus": [2, 1], "cores": True}, False, 2, False, True),
        ({"pinned_vcpus": [3, 2, 1, 0]}, True, 4, True, False),
        ({"pinned_vcpus": []}, False, 0, False, False),
    ],
)
def test_whose_cpus_are_no_other_guest_s(
    asked: dict[str, Any], dedicated: bool, exclusive: int, pinned: bool, cores: bool
) -> None:
    """Pinned vcpus and those with cores have theirs alone; all of them listed is the same as pinned."""
    request = Request(**SMALL, **asked)
    assert (request.dedicated, request.exclusive, request.pinned, request.cores) == (
        dedicated,
        exclusive,
        pinned,
        cores,
    )


@pytest.mark.parametrize(
    ("emulator", "kept", "cpus"),
    [(None, None, 0), (3, 3, 3), ([5, 2, 5], (2, 5), 0), ([], None, 0), ((0,), (0,), 0)],
)
def test_cpus_of_an_emulator_are_a_number_or_a_set(emulator: Any, kept: object, cpus: int) -> None:
    """Those of a set are shared, so none is its own."""
    request = Request(**SMALL, emulator=emulator)
    assert (request.emulator, request.emulator_cpus) == (kept, cpus)


@pytest.mark.parametrize(
    ("asked", "parts"), [({}, None), ({"cells": 2}, 2), ({"guest_cells": 3}, 3), ({"cells": 2, "guest_cells": 2}, 2)]
)
def test_equal_shares_are_asked_for_by_cells_of_the_host_or_of_the_guest(
    asked: dict[str, Any], parts: int | None
) -> None:
    """Both at once are the same number."""
    assert Request(**SMALL, **asked).parts == parts


@pytest.mark.parametrize(
    ("memory", "huge_page", "granule"),
    [((64 << 20) - 1, None, 4096), (64 << 20, None, 2 << 20), (1 << 30, 1 << 30, 1 << 30), (64 << 20, 4096, 4096)],
)
def test_memory_is_split_in_granules_of_2_mib_from_64_mib_on(memory: int, huge_page: int | None, granule: int) -> None:
    """Or in huge pages, whatever their size."""
    assert Request(1, memory, huge_page=huge_page).granule == granule


def test_names_are_one_or_several() -> None:
    """One name is a list of one."""
    request = Request(**SMALL, near="eth0", away_from="a", together_with=["b", "c"], kinds=("cxl", "gpu"), name="g")
    assert (request.near, request.away_from, request.together_with) == (("eth0",), ("a",), ("b", "c"))
    assert (request.kinds, request.name) == (("cxl", "gpu"), "g")
    assert Request(**SMALL, kinds="dax", near=3).kinds == ("dax",)
