"""What is asked for: one guest. A request that exists makes sense on some host."""

from __future__ import annotations

from collections import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

POLICIES = ("pack", "balance", "spread")
PAGE = 4096
# QEMU 9 takes 4096 vcpus on its largest machine (hw/i386/pc_q35.c), Xen 8192 (XEN_LEGACY_MAX_VCPUS and its successors).
MAX_VCPUS = 8192
MAX_MEMORY = 1 << 60


class Request(
    namedtuple(
        "Request",
        "vcpus memory name huge_page cores pinned cells max_cells near away_from together_with guest_cells memory_only"
        " nearest policy",
    )
):
    """One guest to find a place for: ``vcpus`` and ``memory`` bytes, and wishes.

    ``huge_page``: the memory is to be of huge pages of that many bytes. ``pinned``: each vcpu gets a cpu to itself;
    otherwise all float on the cells' cpus. ``cores``: each vcpu gets a whole core, whose other threads stay idle.
    ``cells``: exactly so many cells, each with an equal share; ``max_cells``: at most so many. ``near``: the address
    of a PCI device, ``dddd:bb:dd.f``. ``away_from`` and ``together_with``: names of domains whose cells are avoided,
    or the only ones used. ``guest_cells``: so many NUMA cells in the guest, each on a cell of its own.
    ``memory_only``: cells without cpus may be used. ``nearest``: more cells than necessary may be used if an access is
    cheaper on average then, as with three neighbours for two that are far apart. ``policy`` decides between sets of
    cells that are otherwise alike, as long as no set keeps more guests off each other's cores: ``pack`` takes the one
    of which least is left, which keeps large rooms for large guests; ``balance`` the one whose scarcer resource is
    least used afterwards; ``spread`` the one that is emptiest by all of them together.

    Raises ``ValueError`` for what no host could give, and ``TypeError`` for what is not a number.
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
    near: str | None
    away_from: tuple[str, ...]
    together_with: tuple[str, ...]
    guest_cells: int | None
    memory_only: bool
    nearest: bool
    policy: str

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
        near: str | None = None,
        away_from: str | Iterable[str] = (),
        together_with: str | Iterable[str] = (),
        guest_cells: int | None = None,
        memory_only: bool = False,
        nearest: bool = False,
        policy: str = "pack",
    ) -> Request:
        _check(vcpus, memory, huge_page, cells, max_cells, guest_cells, policy)
        return super().__new__(
            cls,
            vcpus,
            memory,
            None if name is None else _text("name", name),
            huge_page,
            _yes_or_no("cores", cores),
            _yes_or_no("pinned", pinned),
            cells,
            max_cells,
            None if near is None else _text("near", near),
            _names("away_from", away_from),
            _names("together_with", together_with),
            guest_cells,
            _yes_or_no("memory_only", memory_only),
            _yes_or_no("nearest", nearest),
            policy,
        )

    @property
    def dedicated(self) -> bool:
        """Whether every vcpu gets cpus that no other guest of a plan gets."""
        return self.pinned or self.cores

    @property
    def parts(self) -> int | None:
        """How many cells must have an equal share each; None where any split will do."""
        return self.guest_cells or self.cells

    @property
    def granule(self) -> int:
        """Bytes that memory is split in: a huge page, or 2 MiB, a page table's entry and Xen's superpage."""
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
    _whole("memory", memory, PAGE, MAX_MEMORY)
    for label, count in (("cells", cells), ("max_cells", max_cells), ("guest_cells", guest_cells)):
        if count is not None:
            _whole(label, count, 1, 1 << 16)
    if huge_page is not None:
        _whole("huge_page", huge_page, PAGE, MAX_MEMORY)
        if huge_page & (huge_page - 1):
            raise ValueError(f"huge_page is a power of two, not {huge_page}")
        if memory % huge_page:
            raise ValueError(f"memory of {memory} bytes is not a whole number of huge pages of {huge_page}")
    if cells is not None and guest_cells is not None and cells != guest_cells:
        raise ValueError(f"{guest_cells} guest cells take as many cells, not {cells}")
    parts = guest_cells or cells
    if parts is not None:
        if max_cells is not None and parts > max_cells:
            raise ValueError(f"{parts} cells are more than the {max_cells} allowed")
        if parts > vcpus:
            raise ValueError(f"{vcpus} vcpus are too few for {parts} cells")
        if memory < parts * (huge_page or PAGE):
            raise ValueError(f"memory of {memory} bytes is too little for {parts} cells")
    if policy not in POLICIES:
        raise ValueError(f"a policy is one of {', '.join(POLICIES)}, not {policy!r}")


def _whole(label: str, value: int, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{label} is a whole number, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{label} is from {least} to {most}, not {value}")


def _text(label: str, value: str) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{label} is a word, not {value!r}")
    return value


def _yes_or_no(label: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{label} is true or false, not {value!r}")
    return value


def _names(label: str, names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple([_text(label, name) for name in ((names,) if isinstance(names, str) else names)])
