# ---- Placing: what changes something; never used while a host is read ----

cdef extern from "fast/mempolicy.h":
    long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits) nogil


cdef enum:
    BITS_PER_LONG = 8 * sizeof(unsigned long)


def set_mempolicy(int mode, tuple nodes not None):
    """Set the calling thread's memory policy, which its children and what it executes inherit.

    ``mode`` is of linux/mempolicy.h: 0 default, 1 preferred, 2 bind, 3 interleave. ``OSError`` with the kernel's
    errno, ``ValueError`` for a node that no kernel could have.
    """
    # As many bits as there may be nodes, in words of at least 32.
    cdef unsigned long mask[32]
    cdef int node, error = 0
    memset(mask, 0, sizeof(mask))
    for node in nodes:
        if not 0 <= node < MAX_NODES:
            raise ValueError(f"no kernel has a node {node}")
        mask[node // BITS_PER_LONG] |= (<unsigned long>1) << (node % BITS_PER_LONG)
    # The default policy takes no nodes, and no mask.
    if np_set_mempolicy(mode, mask if nodes else NULL, MAX_NODES if nodes else 0) < 0:
        error = errno
        raise OSError(error, os.strerror(error))


cdef class AffinityCalls(Privcmd):
    """As ``Privcmd``, and the two calls that change a domain: on which cpus a vcpu may run, and from which nodes the
    domain's memory is taken (domctl setvcpuaffinity and setnodeaffinity).
    """

    def __cinit__(self, *arguments, **options):
        self.may_change = True
