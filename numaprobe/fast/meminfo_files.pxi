# ---- Sampling Linux: the files of all nodes held open, read and scanned in one call ----

cdef extern from "fast/moments.h":
    struct np_stamp:
        pass
    ctypedef int clockid_t
    clockid_t CLOCK_MONOTONIC, CLOCK_REALTIME
    int np_read_stamp(int fd, np_stamp *out) nogil
    int64_t np_nanoseconds(clockid_t clock) nogil
    int np_sysinfo(uint64_t *total, uint64_t *unused) nogil
    int64_t np_load(int64_t *source) nogil
    void np_store(int64_t *target, int64_t value) nogil


cdef enum:
    # meminfo of a node is near 1.5 kB and cannot exceed a page; /proc/meminfo is near 2 kB.
    SAMPLE_ROOM = 16384

# Nanoseconds between two looks for what was added, which no file that is read anyway shows: a node, a cpu. A look costs
# a third of a node's meminfo; a node that was removed is noticed by every read.
cdef int64_t LOOK_EVERY = 1_000_000


cdef class MeminfoFiles:
    """``meminfo`` of every node, held open; and what shows that nodes or cpus were added or removed.

    ``ids`` and ``paths`` name each node and its file; ``directory`` is the nodes' own, None where there is none;
    ``cpus`` is the file that lists the online cpus. ``errors`` has each path's errno, 0 for one that is open, and
    ``cpus_error`` that of ``cpus``. May be shared by threads. There is no ``close``: descriptors are closed with the
    last reference, so that a thread that still reads cannot read another file under an old number.
    """

    cdef Py_ssize_t count
    cdef int *descriptors
    cdef uint64_t *ids
    cdef uint64_t *sizes
    cdef int directory
    cdef int cpu_list
    cdef int buddy
    cdef np_stamp stamp
    cdef bytes cpu_text
    cdef const char *cpu_data
    cdef ssize_t cpu_length
    cdef int64_t looked
    cdef int64_t since_1970
    cdef uint64_t page_size
    cdef bint whole_machine
    cdef bint in_pieces
    cdef unsigned long forks
    cdef PyThread_type_lock lock
    cdef readonly tuple errors
    cdef readonly int cpus_error
    cdef int64_t reopen_at

    def __cinit__(self):
        self.count = 0
        self.descriptors = NULL
        self.ids = self.sizes = NULL
        self.directory = self.cpu_list = self.buddy = -1
        self.reopen_at = 0
        self.cpu_length = -1
        self.forks = forks
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __init__(self, Files files not None, tuple ids not None, tuple paths not None, str directory,
                 str cpus not None):
        cdef Py_ssize_t i, count = len(ids)
        cdef list errors = []
        if self.descriptors != NULL:
            raise RuntimeError("MeminfoFiles is initialised once")
        if len(paths) != count:
            raise ValueError("a path for every node")
        files._check_open()
        self.descriptors = <int *>PyMem_Malloc((count or 1) * sizeof(int))
        self.ids = <uint64_t *>PyMem_Malloc((count or 1) * sizeof(uint64_t))
        if self.descriptors == NULL or self.ids == NULL:
            raise MemoryError()
        if directory is not None:
            self.directory = open_below(files, directory, O_PATH | O_DIRECTORY | O_CLOEXEC)
            if self.directory < 0 or np_read_stamp(self.directory, &self.stamp):
                raise OSError(ENOENT, os.strerror(ENOENT), directory)
        for i in range(count):
            self.ids[i] = ids[i]
            self.descriptors[i] = open_below(files, paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
            errors.append(-self.descriptors[i] if self.descriptors[i] < 0 else 0)
            self.count = i + 1
        self.errors = tuple(errors)
        self.cpu_list = open_below(files, cpus, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        self.cpu_text = self._read_cpus()
        if self.cpu_text is not None:
            self.cpu_data = PyBytes_AS_STRING(self.cpu_text)
            self.cpu_length = PyBytes_GET_SIZE(self.cpu_text)
        self.since_1970 = np_nanoseconds(CLOCK_REALTIME) - np_nanoseconds(CLOCK_MONOTONIC)
        self.looked = np_nanoseconds(CLOCK_MONOTONIC)

    @property
    def cpus(self):
        """The list of online cpus as it was when the files were opened; None where it cannot be read."""
        return self.cpu_text

    cdef bytes _read_cpus(self):
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got = -1
        cdef int fd = self.cpu_list
        if fd < 0:
            self.cpus_error = -fd
            return None
        with nogil:
            got = pread_lines(fd, room, SAMPLE_ROOM)
            self.cpus_error = errno if got < 0 else 0
        return None if got < 0 else PyBytes_FromStringAndSize(room, got)

    def reopen_in(self, int64_t nanoseconds):
        """Have the next read after so long say ``CHANGED``, because something could not be opened this time."""
        self.reopen_at = np_nanoseconds(CLOCK_MONOTONIC) + nanoseconds

    cdef int _look(self, int64_t now) noexcept nogil:
        """Whether nodes or cpus were added or removed, unless that was looked at just now: 0, or ``REASON_CHANGED``."""
        cdef np_stamp stamp
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got
        if now - np_load(&self.looked) < LOOK_EVERY:
            return 0
        if self.reopen_at and now >= self.reopen_at:
            return REASON_CHANGED
        if self.directory >= 0 and (
            np_read_stamp(self.directory, &stamp) or memcmp(&stamp, &self.stamp, sizeof(np_stamp)) != 0
        ):
            return REASON_CHANGED
        if self.cpu_length >= 0:
            got = pread_lines(self.cpu_list, room, SAMPLE_ROOM)
            if got != self.cpu_length or memcmp(room, self.cpu_data, <size_t>got) != 0:
                return REASON_CHANGED
        np_store(&self.since_1970, np_nanoseconds(CLOCK_REALTIME) - np_nanoseconds(CLOCK_MONOTONIC))
        np_store(&self.looked, now)
        return 0

    cdef int _sweep(self, uint64_t *values, uint64_t *caches, Fault *why, bint *broken) noexcept nogil:
        """Every node's figures; 0, or the reason of the first file that fails; ``broken`` if a figure is missing."""
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got
        cdef Py_ssize_t i = 0, k
        cdef int error
        while i < self.count:
            if self.descriptors[i] < 0:
                for k in range(MEMINFO_FIGURES):
                    values[k] = ABSENT
                if caches != NULL:
                    scan_caches(NULL, NULL, caches)
            else:
                got = pread_lines(self.descriptors[i], room, SAMPLE_ROOM)
                error = errno if got < 0 else EFBIG if got == SAMPLE_ROOM else 0
                why.position = i
                if error:
                    fault(why, REASON_UNREADABLE, room, room)
                    why.error = error
                    return REASON_UNREADABLE
                if scan_meminfo(room, room + got, values, why):
                    broken[0] = True
                    return why.reason
                if caches != NULL:
                    scan_caches(room, room + got, caches)
            values += MEMINFO_FIGURES
            caches += CACHE_FIGURES if caches != NULL else 0
            i += 1
        return 0

    def read(self, type kind not None, origin, MeminfoTable base, bint lenient=False, bint with_caches=False):
        """Read every node: figures of this kind, with ``origin`` attached; or why not, a ``Missed``.

        Where the totals are not those of ``base``, if that is not None, the reason is ``RESIZED`` and ``table`` has
        the figures. A file with a figure missing gives no figures at all, or if ``lenient`` those that are there, and
        ``faults``. ``with_caches`` scans the same text for what could be reclaimed too.
        """
        cdef MeminfoTable found
        cdef Fault why
        cdef bint broken = False
        cdef int reason
        if self.forks != forks:
            return missed(REASON_FORKED)
        found = new_figures(kind, origin, self.count)
        if with_caches:
            found.allocate_caches()
        fault(&why, 0, NULL, NULL)
        why.position = -1
        with nogil:
            found.monotonic = np_nanoseconds(CLOCK_MONOTONIC)
            reason = self._look(found.monotonic)
            found.wall = found.monotonic + np_load(&self.since_1970)
            if reason:
                why.reason = reason
            else:
                reason = self._sweep(found.values, found.caches, &why, &broken)
        if reason:
            return self._read_leniently(found, base) if broken and lenient else missed_for(&why)
        if base is not None and not found.same_totals(base):
            return missed(REASON_RESIZED, -1, 0, found)
        return found

    cdef object _read_leniently(self, MeminfoTable found, MeminfoTable base):
        """Figures of which some are missing, read one file after the other."""
        cdef MeminfoTable table
        cdef list contents = []
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got
        cdef Py_ssize_t i
        cdef int error, fd
        for i in range(self.count):
            fd = self.descriptors[i]
            if fd < 0:
                contents.append(None)
                continue
            with nogil:
                got = pread_lines(fd, room, SAMPLE_ROOM)
                error = errno if got < 0 else 0
            if error:
                return missed(REASON_UNREADABLE, i, error)
            contents.append(PyBytes_FromStringAndSize(room, got))
        table = meminfo_figures(contents, type(found), found.origin, found.wall, found.monotonic, found.caches != NULL)
        if base is not None and not table.same_totals(base):
            return missed(REASON_RESIZED, -1, 0, table)
        return table

    def alive(self):
        """For each node whether its file, if it was ever open, still belongs to one; a removed node's does not."""
        cdef Py_ssize_t i
        cdef char room[1]
        cdef ssize_t got
        cdef int fd
        cdef list out = []
        for i in range(self.count):
            fd = self.descriptors[i]
            with nogil:
                got = 0 if fd < 0 else pread_fd(fd, room, 1, 0)
            out.append(got >= 0)
        return tuple(out)

    def keep_free(self, Files files not None, str path, uint64_t page_size, MeminfoTable figures not None):
        """Prepare ``free`` with the file at ``path`` (``/proc/buddyinfo``), or for None with sysinfo(2); errno or 0.

        Before the object is shared, and once with success. ``figures`` say which nodes have memory: those must be in
        the file, and the others are known to have 0 free. sysinfo is of the whole running machine, so only for its
        only node, and refused (ENODATA) where the two totals differ, as they do under some hypervisors.
        """
        cdef Py_ssize_t i
        cdef uint64_t total = 0, unused = 0
        if self.sizes != NULL or figures.count != self.count or (path is None and self.count != 1):
            raise ValueError("not to be used in this way")
        self.sizes = <uint64_t *>PyMem_Malloc((self.count or 1) * sizeof(uint64_t))
        if self.sizes == NULL:
            raise MemoryError()
        for i in range(self.count):
            self.sizes[i] = figures.values[i * MEMINFO_FIGURES]
        self.page_size = page_size
        if path is None:
            self.whole_machine = np_sysinfo(&total, &unused) == 0 and total == self.sizes[0] * 1024
            if not self.whole_machine:
                PyMem_Free(self.sizes)
                self.sizes = NULL
                return ENODATA
            return 0
        # A node's part is well below 512 bytes.
        self.in_pieces = self.count > 4
        self.buddy = open_below(files, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        return -self.buddy if self.buddy < 0 else 0

    cdef int _read_buddy(self, uint64_t *pages, int *error) noexcept nogil:
        """Free pages by position of the node, ``ABSENT`` for one that is not named; 0 or a reason, with an errno."""
        cdef char room[SAMPLE_ROOM]
        cdef const char *at
        cdef const char *end
        cdef const char *stop
        cdef size_t kept = 0
        cdef int64_t offset = 0
        cdef ssize_t got
        cdef Py_ssize_t i, position = 0
        cdef uint64_t node, free_pages
        for i in range(self.count):
            pages[i] = ABSENT
        while True:
            got = pread_fd(self.buddy, room + kept, SAMPLE_ROOM - kept, offset)
            if got < 0:
                error[0] = errno
                if error[0] == EINTR:
                    error[0] = 0
                    continue
                return REASON_UNREADABLE
            if got == 0:
                return REASON_NOT_LISTED if kept else 0
            offset += got
            at = room
            end = room + kept + got
            while True:
                stop = <const char *>memchr(at, c"\n", <size_t>(end - at)) if at < end else NULL
                if stop == NULL:
                    break
                if scan_buddy_line(at, stop, &node, &free_pages):
                    return REASON_NOT_LISTED
                at = stop + 1
                # Nodes are in order, with several zones each.
                for i in range(self.count):
                    if self.ids[position] == node:
                        break
                    position = (position + 1) % self.count
                if self.count == 0 or self.ids[position] != node:
                    return REASON_CHANGED
                pages[position] = free_pages if pages[position] == ABSENT else pages[position] + free_pages
            # A read ends before a node only where that does not fit in what is left of a page (seq_read_iter of
            # Linux's fs/seq_file.c, frag_show of mm/vmstat.c), and a node is some hundred bytes.
            if got < PAGE // 2 and at == end:
                return 0
            if not self.in_pieces:
                return REASON_NOT_LISTED
            kept = <size_t>(end - at)
            if kept == SAMPLE_ROOM:
                return REASON_NOT_LISTED
            if kept:
                memmove(room, at, kept)

    def free(self):
        """Free bytes by node, as ``keep_free`` prepared; or why not, as for ``read``.

        More than the node has is not believed: the reason is then ``CHANGED``.
        """
        cdef uint64_t few[64]
        cdef uint64_t *found = few
        cdef uint64_t total = 0
        cdef Py_ssize_t i
        cdef int reason, error = 0
        cdef dict out
        if self.forks != forks:
            return missed(REASON_FORKED)
        if self.whole_machine:
            with nogil:
                reason = self._look(np_nanoseconds(CLOCK_MONOTONIC))
                if not reason:
                    error = np_sysinfo(&total, found)
            # Memory that was added may be another node's.
            if not reason and (error or total != self.sizes[0] * 1024 or found[0] > total):
                reason = REASON_CHANGED
            return missed(reason) if reason else {self.ids[0]: found[0]}
        if self.buddy < 0:
            return missed(REASON_NOT_KEPT)
        if self.count > 64:
            found = <uint64_t *>PyMem_Malloc(self.count * sizeof(uint64_t))
            if found == NULL:
                raise MemoryError()
        try:
            with nogil:
                reason = self._look(np_nanoseconds(CLOCK_MONOTONIC))
                if not reason:
                    # A file of procfs that is read in several pieces continues where its last reader stopped, so that
                    # two readers of one descriptor would mix two moments in one line.
                    if self.in_pieces:
                        PyThread_acquire_lock(self.lock, WAIT_LOCK)
                    reason = self._read_buddy(found, &error)
                    if self.in_pieces:
                        PyThread_release_lock(self.lock)
            if reason:
                return missed(reason, -1, error)
            out = {}
            for i in range(self.count):
                if (found[i] == ABSENT) != (self.sizes[i] == 0):
                    return missed(REASON_CHANGED)
                if found[i] == ABSENT:
                    out[self.ids[i]] = 0
                elif found[i] > self.sizes[i] * 1024 // self.page_size:
                    return missed(REASON_CHANGED)
                else:
                    out[self.ids[i]] = found[i] * self.page_size
            return out
        finally:
            if found != few:
                PyMem_Free(found)

    def __len__(self):
        return self.count

    def __dealloc__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            if self.descriptors[i] >= 0:
                close_fd(self.descriptors[i])
        for i in (self.directory, self.cpu_list, self.buddy):
            if i >= 0:
                close_fd(<int>i)
        PyMem_Free(self.descriptors)
        PyMem_Free(self.ids)
        PyMem_Free(self.sizes)
        # One that a thread of the parent held at the fork is left alone.
        if self.lock != NULL and self.forks == forks:
            PyThread_free_lock(self.lock)
