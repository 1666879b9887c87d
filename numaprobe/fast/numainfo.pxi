# ---- Sampling Xen: one numainfo, with the same arguments every time, compared with the first answer ----

cdef extern from "fast/numainfo.h":
    uint64_t np_node_word(const char *rows, size_t node, size_t which) nogil
    bint np_agree(const char *op, const char *wanted, const char *mask, size_t size) nogil


cdef enum:
    # Of the operation: a number of nodes, and the handle of their rows.
    NUMAINFO_COUNT = 8
    NUMAINFO_ROWS = 16
    NODE_ROW = 16
    FEW_NODES = 64


cdef class NodeRows:
    """Which of numainfo's rows (span and free bytes of a node, 64 bits each) are cells, and the span of every row.

    ``cells`` are ids and ``at`` the row of each. Rows with other spans, or of another number, are not of this shape.
    """

    cdef Py_ssize_t nodes
    cdef Py_ssize_t count
    cdef uint64_t *spans
    cdef Py_ssize_t *at
    cdef tuple cells

    def __cinit__(self, tuple cells not None, tuple at not None, tuple spans not None):
        cdef Py_ssize_t i
        self.nodes = len(spans)
        self.count = len(cells)
        self.cells = cells
        self.spans = <uint64_t *>PyMem_Malloc((self.nodes or 1) * sizeof(uint64_t))
        self.at = <Py_ssize_t *>PyMem_Malloc((self.count or 1) * sizeof(Py_ssize_t))
        if self.spans == NULL or self.at == NULL:
            raise MemoryError()
        if len(at) != self.count:
            raise ValueError("a row for every cell")
        for i in range(self.nodes):
            self.spans[i] = spans[i]
        for i in range(self.count):
            self.at[i] = at[i]
            if not 0 <= self.at[i] < self.nodes:
                raise ValueError(f"no row {at[i]}")

    def __dealloc__(self):
        PyMem_Free(self.spans)
        PyMem_Free(self.at)

    cdef int take(self, const char *rows, uint64_t *into, Py_ssize_t step) noexcept nogil:
        """Free bytes by cell, ``step`` words apart; 0, or ``REASON_CHANGED``."""
        cdef Py_ssize_t i
        for i in range(self.nodes):
            if np_node_word(rows, <size_t>i, 0) != self.spans[i]:
                return REASON_CHANGED
        for i in range(self.count):
            into[i * step] = np_node_word(rows, <size_t>self.at[i], 1)
        return 0

    cdef MeminfoTable figures_of(self, type kind, origin):
        """MeminfoTable with everything but what is free."""
        cdef MeminfoTable made = new_figures(kind, origin, self.count)
        cdef Py_ssize_t i, k
        for i in range(self.count):
            made.values[i * MEMINFO_FIGURES] = self.spans[self.at[i]]
            for k in range(1, MEMINFO_FIGURES):
                made.values[i * MEMINFO_FIGURES + k] = ABSENT
        return made

    cdef dict by_cell(self, const uint64_t *found, Py_ssize_t step):
        """Free bytes by cell; None for more than the node's span, which cannot be."""
        cdef dict out = {}
        cdef Py_ssize_t i
        for i in range(self.count):
            out[self.cells[i]] = None if found[i * step] > self.spans[self.at[i]] else found[i * step]
        return out

    def figures(self, bytes rows not None, type kind not None=MeminfoTable, origin=None, int64_t wall=-1,
                int64_t monotonic=-1):
        """Figures of rows that were read already: span and free bytes of each cell; None if of another shape."""
        cdef MeminfoTable made
        if PyBytes_GET_SIZE(rows) < self.nodes * NODE_ROW:
            raise ValueError("fewer rows than nodes")
        made = self.figures_of(kind, origin)
        made.wall = wall
        made.monotonic = monotonic
        return None if self.take(PyBytes_AS_STRING(rows), made.values + 1, MEMINFO_FIGURES) else made

    def free(self, bytes rows not None):
        """Free bytes by cell of rows that were read already; None if they are of another shape."""
        cdef MeminfoTable made = self.figures(rows)
        return None if made is None else self.by_cell(made.values + 1, MEMINFO_FIGURES)


cdef class Numainfo:
    """numainfo of the running hypervisor, of one shape, as well as physinfo, which alone reports cpus.

    ``numainfo`` and ``physinfo`` are the whole operations, with the handle zero; there is room for as many rows as the
    first requests. Where the bits of ``mask`` are set physinfo has to answer as in ``wanted``; ``read`` queries it if
    it was not queried in the last ``every`` nanoseconds, ``free`` never does. May be shared by threads and used in a
    forked child like the ``Privcmd``, whose calls take turns with these.
    """

    cdef Privcmd port
    cdef NodeRows rows
    cdef char numainfo[NP_SYSCTL_BYTES]
    cdef char physinfo[NP_SYSCTL_BYTES]
    cdef char wanted[NP_SYSCTL_BYTES]
    cdef char mask[NP_SYSCTL_BYTES]
    cdef size_t room
    cdef int64_t every
    cdef int64_t looked
    cdef int64_t since_1970

    def __cinit__(self, Privcmd port not None, NodeRows rows not None, bytes numainfo not None, bytes physinfo not None,
                  bytes wanted not None, bytes mask not None, int64_t every):
        cdef bytes content
        for content in (numainfo, physinfo, wanted, mask):
            if PyBytes_GET_SIZE(content) != NP_SYSCTL_BYTES:
                raise ValueError(f"a sysctl takes {NP_SYSCTL_BYTES} bytes, not {len(content)}")
        memcpy(self.numainfo, PyBytes_AS_STRING(numainfo), NP_SYSCTL_BYTES)
        memcpy(self.physinfo, PyBytes_AS_STRING(physinfo), NP_SYSCTL_BYTES)
        memcpy(self.wanted, PyBytes_AS_STRING(wanted), NP_SYSCTL_BYTES)
        memcpy(self.mask, PyBytes_AS_STRING(mask), NP_SYSCTL_BYTES)
        if np_word(self.numainfo, 0) != NP_SYSCTL_NUMAINFO or np_word(self.physinfo, 0) != NP_SYSCTL_PHYSINFO:
            raise ValueError("not numainfo and physinfo")
        # Xen writes to wherever a handle points: that of the rows is set below, that of the distances stays zero.
        if numainfo[NUMAINFO_COUNT + 4:] != bytes(NP_SYSCTL_BYTES - NUMAINFO_COUNT - 4):
            raise ValueError("a handle is not zero")
        self.room = <size_t>np_word(self.numainfo, NUMAINFO_COUNT) * NODE_ROW
        if self.room < <size_t>(rows.nodes * NODE_ROW) or self.room > MAX_BOUNCE // 2:
            raise ValueError("not room for the rows")
        self.port = port
        self.rows = rows
        self.every = every
        # So that the first sample looks: what the shape was made of may be old.
        self.looked = np_nanoseconds(CLOCK_MONOTONIC) - every

    cdef int _call(self, const char *operation, bint with_rows) noexcept nogil:
        """One hypercall from the port's pages, where it leaves its answer; 0 or Xen's errno. The port is held."""
        cdef char *base = self.port.base
        cdef uint64_t pointer = <uint64_t><uintptr_t>(base + rounded(NP_SYSCTL_BYTES))
        cdef int result, error, tries = 1 if self.port.pages >= 0 else FAULT_TRIES
        while True:
            memcpy(base, operation, NP_SYSCTL_BYTES)
            if with_rows:
                memset(base + rounded(NP_SYSCTL_BYTES), 0xFF, self.room)
                memcpy(base + NUMAINFO_ROWS, &pointer, sizeof(pointer))
            result = np_hypercall(self.port.device, NP_SYSCTL, NP_SYSCTL_NUMAINFO, base)
            error = errno if result == -1 else 0
            tries -= 1
            if error != EFAULT or tries == 0:
                return error

    cdef int _look(self, int64_t now, int64_t *since_1970) noexcept nogil:
        """Whether cpus or memory were added or removed, if it was not looked for just now."""
        cdef int error
        if now - self.looked >= self.every:
            self.since_1970 = np_nanoseconds(CLOCK_REALTIME) - now
            error = self._call(self.physinfo, False)
            if error:
                return error
            if not np_agree(self.port.base, self.wanted, self.mask, NP_SYSCTL_BYTES):
                return -1
            self.looked = now
        since_1970[0] = self.since_1970
        return 0

    cdef int _ask(self, uint64_t *into, Py_ssize_t step) noexcept nogil:
        """Free bytes by cell; 0, Xen's errno, or -1 where nodes or memory were added or removed."""
        cdef int error = self._call(self.numainfo, True)
        if error:
            return error
        if np_word(self.port.base, NUMAINFO_COUNT) != <unsigned int>self.rows.nodes:
            return -1
        return -1 if self.rows.take(self.port.base + rounded(NP_SYSCTL_BYTES), into, step) else 0

    def read(self, type kind not None, origin):
        """Span and free bytes of every cell: figures of this kind, with ``origin`` attached; or why not, a ``Missed``.

        ``UNREADABLE`` has Xen's errno, and the position of what was refused: 0 numainfo, 1 physinfo. ``ValueError``
        once the port is closed.
        """
        cdef MeminfoTable found = self.rows.figures_of(kind, origin)
        cdef int position = 1, error
        cdef int64_t since_1970 = 0
        self.port.hold(rounded(NP_SYSCTL_BYTES) + self.room)
        # No object is created or released while the port is held: that could run a finalizer that needs it too.
        with nogil:
            found.monotonic = np_nanoseconds(CLOCK_MONOTONIC)
            error = self._look(found.monotonic, &since_1970)
            if not error:
                position = 0
                error = self._ask(found.values + 1, MEMINFO_FIGURES)
            pthread_mutex_unlock(self.port.lock)
        if error:
            return missed(REASON_CHANGED) if error < 0 else missed(REASON_UNREADABLE, position, error)
        found.wall = found.monotonic + since_1970
        return found

    def free(self):
        """Free bytes by cell, from one numainfo; or why not, as for ``read``."""
        cdef uint64_t few[FEW_NODES]
        cdef uint64_t *found = few
        cdef int error
        if self.rows.count > FEW_NODES:
            found = <uint64_t *>PyMem_Malloc(self.rows.count * sizeof(uint64_t))
            if found == NULL:
                raise MemoryError()
        try:
            self.port.hold(rounded(NP_SYSCTL_BYTES) + self.room)
            with nogil:
                error = self._ask(found, 1)
                pthread_mutex_unlock(self.port.lock)
            if error:
                return missed(REASON_CHANGED) if error < 0 else missed(REASON_UNREADABLE, 0, error)
            return self.rows.by_cell(found, 1)
        finally:
            if found != few:
                PyMem_Free(found)
