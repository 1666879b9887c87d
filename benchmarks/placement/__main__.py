"""Print the tables: ``python -m benchmarks.placement [--arrivals N] [--seeds N] [--host NAME ...]``."""

from __future__ import annotations

import argparse

from .batches import against_the_optimum, timings
from .mixes import HOSTS, MIXES, stream
from .moving import moves
from .simulate import Outcome, run
from .world import World

# Who may divide a guest among nodes is compared with numaprobe, nova with numaprobe where it may not.
SPANNING = ("first-fit", "libxl", "xapi 2025", "xapi", "incus", "kubelet")
PAIRS = [
    ("first-fit", "numaprobe"),
    ("libxl", "numaprobe"),
    ("xapi 2025", "numaprobe"),
    ("xapi", "numaprobe"),
    ("incus", "numaprobe"),
    ("kubelet", "numaprobe"),
    ("nova", "numaprobe whole"),
    ("nova packing", "numaprobe whole"),
]
COLUMNS = (
    *("host", "mix", "algorithm", "accepted", "of memory", "distance", "ours on the same"),
    *("sharing", "fragments", "split", "µs"),
)
ALL = (*SPANNING, "numaprobe", "numaprobe fewest", "nova", "nova packing", "numaprobe whole")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.placement", description=__doc__)
    parser.add_argument("--arrivals", type=int, default=1000, help="guests per stream (default: 1000)")
    parser.add_argument("--seeds", type=int, default=3, help="streams per mix (default: 3)")
    parser.add_argument("--host", action="append", choices=sorted(HOSTS), help="only these hosts")
    options = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * len(COLUMNS))
    verdicts = {peer: [0, 0, 0, 0, 0, 0] for peer, _ in PAIRS}
    for host in options.host or HOSTS:
        for mix in MIXES:
            outcomes = {name: [] for name in ALL}  # type: dict[str, list[Outcome]]
            for seed in range(options.seeds):
                guests = stream(mix, World(HOSTS[host]), seed, options.arrivals)
                for name in ALL:
                    outcomes[name].append(run(World(HOSTS[host]), guests, name))
            compared = {}
            for peer, ours in PAIRS:
                mine, theirs = common(outcomes[ours], outcomes[peer])
                compared[peer] = f"{mine:.3f}"
                taken = [mean(outcomes[name], "acceptance") for name in (ours, peer)]
                for first, (a, b) in ((0, (theirs, mine)), (3, taken)):
                    verdicts[peer][first + (0 if a > b + 1e-9 else 2 if a < b - 1e-9 else 1)] += 1
            for name in ALL:
                row = outcomes[name]
                print(
                    f"| {host} | {mix} | {name} | {mean(row, 'acceptance'):.4f} | {mean(row, 'memory'):.4f} "
                    f"| {common(row, row)[0]:.3f} | {compared.get(name, '')} | {mean(row, 'sharing'):.3f} "
                    f"| {mean(row, 'fragmentation'):.3f} | {sum(one.split for one in row)} "
                    f"| {mean(row, 'seconds') * 1e6:.0f} |",
                    flush=True,
                )
    print(
        "\n| beside | distance lower | equal | higher | more accepted | equal | fewer |\n|---|---|---|---|---|---|---|"
    )
    for peer, verdict in verdicts.items():
        print(f"| {peer} | " + " | ".join(map(str, verdict)) + " |")
    print()
    print("| batch on | guests | placed | optimum | access | optimum | proven |\n|---|---|---|---|---|---|---|")
    for name, guests_, placed, best, mine, least, proven in against_the_optimum():
        print(
            f"| {name} | {guests_} | {placed} | {best} | {mine:.3f} | {least:.3f} | {'yes' if proven else 'no'} |",
            flush=True,
        )
    print("\n| refused whole, memory free | refused | fit after one move | ms |\n|---|---|---|---|")
    for name, refused, helped, seconds in moves(options.seeds, options.arrivals):
        print(f"| {name} | {refused} | {helped} | {seconds * 1e3:.0f} |", flush=True)
    print("\n| what | ms |\n|---|---|")
    for what, milliseconds in timings():
        print(f"| {what} | {milliseconds:.2f} |")


def mean(row: list[Outcome], name: str) -> float:
    return float(sum(getattr(one, name) for one in row)) / len(row)


def common(ours: list[Outcome], theirs: list[Outcome]) -> tuple[float, float]:
    """Mean cost of the guests that both accept, ours and theirs, over all streams."""
    mine, other, count = 0.0, 0.0, 0
    for a, b in zip(ours, theirs, strict=True):
        for guest in a.costs.keys() & b.costs.keys():
            mine += a.costs[guest]
            other += b.costs[guest]
            count += 1
    return mine / count, other / count


main()
