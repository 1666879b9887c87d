# ---- Who holds memory, by sampling: the nodes of single pages of a process; nothing is moved ----

cdef extern from "fast/mempolicy.h":
    long np_page_nodes(int pid, unsigned long count, void **addresses, int *status) nogil


def page_nodes(int process, list addresses not None):
    """The node of the page at each address of a process, 0 for the calling one, or a negative errno of that page.

    Raises ``OSError`` where the kernel refuses the call as a whole, ``MemoryError`` and ``OverflowError``.
    """
    cdef Py_ssize_t i, count = len(addresses)
    cdef int error = 0
    cdef long result
    cdef void **at = NULL
    cdef int *status = NULL
    if count == 0:
        return []
    at = <void **>PyMem_Malloc(<size_t>count * sizeof(void *))
    status = <int *>PyMem_Malloc(<size_t>count * sizeof(int))
    try:
        if at == NULL or status == NULL:
            raise MemoryError()
        for i in range(count):
            at[i] = <void *><uintptr_t>addresses[i]
            # What the kernel does not fill in is no node.
            status[i] = -ENODATA
        with nogil:
            result = np_page_nodes(process, <unsigned long>count, at, status)
            error = errno
        if result < 0:
            raise OSError(error, os.strerror(error))
        return [status[i] for i in range(count)]
    finally:
        PyMem_Free(at)
        PyMem_Free(status)
