/* libnuma's answer for every node of the live host: its cpus, read anew, its memory, and its distances, which libnuma
 * reads once and keeps. It knows nothing of packages and cores. */
#include "rounds.h"

#include <numa.h>

static volatile long long kept;

static void once(void)
{
    struct bitmask *cpus = numa_allocate_cpumask();
    int last = numa_max_node();
    numa_node_to_cpu_update();
    for (int node = 0; node <= last; node++) {
        long long free_bytes;
        if (!numa_bitmask_isbitset(numa_nodes_ptr, node))
            continue;
        if (numa_node_to_cpus(node, cpus) < 0)
            fail("numa_node_to_cpus");
        kept += numa_node_size64(node, &free_bytes) + free_bytes;
        for (int other = 0; other <= last; other++)
            kept += numa_distance(node, other);
    }
    numa_free_cpumask(cpus);
}

int main(void)
{
    if (numa_available() < 0) {
        fprintf(stderr, "the kernel has no nodes\n");
        return 1;
    }
    once();
    printf("%d %d\n", numa_num_configured_nodes(), numa_num_configured_cpus());
    fflush(stdout);
    answer_rounds(once);
    return 0;
}
