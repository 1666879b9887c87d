# ---- Placing: what changes something. Nothing that probes comes here. ----

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>

    /* glibc has no wrapper outside libnuma. maxnode counts one more than is read (get_nodes of mm/mempolicy.c). */
    static long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits)
    {
        return syscall(SYS_set_mempolicy, mode, mask, bits + 1);
    }
    """
    long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits) nogil


cdef enum:
    BITS_PER_LONG = 8 * sizeof(unsigned long)
    DOMCTL_SETVCPUAFFINITY = 9
    DOMCTL_SETNODEAFFINITY = 68


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
    """The running hypervisor, asked as by ``Privcmd``, and told two things beside: where a domain's vcpus may run, and
    which nodes its memory is taken from (domctl setvcpuaffinity and setnodeaffinity).
    """

    def call(self, int number, int command, bytes op not None, tuple buffers not None=()):
        """As ``Privcmd.call``, with the two calls that change something. ``ValueError`` and ``OSError`` likewise."""
        cdef const char *contents[MAX_BUFFERS]
        cdef size_t lengths[MAX_BUFFERS]
        cdef size_t at[MAX_BUFFERS]
        cdef size_t places[MAX_BUFFERS]
        cdef size_t offset, needed
        cdef Py_ssize_t i, count = len(buffers)
        cdef bytes content
        cdef tuple handles
        if number != 36 or command not in (DOMCTL_SETVCPUAFFINITY, DOMCTL_SETNODEAFFINITY):
            return Privcmd.call(self, number, command, op, buffers)
        if len(op) != 144 or <int>np_word(PyBytes_AS_STRING(op), 0) != command:
            raise ValueError("the operation is not a domctl of that command")
        handles = (16,)
        if command == DOMCTL_SETVCPUAFFINITY:
            handles = (24, 40)
        if count > len(handles):
            raise ValueError("too many buffers")
        for offset in handles:
            if np_word(PyBytes_AS_STRING(op), offset) or np_word(PyBytes_AS_STRING(op), offset + 4):
                raise ValueError(f"the handle at offset {offset} is not zero")
        needed = rounded(144)
        for i in range(count):
            offset, content = buffers[i]
            if offset not in handles:
                raise ValueError(f"no handle at offset {offset}")
            at[i] = offset
            contents[i] = PyBytes_AS_STRING(content)
            lengths[i] = <size_t>PyBytes_GET_SIZE(content)
            # The number of bits stands behind the handle; Xen reads and writes that many.
            if np_word(PyBytes_AS_STRING(op), offset + 8) > 8 * lengths[i]:
                raise ValueError("a bitmap is shorter than its width")
            places[i] = needed
            needed += rounded(lengths[i])
            if needed > MAX_BOUNCE:
                raise ValueError("buffers too large for one hypercall")
        return self._make(number, command, op, needed, count, contents, lengths, at, places)
