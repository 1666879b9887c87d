# ---- Placing: the calling thread's memory policy as the kernel has it, read back after it was set. ----

cdef extern from "fast/mempolicy.h":
    long np_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits) nogil


def get_mempolicy():
    """The calling thread's memory policy: its mode, as for ``set_mempolicy``, and its nodes. Raises ``OSError``."""
    cdef unsigned long mask[32]
    cdef int node, error = 0, mode = 0
    memset(mask, 0, sizeof(mask))
    if np_get_mempolicy(&mode, mask, MAX_NODES) < 0:
        error = errno
        raise OSError(error, os.strerror(error))
    nodes = []
    for node in range(MAX_NODES):
        if mask[node // BITS_PER_LONG] >> (node % BITS_PER_LONG) & 1:
            nodes.append(node)
    return mode, tuple(nodes)
