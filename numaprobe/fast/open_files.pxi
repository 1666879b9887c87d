# ---- Files held open, each read from its beginning again and again ----


cdef class OpenFiles:
    """Files held open, each read from its beginning at every ``read``; made by ``Files.keep``.

    A file that could not be opened keeps giving its errno. Must not be closed during a read.
    """

    cdef Py_ssize_t count
    cdef int *descriptors
    cdef bint *to_end

    def __cinit__(self):
        self.count = 0
        self.descriptors = NULL
        self.to_end = NULL

    cdef int allocate(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t i
        self.descriptors = <int *>PyMem_Malloc((count or 1) * sizeof(int))
        self.to_end = <bint *>PyMem_Malloc((count or 1) * sizeof(bint))
        if self.descriptors == NULL or self.to_end == NULL:
            raise MemoryError()
        for i in range(count):
            self.descriptors[i] = -EBADF
            self.to_end[i] = False
        self.count = count
        return 0

    def __len__(self):
        return self.count

    def read(self):
        """Contents by position: ``bytes``, or an ``int`` errno."""
        cdef Py_ssize_t i, count = self.count
        cdef Buffer buffer
        cdef Piece *pieces
        if count == 0:
            return []
        pieces = <Piece *>PyMem_Malloc(count * sizeof(Piece))
        buffer.used = 0
        buffer.size = ROOM
        buffer.data = <char *>malloc(buffer.size)
        try:
            if pieces == NULL or buffer.data == NULL:
                raise MemoryError()
            with nogil:
                for i in range(count):
                    if self.descriptors[i] < 0:
                        pieces[i].error = -self.descriptors[i]
                    else:
                        pieces[i].error = drain(self.descriptors[i], True, self.to_end[i], &buffer, &pieces[i])
            return pieces_to_list(&buffer, pieces, count)
        finally:
            free(buffer.data)
            PyMem_Free(pieces)

    def close(self):
        """Close every descriptor; reads give EBADF from then on."""
        cdef Py_ssize_t i
        for i in range(self.count):
            if self.descriptors[i] >= 0:
                close_fd(self.descriptors[i])
                self.descriptors[i] = -EBADF

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self.descriptors != NULL:
            for i in range(self.count):
                if self.descriptors[i] >= 0:
                    close_fd(self.descriptors[i])
        PyMem_Free(self.descriptors)
        PyMem_Free(self.to_end)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
