# ---- Why there are no figures: what a reader of figures gives in their place ----

cdef enum:
    REASON_CHANGED = 1
    REASON_RESIZED = 2
    REASON_FORKED = 3
    REASON_UNREADABLE = 4
    REASON_NO_TOTAL = 5
    REASON_NO_NUMBER = 6
    REASON_NOT_LISTED = 7
    REASON_NOT_KEPT = 8
    FAULT_TEXT = 80

# Nodes, cpus or memory were added or removed: everything has to be opened again.
CHANGED = REASON_CHANGED
# The same files give other totals; ``table`` has the figures.
RESIZED = REASON_RESIZED
# The process is a forked child, which has to open files of its own.
FORKED = REASON_FORKED
# The file, or the hypercall, at ``position`` failed with the errno ``error``.
UNREADABLE = REASON_UNREADABLE
# The meminfo at ``position`` has no MemTotal; ``text`` is how it begins.
NO_TOTAL = REASON_NO_TOTAL
# A line of the meminfo at ``position`` has a name and no number; ``text`` is that line.
NO_NUMBER = REASON_NO_NUMBER
# buddyinfo is not a list of free blocks.
NOT_LISTED = REASON_NOT_LISTED
# Nothing cheaper than a whole sample was prepared.
NOT_KEPT = REASON_NOT_KEPT


# The same in C, filled without the GIL.
cdef struct Fault:
    int reason
    int error
    Py_ssize_t position
    size_t length
    char text[FAULT_TEXT]


cdef inline int fault(Fault *out, int reason, const char *at, const char *end) noexcept nogil:
    """Keep a reason and the text that it is about, and return the reason."""
    out.reason = reason
    out.error = 0
    out.length = min(<size_t>(end - at), <size_t>FAULT_TEXT)
    if out.length:
        memcpy(out.text, at, out.length)
    return reason


@cython.final
cdef class Missed:
    """Why there are no figures: ``reason`` is one of this module's constants, whose comments say what else is set.

    ``position`` is -1 where no one file or hypercall is the cause, ``error`` 0, ``text`` empty and ``table`` None.
    """

    cdef readonly int reason
    cdef readonly int error
    cdef readonly Py_ssize_t position
    cdef readonly bytes text
    cdef readonly object table

    def __init__(self, int reason, Py_ssize_t position=-1, int error=0, bytes text not None=b"", table=None):
        self.reason = reason
        self.position = position
        self.error = error
        self.text = text
        self.table = table

    def __repr__(self):
        return f"<Missed {self.reason}: position {self.position}, errno {self.error}, {self.text!r}>"


cdef Missed missed(int reason, Py_ssize_t position=-1, int error=0, table=None):
    cdef Missed made = Missed.__new__(Missed)
    made.reason = reason
    made.error = error
    made.position = position
    made.text = b""
    made.table = table
    return made


cdef Missed missed_for(Fault *found):
    cdef Missed made = missed(found.reason, found.position, found.error)
    if found.length:
        made.text = PyBytes_FromStringAndSize(found.text, <Py_ssize_t>found.length)
    return made
