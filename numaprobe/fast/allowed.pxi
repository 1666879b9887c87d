# ---- The hypercalls that may be made ----

cdef extern from *:
    """
    #include <stddef.h>

    /* The read-only hypercalls, and no other is ever made. `size` is that of the whole operation; bit N of `handles`
       says that the 8-byte word N of it may be a pointer. Every other word that Xen takes for one stays zero. */
    struct np_allowed { int number, command; unsigned int size, handles; };
    static const struct np_allowed np_allowed[] = {
        { 7, 55, 136, 0 },                                  /* platform_op get_cpuinfo */
        { 12, 2, 0, 0 },                                    /* memory_op maximum_ram_page */
        { 12, 10, 16, 1u << 1 },                            /* memory_op machine_memory_map */
        { 12, 26, 40, 1u << 2 | 1u << 3 | 1u << 4 },        /* memory_op get_vnumainfo */
        { 17, 0, 0, 0 },                                    /* xen_version version */
        { 17, 1, 16, 0 },                                   /* xen_version extraversion */
        { 17, 2, 144, 0 },                                  /* xen_version compile_info */
        { 17, 3, 1024, 0 },                                 /* xen_version capabilities */
        { 17, 4, 64, 0 },                                   /* xen_version changeset */
        { 17, 6, 8, 0 },                                    /* xen_version get_features */
        { 17, 7, 0, 0 },                                    /* xen_version pagesize */
        { 17, 9, 1024, 0 },                                 /* xen_version commandline */
        { 35, 3, 136, 0 },                                  /* sysctl physinfo */
        { 35, 1, 136, 1u << 2 },                            /* sysctl readconsole, with the debug key only */
        { 35, 4, 136, 0 },                                  /* sysctl sched_id */
        { 35, 6, 136, 1u << 2 },                            /* sysctl getdomaininfolist */
        { 35, 7, 136, 1u << 1 },                            /* sysctl debug_keys, the key u only, if allowed */
        { 35, 9, 136, 0 },                                  /* sysctl availheap */
        { 35, 16, 136, 1u << 2 | 1u << 3 | 1u << 4 },       /* sysctl cputopoinfo */
        { 35, 17, 136, 1u << 2 | 1u << 3 | 1u << 4 },       /* sysctl numainfo */
        { 35, 18, 136, 1u << 4 },                           /* sysctl cpupool_op, INFO and FREEINFO only */
        { 35, 22, 136, 1u << 2 | 1u << 3 },                 /* sysctl pcitopoinfo */
        { 36, 5, 144, 0 },                                  /* domctl getdomaininfo */
        { 36, 14, 144, 0 },                                 /* domctl getvcpuinfo */
        { 36, 25, 144, 1u << 3 | 1u << 5 },                 /* domctl getvcpuaffinity */
        { 36, 69, 144, 1u << 2 },                           /* domctl getnodeaffinity */
        { 36, 1101, 144, 1u << 4 },                         /* domctl numa_op of XenServer, GET_NODE_PAGES only */
    };

    static const struct np_allowed *np_find_allowed(int number, int command)
    {
        for (size_t i = 0; i < sizeof np_allowed / sizeof np_allowed[0]; i++)
            if (np_allowed[i].number == number && np_allowed[i].command == command)
                return &np_allowed[i];
        return NULL;
    }
    """
    struct np_allowed:
        unsigned int size
        unsigned int handles
    const np_allowed *np_find_allowed(int number, int command) nogil
