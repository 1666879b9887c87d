"""What is requested: one guest. A request that can be constructed fits on some host."""

from __future__ import annotations

from ..model.devices import pci_address
from ..named import namedtuple
from ..wording import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

POLICIES = ("pack", "balance", "spread")
SMT = ("share", "avoid", "isolate", "require")
KINDS = ("cxl", "dax", "gpu")
PAGE = 4096
# QEMU 9 takes 4096 vcpus on its largest machine (hw/i386/pc_q35.c), Xen 8192 (XEN_LEGACY_MAX_VCPUS and its successors).
MAX_VCPUS = 8192
MAX_MEMORY = 1 << 60
MAX_CPU = 1 << 16


class Request(
    namedtuple(
        "Request",
        "vcpus memory name huge_page cores pinned cells max_cells near away_from together_with guest_cells memory_only"
        " nearest policy smt pinned_vcpus emulator fewest kinds vfio",
    )
):
    """One guest to place: ``vcpus``, ``memory`` in bytes, and constraints.

    ``pinned``: each vcpu gets a CPU that no other guest gets; otherwise all float on the CPUs of their cells.
    ``pinned_vcpus``: only these vcpus are pinned, and the others float. ``emulator``: that many CPUs for the emulator's
    threads, which no other guest gets; or a set of CPU ids that they share with others. ``smt`` says what counts as a
    CPU: ``share``, each thread; ``avoid``, each core, whose other threads remain available to others; ``isolate``
    (the same as ``cores=True``), each core, whose other threads stay idle; ``require``, threads of cores that have at
    least two available. ``isolate`` and ``require`` pin. None counts cores where nearby cells have enough of them, and
    threads elsewhere.

    ``huge_page``: use huge pages of that many bytes. ``cells``: exactly that many cells, each with an equal share;
    ``max_cells``: at most that many. ``guest_cells``: that many NUMA cells in the guest, each on a cell of its own.
    ``near``: devices (PCI addresses in any usual form, or names) and cell ids to be near to. ``away_from`` and
    ``together_with``: names of domains whose cells are avoided, or are the only ones used. ``memory_only``: cells
    without CPUs may be used; ordinary memory is taken first, then CXL memory, and GPU memory only if ``kinds`` names
    ``gpu``. ``vfio``: a device is passed through to the guest, so all its memory is pinned and must be outside
    ZONE_MOVABLE, if the host was probed with ``usable=True``; free huge pages of the pool count in full.
    ``fewest``: the fewest cells even if an access costs more; ``nearest`` has no effect on one host;
    for several hosts (``numaprobe fleet``) it chooses the host with the cheapest access, whatever room others lose.
    ``policy`` decides between sets of cells that are otherwise equal: ``pack`` takes the one with the least left, which
    keeps large cells for large guests; ``balance`` the one whose scarcer resource is least used afterwards; ``spread``
    the one that is emptiest by all resources together.

    Raises ``ValueError`` for a request that no host can satisfy, and ``TypeError`` for a value of the wrong type.
    """

    __slots__ = ()
    vcpus: int
    memory: int
    name: str | None
    huge_page: int | None
    cores: bool
    pinned: bool
    cells: int | None
    max_cells: int | None
    near: tuple[str | int, ...]
    away_from: tuple[str, ...]
    together_with: tuple[str, ...]
    guest_cells: int | None
    memory_only: bool
    nearest: bool
    policy: str
    smt: str | None
    pinned_vcpus: tuple[int, ...]
    emulator: int | tuple[int, ...] | None
    fewest: bool
    kinds: tuple[str, ...]
    vfio: bool

    def __new__(
        cls,
        vcpus: int,
        memory: int,
        name: str | None = None,
        huge_page: int | None = None,
        cores: bool = False,
        pinned: bool = False,
        cells: int | None = None,
        max_cells: int | None = None,
        near: str | int | Iterable[str | int] | None = None,
        away_from: str | Iterable[str] = (),
        together_with: str | Iterable[str] = (),
        guest_cells: int | None = None,
        memory_only: bool = False,
        nearest: bool = False,
        policy: str = "pack",
        smt: str | None = None,
        pinned_vcpus: Iterable[int] = (),
        emulator: int | Iterable[int] | None = None,
        fewest: bool = False,
        kinds: str | Iterable[str] = (),
        vfio: bool = False,
    ) -> Request:
        _check(vcpus, memory, huge_page, cells, max_cells, guest_cells, policy)
        _yes_or_no("cores", cores)
        _yes_or_no("pinned", pinned)
        smt = _smt(smt, cores=cores)
        mixed = _ids("pinned_vcpus", pinned_vcpus, vcpus)
        if mixed and pinned:
            raise ValueError("pinned already pins every vcpu: give pinned or pinned_vcpus, not both")
        if mixed and len(mixed) == vcpus:
            mixed, pinned = (), True
        return super().__new__(
            cls,
            vcpus=vcpus,
            memory=memory,
            name=None if name is None else _text("name", name),
            huge_page=huge_page,
            cores=smt == "isolate",
            pinned=pinned or (smt == "require" and not mixed),
            cells=cells,
            max_cells=max_cells,
            near=_near(near),
            away_from=_names("away_from", away_from),
            together_with=_names("together_with", together_with),
            guest_cells=guest_cells,
            memory_only=_yes_or_no("memory_only", memory_only),
            nearest=_yes_or_no("nearest", nearest),
            policy=policy,
            smt=smt,
            pinned_vcpus=mixed,
            emulator=_emulator(emulator),
            fewest=_yes_or_no("fewest", fewest),
            kinds=_kinds(kinds),
            vfio=_yes_or_no("vfio", vfio),
        )

    @property
    def dedicated(self) -> bool:
        """Whether every vcpu gets CPUs that no other guest gets."""
        return (self.pinned or self.cores) and not self.pinned_vcpus

    @property
    def exclusive(self) -> int:
        """How many vcpus get CPUs that no other guest gets."""
        return self.vcpus if self.pinned or (self.cores and not self.pinned_vcpus) else len(self.pinned_vcpus)

    @property
    def emulator_cpus(self) -> int:
        """How many CPUs the emulator's threads get that no other guest gets."""
        return self.emulator if isinstance(self.emulator, int) else 0

    @property
    def parts(self) -> int | None:
        """How many cells get an equal share each; None where any split is allowed."""
        return self.guest_cells or self.cells

    @property
    def granule(self) -> int:
        """Unit in bytes in which memory is split: a huge page, or 2 MiB (a page table entry, and Xen's superpage)."""
        return self.huge_page or (2 << 20 if self.memory >= 64 << 20 else PAGE)


def _check(
    vcpus: int,
    memory: int,
    huge_page: int | None,
    cells: int | None,
    max_cells: int | None,
    guest_cells: int | None,
    policy: str,
) -> None:
    _whole("vcpus", vcpus, 1, MAX_VCPUS)
    if not isinstance(memory, int) or isinstance(memory, bool):
        raise TypeError(f"memory must be an int in bytes, not {memory!r}")
    if not PAGE <= memory <= MAX_MEMORY:
        raise ValueError(f"memory must be from {PAGE} to {MAX_MEMORY} bytes, not {memory}")
    for label, count in (("cells", cells), ("max_cells", max_cells), ("guest_cells", guest_cells)):
        if count is not None:
            _whole(label, count, 1, 1 << 16)
    if huge_page is not None:
        _whole("huge_page", huge_page, PAGE, MAX_MEMORY)
        if huge_page.bit_count() != 1:
            raise ValueError(f"huge_page must be a power of two, not {huge_page}")
        if memory % huge_page:
            raise ValueError(f"memory of {size(memory)} is not a whole number of huge pages of {size(huge_page)}")
    if cells is not None and guest_cells is not None and cells != guest_cells:
        raise ValueError(f"{guest_cells} guest cells need {guest_cells} cells, not {cells}")
    parts = guest_cells or cells
    if parts is not None:
        if max_cells is not None and parts > max_cells:
            raise ValueError(f"{parts} cells are more than the {max_cells} allowed")
        if parts > vcpus:
            raise ValueError(f"{parts} cells need at least {parts} vcpus, not {vcpus}")
        if memory < parts * (huge_page or PAGE):
            raise ValueError(f"memory of {size(memory)} is too little for {parts} cells")
    if policy not in POLICIES:
        raise ValueError(f"policy must be one of {', '.join(POLICIES)}, not {policy!r}")


def _whole(label: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{label} must be an int, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{label} must be from {least} to {most}, not {value}")


def _text(label: str, value: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{label} must be a non-empty string, not {value!r}")
    return value


def _yes_or_no(label: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{label} must be true or false, not {value!r}")
    return value


def _names(label: str, names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple([_text(label, name) for name in ((names,) if isinstance(names, str) else names)])


def _ids(label: str, ids: Iterable[int], end: int) -> tuple[int, ...]:
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
        raise TypeError(f"{label} must be a sequence of ints, not {ids!r}")
    out = set()
    for value in ids:
        _whole(label, value, 0, end - 1)
        out.add(value)
    return tuple(sorted(out))


def _smt(smt: str | None, *, cores: bool) -> str | None:
    if smt is not None and smt not in SMT:
        raise ValueError(f"smt must be one of {', '.join(SMT)}, not {smt!r}")
    if cores and smt not in (None, "isolate"):
        raise ValueError(f"cores means smt isolate: it cannot be combined with smt {smt}")
    return "isolate" if cores else smt


def _near(near: str | int | Iterable[str | int] | None) -> tuple[str | int, ...]:
    if near is None:
        return ()
    out: list[str | int] = []
    for one in (near,) if isinstance(near, (str, int)) else near:
        if isinstance(one, int):
            _whole("near", one, 0, 1 << 16)
            wanted: str | int = one
        else:
            wanted = pci_address(_text("near", one)) or one
        if wanted not in out:
            out.append(wanted)
    return tuple(out)


def _emulator(emulator: int | Iterable[int] | None) -> int | tuple[int, ...] | None:
    if emulator is None or isinstance(emulator, int):
        if emulator is not None:
            _whole("emulator", emulator, 1, MAX_VCPUS)
        return emulator
    return _ids("emulator", emulator, MAX_CPU) or None


def _kinds(kinds: str | Iterable[str]) -> tuple[str, ...]:
    known = _names("kinds", kinds)
    for kind in known:
        if kind not in KINDS:
            raise ValueError(f"a kind of memory must be one of {', '.join(KINDS)}, not {kind!r}")
    return known
