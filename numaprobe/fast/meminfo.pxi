# ---- Figures of one moment, and the files that they are scanned from: meminfo, buddyinfo, vmstat ----

cdef extern from "fast/objects.h":
    object np_new(object type, object nothing)
    bint np_is_kind(object type, object base)
    const void *memrchr(const void *text, int character, size_t length) nogil


cdef enum:
    # MemTotal and MemFree in kB; HugePages_Total, _Free and _Surp of the default size.
    MEMINFO_FIGURES = 5
    # Active(file), Inactive(file), KReclaimable and SReclaimable in kB, from which available memory is computed.
    CACHE_FIGURES = 4
    # 2**63 bytes in pages, far above any machine; and above any MAX_PAGE_ORDER.
    MAX_ORDERS = 40

cdef enum:
    NOT_A_BLOCK_LIST = -1

cdef uint64_t ABSENT = <uint64_t>-1
cdef uint64_t MAX_PAGES = <uint64_t>1 << 52


cdef inline const char *take_count(const char *at, const char *end, uint64_t *value) noexcept nogil:
    """The end of a number of at most 18 digits that begins here, or NULL; white space before it is passed over."""
    cdef const char *start
    cdef uint64_t total = 0
    cdef unsigned int digit
    while at < end and at[0] == c" ":
        at += 1
    start = at
    while at < end:
        digit = <unsigned int>(<unsigned char>at[0]) - c"0"
        if digit > 9:
            break
        total = total * 10 + digit
        at += 1
    value[0] = total
    return at if 0 < at - start <= 18 and (at == end or is_blank(at[0])) else NULL


cdef inline bint take_value(const char *at, const char *end, uint64_t *value) noexcept nogil:
    """One number as above, or one of up to 64 bits in any white space."""
    cdef Text text
    if take_count(at, end, value) != NULL:
        return True
    text.at = at
    text.end = end
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    return scan_decimal(&text, value) and (text.at == text.end or is_blank(text.at[0]))


cdef inline const char *without_label(const char *at, const char *end) noexcept nogil:
    """Where a line of meminfo begins behind white space and ``Node N``."""
    cdef uint64_t label
    cdef Text text
    text.at = at
    text.end = end
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    if text.end - text.at > 5 and memcmp(text.at, b"Node ", 5) == 0:
        text.at += 5
        if scan_decimal(&text, &label):
            while text.at < text.end and is_blank(text.at[0]):
                text.at += 1
    return text.at


cdef int scan_meminfo(const char *at, const char *end, uint64_t *out, Fault *why) noexcept nogil:
    """0, or the reason why a figure that should be there is not; the figure is then absent, and the others are there.

    MemTotal and MemFree begin the file and the huge pages end it, so it is scanned from both ends.
    """
    cdef const char *begin = at
    cdef const char *line
    cdef const char *stop
    cdef const char *name
    cdef const char *front = at
    cdef int i, found = 0, reason = 0
    for i in range(MEMINFO_FIGURES):
        out[i] = ABSENT
    while at < end and found < 2:
        stop = line_end(at, end)
        line = at
        name = without_label(at, stop)
        at = stop + 1
        if stop - name > 9 and memcmp(name, b"MemTotal:", 9) == 0:
            i, name = 0, name + 9
        elif stop - name > 8 and memcmp(name, b"MemFree:", 8) == 0:
            i, name = 1, name + 8
        else:
            continue
        if out[i] == ABSENT:
            if not take_value(name, stop, &out[i]):
                out[i] = ABSENT
                reason = fault(why, REASON_NO_NUMBER, line, stop)
            found += 1
            front = at
    if out[0] == ABSENT and not reason:
        reason = fault(why, REASON_NO_TOTAL, begin, line_end(begin, end) if begin < end else end)
    found = 0
    while end > front and found < 3:
        if (end - 1)[0] == c"\n":
            end -= 1
        name = <const char *>memrchr(front, c"\n", <size_t>(end - front))
        stop = end
        end = front if name == NULL else name + 1
        name = without_label(end, stop)
        if stop - name < 16 or memcmp(name, b"HugePages_", 10) != 0:
            continue
        name += 10
        if memcmp(name, b"Total:", 6) == 0:
            i, name = 2, name + 6
        elif memcmp(name, b"Free:", 5) == 0:
            i, name = 3, name + 5
        elif memcmp(name, b"Surp:", 5) == 0:
            i, name = 4, name + 5
        else:
            continue
        if not take_value(name, stop, &out[i]):
            out[i] = ABSENT
            reason = fault(why, REASON_NO_NUMBER, end, stop)
        found += 1
    return reason


cdef void scan_caches(const char *at, const char *end, uint64_t *out) noexcept nogil:
    """What could be reclaimed, absent where a line is not there or has no number."""
    cdef const char *stop
    cdef const char *name
    cdef int i, found = 0
    for i in range(CACHE_FIGURES):
        out[i] = ABSENT
    while at < end and found < CACHE_FIGURES:
        stop = line_end(at, end)
        name = without_label(at, stop)
        at = stop + 1
        if stop - name > 13 and memcmp(name, b"Active(file):", 13) == 0:
            i, name = 0, name + 13
        elif stop - name > 15 and memcmp(name, b"Inactive(file):", 15) == 0:
            i, name = 1, name + 15
        elif stop - name > 13 and memcmp(name, b"KReclaimable:", 13) == 0:
            i, name = 2, name + 13
        elif stop - name > 13 and memcmp(name, b"SReclaimable:", 13) == 0:
            i, name = 3, name + 13
        else:
            continue
        if not take_value(name, stop, &out[i]):
            out[i] = ABSENT
        found += 1


cdef int scan_buddy_line(const char *at, const char *end, uint64_t *node, uint64_t *pages) noexcept nogil:
    """One line of ``/proc/buddyinfo``: a node, and the pages that are free in one of its zones; 0 or
    ``NOT_A_BLOCK_LIST``.

    The byte at ``end`` is there, and neither a blank nor a digit: a newline, or the NUL behind a ``bytes``.
    """
    cdef Text text
    cdef const char *start
    cdef uint64_t blocks
    cdef unsigned int order = 0, digit
    text.at = at
    text.end = end
    if not word_is(&text, b"Node", 4) or not scan_decimal(&text, node):
        return NOT_A_BLOCK_LIST
    while text.at < text.end and (text.at[0] == c"," or is_blank(text.at[0])):
        text.at += 1
    if not word_is(&text, b"zone", 4):
        return NOT_A_BLOCK_LIST
    at = text.at
    while at < end and not is_blank(at[0]):
        at += 1
    pages[0] = 0
    while True:
        while at[0] == c" ":
            at += 1
        start = at
        blocks = 0
        while True:
            digit = <unsigned int>(<unsigned char>at[0]) - c"0"
            if digit > 9:
                break
            blocks = blocks * 10 + digit
            at += 1
        if at == start:
            return 0 if at == end and order else NOT_A_BLOCK_LIST
        if at - start > 18 or order == MAX_ORDERS or blocks > MAX_PAGES >> order:
            return NOT_A_BLOCK_LIST
        pages[0] += blocks << order
        if pages[0] > MAX_PAGES:
            return NOT_A_BLOCK_LIST
        order += 1
        if at[0] != c" " and at != end:
            return NOT_A_BLOCK_LIST


cdef class MeminfoTable:
    """Figures of one moment, a row for each file or cell; and when that was, in nanoseconds, -1 if no clock was read.

    ``wall`` is since 1970, ``monotonic`` as ``time.monotonic_ns``; both are of before the first was read.
    ``origin`` is what the reader was given to attach, and ``derived`` is for what is made of the figures later.
    ``faults`` says, by ``Missed``, which figures should be there and are not; None where all are.
    """

    cdef Py_ssize_t count
    cdef uint64_t *values
    cdef uint64_t *caches
    cdef readonly int64_t wall
    cdef readonly int64_t monotonic
    cdef public object origin
    cdef public object derived
    cdef readonly list faults

    def __cinit__(self):
        self.values = NULL
        self.caches = NULL
        self.wall = self.monotonic = -1

    cdef int allocate(self, Py_ssize_t count) except -1:
        self.values = <uint64_t *>PyMem_Malloc((count or 1) * MEMINFO_FIGURES * sizeof(uint64_t))
        if self.values == NULL:
            raise MemoryError()
        self.count = count
        return 0

    cdef int allocate_caches(self) except -1:
        self.caches = <uint64_t *>PyMem_Malloc((self.count or 1) * CACHE_FIGURES * sizeof(uint64_t))
        if self.caches == NULL:
            raise MemoryError()
        return 0

    def __dealloc__(self):
        PyMem_Free(self.values)
        PyMem_Free(self.caches)

    def cache_rows(self):
        """A tuple for each file of what could be reclaimed, in kB: active and inactive file pages, and slab.

        None where the file does not say. None instead of the list where it was not read.
        """
        cdef list out = []
        cdef Py_ssize_t i
        cdef uint64_t *row
        cdef uint64_t slab
        if self.caches == NULL:
            return None
        for i in range(self.count):
            row = self.caches + i * CACHE_FIGURES
            slab = row[3] if row[2] == ABSENT else row[2]
            out.append((
                None if row[0] == ABSENT else row[0],
                None if row[1] == ABSENT else row[1],
                None if slab == ABSENT else slab,
            ))
        return out

    def rows(self):
        """A tuple for each file or cell, None in it for a figure that is not there."""
        cdef list out = []
        cdef Py_ssize_t i
        cdef uint64_t *row
        for i in range(self.count):
            row = self.values + i * MEMINFO_FIGURES
            out.append((
                None if row[0] == ABSENT else row[0],
                None if row[1] == ABSENT else row[1],
                None if row[2] == ABSENT else row[2],
                None if row[3] == ABSENT else row[3],
                None if row[4] == ABSENT else row[4],
            ))
        return out

    cdef int add_fault(self, Fault *why) except -1:
        if self.faults is None:
            self.faults = []
        self.faults.append(missed_for(why))
        return 0

    cdef bint same_totals(self, MeminfoTable other) noexcept:
        cdef Py_ssize_t i
        if other.count != self.count:
            return False
        for i in range(self.count):
            if self.values[i * MEMINFO_FIGURES] != other.values[i * MEMINFO_FIGURES]:
                return False
        return True


cdef MeminfoTable new_figures(type kind, origin, Py_ssize_t count):
    cdef MeminfoTable made
    if not np_is_kind(kind, MeminfoTable):
        raise TypeError("not a kind of MeminfoTable")
    made = np_new(kind, ())
    made.allocate(count)
    made.origin = origin
    return made


def meminfo_figures(list contents not None, type kind not None=MeminfoTable, origin=None, int64_t wall=-1,
                    int64_t monotonic=-1, bint with_caches=False):
    """Figures of files that were read already; ``contents`` holds ``bytes``, or anything else for a missing file."""
    cdef Py_ssize_t i, count = len(contents)
    cdef MeminfoTable found = new_figures(kind, origin, count)
    cdef uint64_t *row
    cdef Fault why
    cdef int k
    cdef const char *at
    found.wall = wall
    found.monotonic = monotonic
    if with_caches:
        found.allocate_caches()
    for i in range(count):
        row = found.values + i * MEMINFO_FIGURES
        content = contents[i]
        if isinstance(content, bytes):
            at = PyBytes_AS_STRING(content)
            why.position = i
            if scan_meminfo(at, at + PyBytes_GET_SIZE(content), row, &why):
                found.add_fault(&why)
            if with_caches:
                scan_caches(at, at + PyBytes_GET_SIZE(content), found.caches + i * CACHE_FIGURES)
        else:
            for k in range(MEMINFO_FIGURES):
                row[k] = ABSENT
            if with_caches:
                scan_caches(NULL, NULL, found.caches + i * CACHE_FIGURES)
    return found


def buddy_pages(bytes content not None):
    """Pages that ``/proc/buddyinfo`` says are free, by node."""
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef uint64_t node, pages
    cdef dict out = {}
    while at < end:
        stop = line_end(at, end)
        if stop > at:
            if scan_buddy_line(at, stop, &node, &pages):
                raise ValueError("not a list of free blocks")
            out[node] = out.get(node, 0) + pages
        at = stop + 1
    return out


def words(bytes content not None, tuple names not None):
    """Values of ``name number`` lines, by the position of the name; None for a name that is not there."""
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef Text text
    cdef uint64_t value
    cdef dict found = dict.fromkeys(names)
    cdef list out
    cdef bytes name
    while at < end:
        stop = line_end(at, end)
        text.at = at
        text.end = stop
        while text.at < stop and not is_blank(text.at[0]):
            text.at += 1
        name = PyBytes_FromStringAndSize(at, text.at - at)
        if name in found:
            if not take_value(text.at, stop, &value):
                raise ValueError(f"{name.decode('ascii', 'replace')} without a number")
            found[name] = value
        at = stop + 1
    out = []
    for wanted in names:
        out.append(found[wanted])
    return tuple(out)
