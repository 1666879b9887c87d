# ---- /proc/zoneinfo, which may have tens of megabytes: scanned in pieces, of which none is kept ----

cdef enum:
    ZONEINFO_PIECE = 65536
    # Eight on each of 1,024 nodes; as linux/text.py has it.
    MAX_ZONES = 8192


cdef class ZoneScanner:
    """Takes text piece by piece and gathers its zones."""

    cdef list zones
    cdef object node, name, low, high, managed
    cdef tuple protection
    cdef bint skipping

    def __cinit__(self):
        self.zones = []
        self.node = self.name = self.low = self.high = self.managed = None
        self.protection = ()
        self.skipping = False

    cdef int end_zone(self) except -1:
        if self.node is not None:
            self.zones.append((self.node, self.name, self.low, self.high, self.managed, self.protection))
        self.node = None
        return 0

    cdef const char *take(self, const char *at, const char *end, bint is_last) except NULL:
        """Scan whole lines, the last one without a newline too if ``is_last``; where the rest begins.

        The byte before ``at`` is a newline.
        """
        cdef const char *stop
        cdef Text text
        cdef uint64_t value
        while at < end:
            if self.skipping:
                # A paragraph for each cpu is nearly all of the file on a large machine, and none of its words has an N.
                stop = <const char *>memchr(at, c"N", <size_t>(end - at))
                while stop != NULL and not (
                    (stop - 1)[0] == c"\n" and end - stop >= 5 and memcmp(stop, b"Node ", 5) == 0
                ):
                    stop = <const char *>memchr(stop + 1, c"N", <size_t>(end - stop - 1))
                if stop == NULL:
                    # The beginning of the line that is searched for may stand at the end.
                    while end > at and (end - 1)[0] != c"\n":
                        end -= 1
                    return end
                at = stop
                self.skipping = False
            stop = <const char *>memchr(at, c"\n", <size_t>(end - at))
            if stop == NULL:
                if not is_last:
                    return at
                stop = end
            text.at = at
            text.end = stop
            at = stop + 1
            if text.end - text.at > 5 and memcmp(text.at, b"Node ", 5) == 0:
                self.end_zone()
                self.begin_zone(&text)
                continue
            if self.node is None:
                continue
            while text.at < text.end and is_blank(text.at[0]):
                text.at += 1
            if text.at == text.end:
                continue
            # Per-cpu lines ("high:  12") have a colon behind the word and so are not taken for a watermark.
            if text.at[0] == c"l" and word_is(&text, b"low", 3):
                if scan_decimal(&text, &value) and self.low is None:
                    self.low = value
            elif text.at[0] == c"h" and word_is(&text, b"high", 4):
                if scan_decimal(&text, &value) and self.high is None:
                    self.high = value
            elif text.at[0] == c"m" and word_is(&text, b"managed", 7):
                if scan_decimal(&text, &value) and self.managed is None:
                    self.managed = value
            elif text.at[0] == c"p" and word_is(&text, b"protection:", 11):
                self.protection = numbers_in(&text)
                self.skipping = self.managed is not None
        return end

    cdef int begin_zone(self, Text *text) except -1:
        cdef uint64_t value
        if len(self.zones) >= MAX_ZONES:
            raise ValueError("more zones than any kernel has")
        text.at += 5
        if not scan_decimal(text, &value):
            raise ValueError("a zone without a node")
        self.low = self.high = self.managed = None
        self.protection = ()
        while text.at < text.end and (text.at[0] == c"," or is_blank(text.at[0])):
            text.at += 1
        if not word_is(text, b"zone", 4):
            raise ValueError("a node without a zone")
        self.name = (<bytes>text.at[:text.end - text.at]).decode("ascii", "replace")
        self.node = value
        return 0


cdef tuple numbers_in(Text *text):
    cdef list values = []
    cdef uint64_t value
    while text.at < text.end:
        if scan_decimal(text, &value):
            values.append(value)
        else:
            text.at += 1
    return tuple(values)


def zones(bytes content not None):
    """Zones of ``/proc/zoneinfo``: tuples (node, name, low, high, managed, protection), sizes in pages.

    ``low``, ``high`` and ``managed`` are None where the zone does not say (an unpopulated one stops early);
    ``protection`` is a tuple with a value for each zone of the node.
    """
    cdef ZoneScanner scanner = ZoneScanner.__new__(ZoneScanner)
    cdef bytes text = b"\n" + content
    cdef const char *at = PyBytes_AS_STRING(text)
    scanner.take(at + 1, at + PyBytes_GET_SIZE(text), True)
    scanner.end_zone()
    return scanner.zones


cdef object zones_of(int directory, const char *path, uint64_t resolve, bint regular):
    """Zones as ``zones`` gives them, of a file that is read in pieces; or an errno."""
    cdef ZoneScanner scanner = ZoneScanner.__new__(ZoneScanner)
    cdef char *room
    cdef const char *rest
    cdef size_t kept = 0
    cdef ssize_t got
    cdef int fd, error = 0
    with nogil:
        fd = open_retrying(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
    if fd < 0:
        return -fd
    room = <char *>malloc(ZONEINFO_PIECE + 1)
    try:
        if room == NULL:
            raise MemoryError()
        if regular and not np_is_regular(fd):
            return EINVAL
        room[0] = c"\n"
        while True:
            with nogil:
                got = read_fd(fd, room + 1 + kept, ZONEINFO_PIECE - kept)
                error = errno if got < 0 else 0
            if error == EINTR:
                continue
            if error:
                return error
            rest = scanner.take(room + 1, room + 1 + kept + got, got == 0)
            if got == 0:
                scanner.end_zone()
                return scanner.zones
            kept = <size_t>(room + 1 + kept + got - rest)
            if kept == ZONEINFO_PIECE:
                raise ValueError("a line without an end")
            if kept:
                memmove(room + 1, rest, kept)
    finally:
        free(room)
        close_fd(fd)
