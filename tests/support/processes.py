"""Trees of guests: processes with their files in /proc and their control groups."""

from __future__ import annotations

import trees
from trees import Machine, Shelf

from numaprobe.linux.collect import collect as collect_host
from numaprobe.linux.guests.collect import collect
from numaprobe.model.domains import Domains
from numaprobe.normalise.domains import from_guests
from numaprobe.normalise.linux import from_linux

MIB = 1 << 20


GROUP = "sys/fs/cgroup/machine.slice/vm1.scope"


MAPS = """\
55d000000000 default file=/usr/bin/qemu-system-x86_64 mapped=900 active=0 N0=900 kernelpagesize_kB=4
55d000400000 default file=/usr/bin/qemu-system-x86_64 anon=7 dirty=7 active=0 N1=7 kernelpagesize_kB=4
55d000500000 default heap anon=1000 dirty=1000 N0=400 N1=600 kernelpagesize_kB=4
7f0000000000 bind:1 anon=24576 dirty=24576 active=0 N1=24576 kernelpagesize_kB=4
7f1000000000 default
7f2000000000 default file=/usr/lib/libc.so.6 anon=3 dirty=3 mapped=10 N0=6 N1=4 kernelpagesize_kB=4
7f3000000000 default stack anon=5 dirty=5 active=1 N0=5 kernelpagesize_kB=4
"""


PRIVATE = {0: (400 + 5) * 4096, 1: (7 + 600 + 24576) * 4096}


UNPLACED = 3 * 4096


RESIDENT_KB = (7 + 1000 + 24576 + 3 + 5) * 4


QEMU = (
    "/usr/bin/qemu-system-x86_64\0-name\0guest=vm1,debug-threads=on\0-S\0-uuid\0AAAAAAAA-0000-1111-2222-333333333333\0"
    "-m\x0096\0-smp\x002,maxcpus=4\0-object\0memory-backend-ram,id=m0,size=96M,host-nodes=1,policy=bind\0"
    "-machine\0pc,memory-backend=m0\0"
)


def process(
    pid: int,
    *,
    cmdline: str = QEMU,
    maps: str = MAPS,
    state: str = "S",
    anonymous_kb: int | None = None,
    shared_kb: int | None = None,
    huge_kb: int = 0,
    cgroup: str = "/",
    began: int = 1000,
    parent: int = 1,
    guest_ticks: int = 0,
    vcpus: tuple[tuple[str, str, int, str], ...] = (("CPU 0/TCG", "S", 0, "0-3"), ("CPU 1/TCG", "S", 0, "0-3")),
) -> Machine:
    """A process below proc/: threads are (name, state, ticks, cpus allowed).

    The sizes in its status are those of its maps, shared memory known by its name, if they are not given.
    """
    if anonymous_kb is None:
        anonymous_kb = RESIDENT_KB if maps == MAPS else 0
    if shared_kb is None:
        shared_kb = sum(_pages(line) * 4 for line in maps.splitlines() if "file=/memfd" in line and " huge" not in line)

    def stat(number: int, name: str, letter: str, ticks: int) -> str:
        return (
            f"{number} ({name}) {letter} {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 {1 + len(vcpus)} 0 {began} 1 1 "
            + f"{'0 ' * 14}2 0 0 0 {guest_ticks if number != pid else 0} 0\n"
        )

    status = (
        f"Name:\tqemu\nState:\t{state} (sleeping)\nPid:\t{pid}\nPPid:\t{parent}\nVmRSS:\t{anonymous_kb:8} kB\nRssAnon:\t{anonymous_kb:8} kB\nRssFile:\t3600 kB\n"
        f"RssShmem:\t{shared_kb:8} kB\nHugetlbPages:\t{huge_kb:8} kB\nCpus_allowed_list:\t0-3\nMems_allowed_list:\t0-1\n"
    )
    base = f"proc/{pid}"
    made: Machine = {
        f"{base}/stat": stat(pid, "qemu) S (x", state, 0),
        f"{base}/status": status,
        f"{base}/cmdline": cmdline,
        f"{base}/cgroup": f"0::{cgroup}\n",
        f"{base}/numa_maps": maps,
        f"{base}/task/{pid}/comm": "qemu-system-x86\n",
        f"{base}/task/{pid}/stat": stat(pid, "qemu", "S", 3),
    }
    for position, (name, letter, ticks, cpus) in enumerate(vcpus):
        task = f"{base}/task/{pid + position + 1}"
        made[f"{task}/comm"] = f"{name}\n"
        made[f"{task}/stat"] = stat(pid + position + 1, name, letter, ticks)
        made[f"{task}/status"] = f"Name:\t{name}\nCpus_allowed_list:\t{cpus}\n"
        made[f"{task}/wchan"] = "futex_wait_queue"
    return made


def _pages(line: str) -> int:
    return sum(int(word.partition("=")[2]) for word in line.split() if word[0] == "N" and word[1].isdigit())


def machine(*processes: Machine) -> Machine:
    tree = trees.machine({0: (0, 1), 1: (2, 3)}, memory_kb=1 << 20)
    tree["proc/self/mountinfo"] = (
        "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n31 20 0:27 / /dev/shm rw - tmpfs tmpfs rw\n"
        "32 20 0:28 / /run/my\\040place rw - tmpfs tmpfs rw\n"
    )
    tree["sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"] = "0\n"
    for one in processes:
        tree |= one
    return tree


def group(directory: str = GROUP, pids: str = "500\n", **kinds: str) -> Machine:
    """A control group of the unified hierarchy; ``anon="N0=1 N1=2"``."""
    figures = {"anon": "N0=0 N1=0", "file": "N0=999424 N1=0", "shmem": "N0=0 N1=0", **kinds}
    return {
        f"{directory}/memory.numa_stat": "".join(f"{name} {words}\n" for name, words in figures.items()),
        f"{directory}/cgroup.procs": pids,
        f"{directory}/cgroup.stat": "nr_descendants 0\nnr_dying_descendants 0\n",
    }


def found_on(tree: Machine, errors: dict[str, int] | None = None, **options: object) -> Domains:
    shelf = Shelf(tree, errors)
    host = from_linux(collect_host(shelf))
    return from_guests(collect(shelf, **options), host)  # type: ignore[arg-type]
