/* hwloc_topology_load: of nodes, packages, cores and PUs; with "default" as the argument, of everything it likes.
 * With "lean", distances, memory attributes and kinds of cpus are left out too, where this hwloc can.
 * The environment chooses the tree (HWLOC_FSROOT, HWLOC_THISSYSTEM) and the components (HWLOC_COMPONENTS). */
#include "rounds.h"

#include <hwloc.h>
#include <string.h>

static int filtered = 1;
static unsigned long flags;

static hwloc_topology_t load(void)
{
    hwloc_topology_t topology;
    if (hwloc_topology_init(&topology) < 0)
        fail("hwloc_topology_init");
    if (filtered) {
        hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
        hwloc_topology_set_type_filter(topology, HWLOC_OBJ_PACKAGE, HWLOC_TYPE_FILTER_KEEP_ALL);
        hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    }
    if (hwloc_topology_set_flags(topology, flags) < 0)
        fail("hwloc_topology_set_flags");
    if (hwloc_topology_load(topology) < 0)
        fail("hwloc_topology_load");
    return topology;
}

static void once(void)
{
    hwloc_topology_destroy(load());
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "filtered";
    filtered = strcmp(mode, "default") != 0;
#if HWLOC_API_VERSION >= 0x00020800
    if (strcmp(mode, "lean") == 0)
        flags = HWLOC_TOPOLOGY_FLAG_NO_DISTANCES | HWLOC_TOPOLOGY_FLAG_NO_MEMATTRS | HWLOC_TOPOLOGY_FLAG_NO_CPUKINDS;
#endif
    hwloc_topology_t topology = load();
    /* The caller checks that both sides saw the same machine. */
    printf("%d %d %x\n", hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_NUMANODE),
           hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU), HWLOC_API_VERSION);
    fflush(stdout);
    hwloc_topology_destroy(topology);
    answer_rounds(once);
    return 0;
}
