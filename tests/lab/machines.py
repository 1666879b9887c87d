"""The machines of the lab: each is here for one reason, which it carries with it."""

from __future__ import annotations

from dataclasses import dataclass

from .layout import Cache, Layout, Node, Path

# No two values are alike, so that rows and columns cannot be taken for each other.
FOUR_ASYMMETRIC = ((10, 21, 31, 41), (22, 10, 32, 42), (23, 33, 10, 43), (24, 34, 44, 10))
THREE_ASYMMETRIC = ((10, 21, 17), (22, 10, 28), (17, 29, 10))
# Each distance a number of its own as far as the byte that holds it goes.
SIXTEEN = tuple(
    tuple(10 if row == column else (16 * row + column) % 239 + 11 for column in range(16)) for row in range(16)
)
TWO_ASYMMETRIC = ((10, 21), (31, 10))

FOLDER = "@FOLDER@"  # in QEMU's arguments: the folder of the boot
THREADS = "Nehalem,-vmx"  # the one model of QEMU whose hyperthreads both Linux and Xen see


@dataclass(frozen=True)
class Machine:
    """What is booted: hardware, the suite its kernel is of, and what is done before anything is looked at."""

    name: str
    why: str
    layout: Layout
    suite: str = "bookworm"
    options: str = ""  # Linux's command line
    before: str = ""  # shell, as root
    xen: str | None = None  # Xen's command line; None: no hypervisor
    dom0_mib: int = 640
    seconds: int = 300
    modules: tuple[str, ...] = ()  # of the kernel, besides those that every machine loads
    more_work: float = 0  # what its script takes longer than most, in boots of a plain machine

    @property
    def weight(self) -> float:
        """How long it takes, in boots of a plain machine: the longest are booted first, so that none is last alone."""
        cpus = self.layout.cpus / 8
        return cpus + (2.5 if self.xen is not None else 1) + (1.5 if self.xen and self.exports else 0) + self.more_work

    @property
    def exports(self) -> bool:
        """Whether exports are made in it too: each starts Python, which takes an emulated machine seconds."""
        return self.name.endswith(("two-nodes-hole", "four-nodes-memory-only"))

    @property
    def chipset(self) -> str:
        return "q35" if self.xen is None else "pc"

    @property
    def bus(self) -> str:
        return "pcie.0" if self.xen is None else "pci.0"


def _offline(*cpus: int) -> str:
    return "\n".join(f"echo 0 >/sys/devices/system/cpu/cpu{cpu}/online" for cpu in cpus)


LINUX: tuple[Machine, ...] = (
    Machine(
        "one-node",
        "the plain machine: one node has everything",
        Layout((Node(640, ("0-1",)),), cores=2),
    ),
    Machine(
        "two-nodes-threads",
        "hyperthreads: cpus, cores and packages are three different numbers",
        Layout((Node(384, ("0-3",)), Node(320, ("4-7",))), TWO_ASYMMETRIC, 2, 2, 2, cpu=THREADS),
    ),
    Machine(
        "four-nodes-asymmetric",
        "twelve different distances, so that neither rows and columns nor two nodes can be exchanged",
        Layout(
            (Node(256, ("0",)), Node(192, ("1",)), Node(160, ("2",)), Node(128, ("3",))), FOUR_ASYMMETRIC, sockets=4
        ),
    ),
    Machine(
        "memory-only-node",
        "a node without cpus, as CXL and GPU memory are, and nearer to one node than to the other",
        Layout((Node(320, ("0-1",)), Node(256, ("2-3",)), Node(192)), THREE_ASYMMETRIC, 2, 2),
    ),
    Machine(
        "memory-less-node",
        "a node with cpus and no memory, as with an empty memory channel",
        Layout((Node(512, ("0-1",)), Node(0, ("2-3",)), Node(192, ("4-5",))), THREE_ASYMMETRIC, 3, 2),
    ),
    Machine(
        "hmat-two-tiers",
        "ACPI HMAT: a slow memory tier behind a memory-side cache, with latencies and bandwidths",
        Layout(
            (Node(320, ("0-1",), 0), Node(256, ("2-3",), 1), Node(192, (), 0)),
            THREE_ASYMMETRIC,
            2,
            2,
            paths=(
                Path(0, 0, 10, 20000),
                Path(0, 1, 25, 9000),
                Path(0, 2, 250, 1500),
                Path(1, 0, 26, 8000),
                Path(1, 1, 11, 19000),
                Path(1, 2, 400, 1000),
            ),
            caches=(Cache(2, 16384),),
        ),
    ),
    Machine(
        "offline-cpus",
        "cpu 0, one thread of a core and both threads of another are offline",
        Layout((Node(384, ("0-3",)), Node(256, ("4-7",))), TWO_ASYMMETRIC, 2, 2, 2, cpu=THREADS),
        options="cpu0_hotplug",
        before=_offline(0, 3, 6, 7),
    ),
    Machine(
        "huge-pages-one-node",
        "huge pages of two sizes, all of them on the second node",
        Layout((Node(384, ("0",)), Node(2048, ("1",))), TWO_ASYMMETRIC, 2, cpu="qemu64,-svm,+pdpe1gb"),
        options="default_hugepagesz=2M hugepagesz=1G hugepages=1:1",
        before="echo 24 >/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages",
    ),
    Machine(
        "sixteen-nodes-64-cpus",
        "ids of two digits, and a distance table too wide for a glance",
        Layout(
            tuple(Node(96, (f"{4 * n}-{4 * n + 3}",)) for n in range(16)),
            SIXTEEN,
            16,
            4,
        ),
    ),
    Machine(
        "old-kernel",
        "Linux 5.10: no clusters, no tiers, older names for the siblings",
        Layout((Node(320, ("0-3",)), Node(256, ("4-7",)), Node(192)), THREE_ASYMMETRIC, 2, 2, 2, cpu=THREADS),
        suite="bullseye",
    ),
    Machine(
        "new-kernel",
        "Linux 6.12: the newest names, access classes and tiers",
        Layout(
            (Node(320, ("0-3",), 0), Node(256, ("4-7",), 1), Node(192, (), 1)),
            THREE_ASYMMETRIC,
            2,
            2,
            2,
            cpu=THREADS,
            paths=(
                Path(0, 0, 10, 20000),
                Path(0, 1, 25, 9000),
                Path(0, 2, 400, 1000),
                Path(1, 0, 26, 8000),
                Path(1, 1, 11, 19000),
                Path(1, 2, 250, 1500),
            ),
            caches=(Cache(2, 32768),),
        ),
        suite="trixie",
    ),
    Machine(
        "numa-fake",
        "numa=fake=4 cuts one node's memory in four, and every part claims a share of the cpus",
        Layout((Node(768, ("0-3",)),), cores=4),
        options="numa=fake=4",
    ),
    Machine(
        "isolated-cpus",
        "cpus kept from the scheduler and from its tick by the command line",
        Layout((Node(384, ("0-1",)), Node(256, ("2-3",))), TWO_ASYMMETRIC, 2, 2),
        options="isolcpus=1,3 nohz_full=3",
    ),
    Machine(
        "sparse-nodes",
        "node 2 of 0 to 3 is possible and not online: all its memory is reserved by the command line",
        Layout((Node(512, ("0-1",)), Node(128), Node(128), Node(128)), FOUR_ASYMMETRIC, cores=2),
        options="memmap=128M$640M",
    ),
    Machine(
        "offline-memory",
        "a DIMM plugged into a node of its own and never brought online: Linux knows it, no node has it",
        Layout(
            (Node(512, ("0-1",)), Node(256, ("2-3",)), Node(0)),
            THREE_ASYMMETRIC,
            2,
            2,
            more=(
                "-m",
                "768M,slots=2,maxmem=2G",
                "-object",
                "memory-backend-ram,id=dimm,size=256M",
                "-device",
                "pc-dimm,memdev=dimm,node=2",
            ),
        ),
    ),
    Machine(
        "pci-devices",
        "PCI devices behind the host bridges of two nodes, and some of no node",
        Layout(
            (Node(384, ("0-1",)), Node(256, ("2-3",))),
            TWO_ASYMMETRIC,
            2,
            2,
            more=(
                "-device",
                "pxb-pcie,id=bridge0,bus_nr=32,bus=pcie.0,numa_node=0",
                "-device",
                "pcie-root-port,id=port0,bus=bridge0,chassis=1,slot=1",
                "-device",
                "virtio-rng-pci,bus=port0",
                "-device",
                "pxb-pcie,id=bridge1,bus_nr=64,bus=pcie.0,numa_node=1",
                "-device",
                "pcie-root-port,id=port1,bus=bridge1,chassis=2,slot=1",
                "-device",
                "virtio-net-pci,bus=port1",
            ),
        ),
    ),
)

RELEASES = {"4.14": "bullseye", "4.17": "bookworm", "4.20": "trixie"}


def _under_xen(release: str) -> tuple[Machine, ...]:
    def machine(name: str, why: str, layout: Layout, xen: str = "numa=on") -> Machine:
        return Machine(f"xen-{release}-{name}", f"Xen {release}: {why}", layout, RELEASES[release], xen=xen)

    two = Layout(
        (Node(2560, ("0-3",)), Node(1536, ("4-7",))),
        TWO_ASYMMETRIC,
        2,
        4,
        more=(
            "-device",
            "pxb,id=bridge,bus=pci.0,bus_nr=32,numa_node=1",
            "-device",
            "virtio-rng-pci,bus=bridge,addr=1",
        ),
    )
    return (
        machine("one-node", "one node has everything", Layout((Node(1536, ("0-3",)),), cores=4)),
        machine(
            "two-nodes-hole",
            "the second node's span holds the PCI hole, its memory does not; it has a PCI bus of its own",
            two,
        ),
        machine(
            "four-nodes-memory-only",
            "twelve different distances, and a node without cpus",
            Layout((Node(1024, ("0-1",)), Node(768, ("2-3",)), Node(512), Node(640, ("4-5",))), FOUR_ASYMMETRIC, 3, 2),
        ),
        machine(
            "memory-less-node",
            "a node with cpus and no memory",
            Layout((Node(1280, ("0-1",)), Node(0, ("2-3",)), Node(512, ("4-5",))), THREE_ASYMMETRIC, 3, 2),
        ),
        machine(
            "smt-off",
            "the second thread of every core is offline",
            Layout((Node(1024, ("0-3",)), Node(768, ("4-7",))), TWO_ASYMMETRIC, 2, 2, 2, cpu=THREADS),
            "numa=on smt=0",
        ),
        machine("numa-off", "two nodes that the command line hides", two, "numa=off"),
        machine(
            "numa-fake",
            "four nodes that the command line makes of one",
            Layout((Node(2048, ("0-3",)),), cores=4),
            "numa=fake=4",
        ),
    )


XEN = tuple(machine for release in RELEASES for machine in _under_xen(release))
EVERY = {machine.name: machine for machine in LINUX + XEN}
