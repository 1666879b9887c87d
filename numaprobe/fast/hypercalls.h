/* The numbers of the hypercalls, and the two tables of those that may be made. */
#ifndef NUMAPROBE_HYPERCALLS_H
#define NUMAPROBE_HYPERCALLS_H

#include <stddef.h>

/* As in numaprobe/xen/abi.py and numaprobe/pin/changes.py; a test compares them. */
enum {
    NP_PLATFORM_OP = 7,
    NP_MEMORY_OP = 12,
    NP_XEN_VERSION = 17,
    NP_SYSCTL = 35,
    NP_DOMCTL = 36,

    NP_PLATFORM_BYTES = 136,
    NP_SYSCTL_BYTES = 136,
    NP_DOMCTL_BYTES = 144,

    NP_PLATFORM_GET_CPUINFO = 55,
    NP_MEMORY_MACHINE_MEMORY_MAP = 10,
    NP_MEMORY_GET_VNUMAINFO = 26,
    NP_VERSION_NUMBER = 0,
    NP_VERSION_EXTRA = 1,
    NP_VERSION_CAPABILITIES = 3,
    NP_VERSION_CHANGESET = 4,
    NP_VERSION_COMMANDLINE = 9,
    NP_SYSCTL_READCONSOLE = 1,
    NP_SYSCTL_PHYSINFO = 3,
    NP_SYSCTL_SCHED_ID = 4,
    NP_SYSCTL_GETDOMAININFOLIST = 6,
    NP_SYSCTL_DEBUG_KEYS = 7,
    NP_SYSCTL_AVAILHEAP = 9,
    NP_SYSCTL_CPUTOPOINFO = 16,
    NP_SYSCTL_NUMAINFO = 17,
    NP_SYSCTL_CPUPOOL = 18,
    NP_SYSCTL_PCITOPOINFO = 22,
    NP_SYSCTL_NUMA_MEMINFO = 1117,
    NP_DOMCTL_GETDOMAININFO = 5,
    NP_DOMCTL_GETVCPUINFO = 14,
    NP_DOMCTL_GETVCPUAFFINITY = 25,
    NP_DOMCTL_GETNODEAFFINITY = 69,
    NP_DOMCTL_NUMA_OP = 1101,

    NP_CPUPOOL_INFO = 3,
    NP_CPUPOOL_FREEINFO = 7,
    NP_NUMA_OP_GET_NODE_PAGES = 0,

    NP_DOMCTL_SETVCPUAFFINITY = 9,
    NP_DOMCTL_SETNODEAFFINITY = 68,
};

/* `size` is that of the whole operation. Bit N of `handles` says that its 8-byte word N may be a pointer, and bit N of
   `bitmaps` that such a pointer is followed by the number of bits that Xen reads or writes there. Every other word that
   Xen takes for a pointer stays zero. Where `choices` is set, the 4-byte word at `choice_at` has to be the number of
   one of its bits, since only those of the operation's own commands are read-only. */
struct np_operation {
    int number, command;
    unsigned int size, handles, bitmaps, choice_at, choices;
};

#define NP_WORD(n) (1u << (n))

static const struct np_operation np_reads[] = {
    { NP_PLATFORM_OP, NP_PLATFORM_GET_CPUINFO, NP_PLATFORM_BYTES, 0, 0, 0, 0 },
    { NP_MEMORY_OP, NP_MEMORY_MACHINE_MEMORY_MAP, 16, NP_WORD(1), 0, 0, 0 },
    { NP_MEMORY_OP, NP_MEMORY_GET_VNUMAINFO, 40, NP_WORD(2) | NP_WORD(3) | NP_WORD(4), 0, 0, 0 },
    { NP_XEN_VERSION, NP_VERSION_NUMBER, 0, 0, 0, 0, 0 },
    { NP_XEN_VERSION, NP_VERSION_EXTRA, 16, 0, 0, 0, 0 },
    { NP_XEN_VERSION, NP_VERSION_CAPABILITIES, 1024, 0, 0, 0, 0 },
    { NP_XEN_VERSION, NP_VERSION_CHANGESET, 64, 0, 0, 0, 0 },
    { NP_XEN_VERSION, NP_VERSION_COMMANDLINE, 1024, 0, 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_READCONSOLE, NP_SYSCTL_BYTES, NP_WORD(2), 0, 0, 0 },   /* with the debug key only */
    { NP_SYSCTL, NP_SYSCTL_PHYSINFO, NP_SYSCTL_BYTES, 0, 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_SCHED_ID, NP_SYSCTL_BYTES, 0, 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_GETDOMAININFOLIST, NP_SYSCTL_BYTES, NP_WORD(2), 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_DEBUG_KEYS, NP_SYSCTL_BYTES, NP_WORD(1), 0, 0, 0 },    /* the key u only, if allowed */
    { NP_SYSCTL, NP_SYSCTL_AVAILHEAP, NP_SYSCTL_BYTES, 0, 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_CPUTOPOINFO, NP_SYSCTL_BYTES, NP_WORD(2) | NP_WORD(3) | NP_WORD(4), 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_NUMAINFO, NP_SYSCTL_BYTES, NP_WORD(2) | NP_WORD(3) | NP_WORD(4), 0, 0, 0 },
    { NP_SYSCTL, NP_SYSCTL_CPUPOOL, NP_SYSCTL_BYTES, NP_WORD(4), NP_WORD(4), 8,
      1u << NP_CPUPOOL_INFO | 1u << NP_CPUPOOL_FREEINFO },
    { NP_SYSCTL, NP_SYSCTL_PCITOPOINFO, NP_SYSCTL_BYTES, NP_WORD(2) | NP_WORD(3), 0, 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_GETDOMAININFO, NP_DOMCTL_BYTES, 0, 0, 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_GETVCPUINFO, NP_DOMCTL_BYTES, 0, 0, 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_GETVCPUAFFINITY, NP_DOMCTL_BYTES, NP_WORD(3) | NP_WORD(5), NP_WORD(3) | NP_WORD(5), 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_GETNODEAFFINITY, NP_DOMCTL_BYTES, NP_WORD(2), NP_WORD(2), 0, 0 },
    /* XenServer's */
    { NP_SYSCTL, NP_SYSCTL_NUMA_MEMINFO, NP_SYSCTL_BYTES, NP_WORD(2), 0, 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_NUMA_OP, NP_DOMCTL_BYTES, NP_WORD(4), 0, 16, 1u << NP_NUMA_OP_GET_NODE_PAGES },
};

/* What changes a domain; through a port that was opened for it, and never while a host is read. */
static const struct np_operation np_changes[] = {
    { NP_DOMCTL, NP_DOMCTL_SETVCPUAFFINITY, NP_DOMCTL_BYTES, NP_WORD(3) | NP_WORD(5), NP_WORD(3) | NP_WORD(5), 0, 0 },
    { NP_DOMCTL, NP_DOMCTL_SETNODEAFFINITY, NP_DOMCTL_BYTES, NP_WORD(2), NP_WORD(2), 0, 0 },
};

static const struct np_operation *np_find(const struct np_operation *table, size_t count, int number, int command)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].number == number && table[i].command == command)
            return &table[i];
    return NULL;
}

static const struct np_operation *np_find_read(int number, int command)
{
    return np_find(np_reads, sizeof np_reads / sizeof np_reads[0], number, command);
}

static const struct np_operation *np_find_change(int number, int command)
{
    return np_find(np_changes, sizeof np_changes / sizeof np_changes[0], number, command);
}

#endif
