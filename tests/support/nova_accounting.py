"""Nova's verdicts, run with a Python that has nova: cases as JSON on standard input, verdicts on standard output.

A case is a host (cells with CPUs, cores, memory in MiB and what is used of both), a guest, and numaprobe's plan for it
or null. A verdict says whether nova finds a place, and what its accounting makes of the plan: null, or an error.
"""

import json
import logging
import sys

from nova import objects
from nova.objects import fields
from nova.virt import hardware

POLICIES = {
    None: None,
    "prefer": fields.CPUThreadAllocationPolicy.PREFER,
    "isolate": fields.CPUThreadAllocationPolicy.ISOLATE,
    "require": fields.CPUThreadAllocationPolicy.REQUIRE,
}


def topology(host, guest):
    """The host. A guest that shares CPUs shares those that no other has for itself."""
    return objects.NUMATopology(
        cells=[
            objects.NUMACell(
                id=cell["id"],
                # The same for both: nova's isolate is only for hosts that do not tell shared CPUs from dedicated ones.
                cpuset=set(cell["cpus"])
                if guest["dedicated"] and not guest["floating"]
                else set(cell["cpus"]) - set(cell["pinned"]),
                pcpuset=set(cell["cpus"]),
                memory=cell["memory"],
                memory_usage=cell["memory_used"],
                cpu_usage=0,
                pinned_cpus=set(cell["pinned"]),
                siblings=[set(core) for core in cell["cores"]],
                mempages=[
                    objects.NUMAPagesTopology(
                        size_kb=4, total=cell["memory"] * 256, used=cell["memory_used"] * 256, reserved=0
                    )
                ],
                network_metadata=objects.NetworkMetadata(physnets=set(), tunneled=False),
                socket=None,
            )
            for cell in host
        ]
    )


def instance(guest, cells):
    """The guest's NUMA cells: ids, vcpus and pins by cell."""
    dedicated, floating = guest["dedicated"], guest["floating"]
    policy = fields.CPUAllocationPolicy.DEDICATED if dedicated else fields.CPUAllocationPolicy.SHARED
    if floating:
        policy = fields.CPUAllocationPolicy.MIXED
    return objects.InstanceNUMATopology(
        emulator_threads_policy=guest["emulator"],
        cells=[
            objects.InstanceNUMACell(
                id=cell["id"],
                cpuset=set(cell["vcpus"][len(cell["vcpus"]) - floating :]) if dedicated else set(cell["vcpus"]),
                pcpuset=set(cell["vcpus"][: len(cell["vcpus"]) - floating]) if dedicated else set(),
                memory=cell["memory"],
                cpu_policy=policy,
                cpu_thread_policy=POLICIES[guest["threads"]],
                cpu_pinning={int(vcpu): cpu for vcpu, cpu in cell.get("pins", {}).items()} or None,
                cpuset_reserved=set(cell.get("reserved", ())) or None,
                pagesize=None,
            )
            for cell in cells
        ],
    )


def accounted(case):
    """What nova's accounting makes of a plan: None, or why it refuses it."""
    plan = case["plan"]
    if plan is None:
        return None
    try:
        after = hardware.numa_usage_from_instance_numa(
            topology(case["host"], case["guest"]), instance(case["guest"], plan)
        )
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    for cell in after.cells:
        if cell.memory_usage > cell.memory:
            return f"cell {cell.id} has {cell.memory_usage} of {cell.memory} MiB in use"
    return None


def main():
    logging.disable(logging.CRITICAL)
    objects.register_all()
    limits = objects.NUMATopologyLimits(cpu_allocation_ratio=1e6, ram_allocation_ratio=1.0)
    verdicts = []
    for case in json.load(sys.stdin):
        wanted = instance(case["guest"], case["guest"]["cells"])
        found = hardware.numa_fit_instance_to_host(topology(case["host"], case["guest"]), wanted, None, limits=limits)
        verdicts.append([found is not None, accounted(case)])
    json.dump(verdicts, sys.stdout)


main()
