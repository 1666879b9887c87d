"""``/proc/cpuinfo``: which architecture a kernel was built for."""

from __future__ import annotations


def of_cpuinfo(text: str) -> str | None:
    """The architecture whose kernel writes a ``/proc/cpuinfo`` like this; None for what more than one writes.

    The forms of ppc64le and ppc64 are the same, except on processors before POWER7, which ppc64le does not support.
    """
    # As nearly all machines have it; the other fields are then not looked at.
    before, _, rest = text.partition("\nflags")
    if "\nvendor_id" in before and "\nfdiv_bug" not in text:
        blank, colon, flags = rest.partition("\n")[0].partition(":")
        if colon and not blank.strip() and "lm" in flags.split():
            return "x86_64"
    fields: dict[str, str] = {}
    for line in text[:65536].splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    words = fields.get("flags", "").split()
    if words and "vendor_id" in fields:
        # The two bugs are listed by 32-bit kernels alone (arch/x86/kernel/cpu/proc.c).
        narrow = "fdiv_bug" in fields or "lm" not in words
        return "i686" if narrow else "x86_64"
    if "cpu implementer" in fields:
        # 32-bit kernels call these half, thumb, neon.
        if "asimd" in fields.get("features", "").split():
            return "aarch64"
        return "armv7l" if fields.get("cpu architecture") == "7" else None
    if fields.get("vendor_id") == "IBM/S390":
        # Seen in recordings of newer kernels only; older ones may be of 31 bits.
        return "s390x" if "facilities" in fields else None
    if fields.get("arch", fields.get("family")) == "IA-64":
        return "ia64"
    if fields.get("cpu") == "Alpha":
        return "alpha"
    if fields.get("isa", "").startswith(("rv64", "rv32")):
        return f"riscv{fields['isa'][2:4]}"
    if "loongarch64" in fields.get("isa", ""):
        return "loongarch64"
    if fields.get("cpu", "").startswith(("POWER4", "POWER5", "POWER6", "PPC970", "Cell")):
        return "ppc64"
    return None
