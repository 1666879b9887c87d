"""``/proc/cpuinfo`` of each architecture, and of none."""

from __future__ import annotations

import pytest

from numaprobe.linux.cpuinfo import of_cpuinfo


def x86(flags: str, *, first: str = "vendor_id\t: GenuineIntel", more: str = "") -> str:
    return f"processor\t: 0\n{first}\n{more}flags\t\t: {flags}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (x86("fpu lm sse"), "x86_64"),
        (x86("fpu sse"), "i686"),
        (x86("fpu lm", more="fdiv_bug\t: no\n"), "i686"),
        (x86("fpu lm sse", first="cpu\t: other"), None),
        (x86("fpu lmx"), "i686"),
        ("vendor_id\t: x\nflags\t: lm\n", "x86_64"),
        ("vendor_id\t: x\nflags_more\t: lm\n", None),
        ("vendor_id\t: x\nflags\t: fpu\nother\t: lm\n", "i686"),
        ("processor\t: 0\nvendor_id\t: x\nflags_of\t: lm\nflags\t: fpu\n", "i686"),
        ("processor\t: 0\nvendor_id\t: x\nflags lm\nflags : fpu\n", "i686"),
        ("flags\t: fpu lm\nvendor_id\t: x\n", "x86_64"),
        ("CPU implementer\t: 0x41\nFeatures\t: fp asimd\nCPU architecture: 8\n", "aarch64"),
        ("CPU implementer\t: 0x41\nFeatures\t: half thumb neon\nCPU architecture: 7\n", "armv7l"),
        ("CPU implementer\t: 0x41\nFeatures\t: half thumb\nCPU architecture: 6\n", None),
        ("CPU implementer\t: 0x41\n", None),
        ("Features\t: fp asimd\nCPU architecture: 7\n", None),
        ("vendor_id\t: IBM/S390\nfacilities\t: 0 1\n", "s390x"),
        ("vendor_id\t: IBM/S390\nfeatures\t: esan3\n", None),
        ("vendor\t: GenuineIntel\narch\t: IA-64\nfamily\t: 32\n", "ia64"),
        ("vendor\t: GenuineIntel\nfamily\t: IA-64\n", "ia64"),
        ("arch\t: other\nfamily\t: IA-64\n", None),
        ("cpu\t\t: Alpha\ncpu model\t: EV56\n", "alpha"),
        ("hart\t: 0\nisa\t: rv64imafdc\n", "riscv64"),
        ("hart\t: 0\nisa\t: rv32ima\n", "riscv32"),
        ("isa\t: rv128i\n", None),
        ("ISA\t: loongarch32 loongarch64\n", "loongarch64"),
        ("ISA\t: loongarch32\n", None),
        ("cpu\t: POWER4 (gp)\n", "ppc64"),
        ("cpu\t: POWER6 (architected)\n", "ppc64"),
        ("cpu\t: PPC970MP, altivec supported\n", "ppc64"),
        ("cpu\t: Cell Broadband Engine\n", "ppc64"),
        ("cpu\t: POWER9, altivec supported\n", None),
        ("no colon at all\n", None),
        ("cpu\t: Alpha\ncpu\t: POWER4\n", "alpha"),
        ("x\n" * 32_762 + "cpu : Alpha\n", "alpha"),
        ("x\n" * 32_763 + "cpu : Alpha\n", None),
        ("", None),
    ],
)
def test_the_architecture_is_what_only_its_kernel_writes(content: str, word: str | None) -> None:
    """None for what more than one writes; 64 kB of the text are enough for the first CPU."""
    assert of_cpuinfo(content) == word


def test_cpus_without_an_order_are_still_looked_up() -> None:
    """Of two lines of one name the first counts, as of several CPUs."""
    assert of_cpuinfo("vendor_id : x\nflags : lm\nvendor_id : y\nflags : fpu\n") == "x86_64"
