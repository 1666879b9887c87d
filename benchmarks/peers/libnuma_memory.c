/* libnuma's answer for the memory of every node of the live host. */
#include "rounds.h"

#include <numa.h>

static volatile long long kept;

static void once(void)
{
    int last = numa_max_node();
    for (int node = 0; node <= last; node++) {
        long long free_bytes;
        if (numa_bitmask_isbitset(numa_nodes_ptr, node))
            kept += numa_node_size64(node, &free_bytes) + free_bytes;
    }
}

int main(void)
{
    if (numa_available() < 0) {
        fprintf(stderr, "the kernel has no nodes\n");
        return 1;
    }
    once();
    printf("%d\n", numa_num_configured_nodes());
    fflush(stdout);
    answer_rounds(once);
    return 0;
}
