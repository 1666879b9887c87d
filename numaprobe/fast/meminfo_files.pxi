# ---- Sampling Linux: the files of all nodes held open, read and scanned in one go ----

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

cdef int NOT_THE_SAME = ESTALE
cdef int AFTER_FORK = ECHILD
# Nanoseconds between two looks for what came, which no file that is read anyway tells: a node, a cpu. A look costs a
# third of a node's meminfo; a node that goes is noticed by every read.
cdef int64_t LOOK_EVERY = 1_000_000


cdef class MeminfoFiles:
    """``meminfo`` of every node, held open; and what tells that nodes or cpus came or went.

    ``ids`` and ``paths`` name each node and its file; ``directory`` is the one that nodes come and go in, None where
    there is none; ``cpus`` is the file that lists the online cpus. ``errors`` has each path's errno, 0 for one that is
    open. May be shared by threads. There is no ``close``: descriptors are closed with the last reference, so that a
    thread that still reads cannot read another file under an old number.
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

    def __cinit__(self):
        self.count = 0
        self.descriptors = NULL
        self.ids = self.sizes = NULL
        self.directory = self.cpu_list = self.buddy = -1
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
        if fd >= 0:
            with nogil:
                got = pread_fd(fd, room, SAMPLE_ROOM, 0)
        return None if got < 0 else PyBytes_FromStringAndSize(room, got)

    cdef int _look(self, int64_t now) noexcept nogil:
        """Whether nodes or cpus came or went, if it was not looked for just now: 0, or ``NOT_THE_SAME``."""
        cdef np_stamp stamp
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got
        if now - np_load(&self.looked) < LOOK_EVERY:
            return 0
        if self.directory >= 0 and (
            np_read_stamp(self.directory, &stamp) or memcmp(&stamp, &self.stamp, sizeof(np_stamp)) != 0
        ):
            return NOT_THE_SAME
        if self.cpu_length >= 0:
            got = pread_fd(self.cpu_list, room, SAMPLE_ROOM, 0)
            if got != self.cpu_length or memcmp(room, self.cpu_data, <size_t>got) != 0:
                return NOT_THE_SAME
        np_store(&self.since_1970, np_nanoseconds(CLOCK_REALTIME) - np_nanoseconds(CLOCK_MONOTONIC))
        np_store(&self.looked, now)
        return 0

    cdef int _sweep(self, uint64_t *values, Py_ssize_t *failed) noexcept nogil:
        cdef char room[SAMPLE_ROOM]
        cdef ssize_t got
        cdef Py_ssize_t i = 0, k
        cdef int error
        while i < self.count:
            if self.descriptors[i] < 0:
                for k in range(MEMINFO_FIGURES):
                    values[k] = ABSENT
            else:
                got = pread_fd(self.descriptors[i], room, SAMPLE_ROOM, 0)
                if got < 0:
                    error = errno
                    if error == EINTR:
                        continue
                elif got == SAMPLE_ROOM:
                    error = EFBIG
                else:
                    error = scan_meminfo(room, room + got, values)
                if error:
                    failed[0] = i
                    return error
            values += MEMINFO_FIGURES
            i += 1
        return 0

    def read(self, type kind not None, origin, Figures base):
        """Read every node: figures of this kind, with ``origin`` attached; or why not, (position, errno, None).

        ESTALE: nodes or cpus came or went. EBADMSG: the file at this position has no MemTotal. ECHILD: the process
        is a forked child, which has to open files of its own. Where the totals are not those of ``base``, if that is
        not None, the answer is (-1, 0, figures).
        """
        cdef Figures found
        cdef int error
        cdef Py_ssize_t failed = -1
        if self.forks != forks:
            return -1, AFTER_FORK, None
        found = new_figures(kind, origin, self.count)
        with nogil:
            found.monotonic = np_nanoseconds(CLOCK_MONOTONIC)
            error = self._look(found.monotonic)
            found.wall = found.monotonic + np_load(&self.since_1970)
            if not error:
                error = self._sweep(found.values, &failed)
        if error:
            return failed, error, None
        if base is not None and not found.same_totals(base):
            return -1, 0, found
        return found

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

    def keep_free(self, Files files not None, str path, uint64_t page_size, Figures figures not None):
        """Prepare ``free`` with the file at ``path`` (``/proc/buddyinfo``), or for None with sysinfo(2); errno or 0.

        Before the object is shared, and once with success. ``figures`` say which nodes have memory: those must be in
        the file, and the others are known to have 0 free. sysinfo is of the whole running machine, so only for its
        only node, and refused (ESTALE) where the two totals differ, as they do under some hypervisors.
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
                return NOT_THE_SAME
            return 0
        # A node's part is well below 512 bytes.
        self.in_pieces = self.count > 4
        self.buddy = open_below(files, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        return -self.buddy if self.buddy < 0 else 0

    cdef int _read_buddy(self, uint64_t *pages) noexcept nogil:
        """Free pages by position of the node, ``ABSENT`` for one that is not named; 0 or an errno."""
        cdef char room[SAMPLE_ROOM]
        cdef const char *at
        cdef const char *end
        cdef const char *stop
        cdef size_t kept = 0
        cdef int64_t offset = 0
        cdef ssize_t got
        cdef Py_ssize_t i, position = 0
        cdef uint64_t node, free_pages
        cdef int error
        for i in range(self.count):
            pages[i] = ABSENT
        while True:
            got = pread_fd(self.buddy, room + kept, SAMPLE_ROOM - kept, offset)
            if got < 0:
                error = errno
                if error == EINTR:
                    continue
                return error
            if got == 0:
                return NO_SCAN if kept else 0
            offset += got
            at = room
            end = room + kept + got
            while True:
                stop = <const char *>memchr(at, c"\n", <size_t>(end - at)) if at < end else NULL
                if stop == NULL:
                    break
                if scan_buddy_line(at, stop, &node, &free_pages):
                    return NO_SCAN
                at = stop + 1
                # Nodes come in order, with several zones each.
                for i in range(self.count):
                    if self.ids[position] == node:
                        break
                    position = (position + 1) % self.count
                if self.count == 0 or self.ids[position] != node:
                    return NOT_THE_SAME
                pages[position] = free_pages if pages[position] == ABSENT else pages[position] + free_pages
            # A read ends before a node only where that does not fit in what is left of a page (seq_read_iter of
            # Linux's fs/seq_file.c, frag_show of mm/vmstat.c), and a node is some hundred bytes.
            if got < PAGE // 2 and at == end:
                return 0
            if not self.in_pieces:
                return EFBIG
            kept = <size_t>(end - at)
            if kept == SAMPLE_ROOM:
                return EFBIG
            if kept:
                memmove(room, at, kept)

    def free(self):
        """Free bytes by node, as ``keep_free`` said; or why not, as for ``read``."""
        cdef uint64_t few[64]
        cdef uint64_t *found = few
        cdef uint64_t total = 0
        cdef Py_ssize_t i
        cdef int error
        cdef dict out
        if self.forks != forks:
            return -1, AFTER_FORK, None
        if self.whole_machine:
            with nogil:
                error = self._look(np_nanoseconds(CLOCK_MONOTONIC)) or np_sysinfo(&total, found)
            # Memory that came may be another node's.
            if not error and total != self.sizes[0] * 1024:
                error = NOT_THE_SAME
            return (-1, error, None) if error else {self.ids[0]: found[0]}
        if self.buddy < 0:
            return -1, EBADF, None
        if self.count > 64:
            found = <uint64_t *>PyMem_Malloc(self.count * sizeof(uint64_t))
            if found == NULL:
                raise MemoryError()
        try:
            with nogil:
                error = self._look(np_nanoseconds(CLOCK_MONOTONIC))
                if not error:
                    # A file of procfs that is read in several pieces goes on where its last reader stopped, so that
                    # two readers of one descriptor would mix two moments in one line.
                    if self.in_pieces:
                        PyThread_acquire_lock(self.lock, WAIT_LOCK)
                    error = self._read_buddy(found)
                    if self.in_pieces:
                        PyThread_release_lock(self.lock)
            if error:
                return -1, error, None
            out = {}
            for i in range(self.count):
                if (found[i] == ABSENT) != (self.sizes[i] == 0):
                    return -1, NOT_THE_SAME, None
                out[self.ids[i]] = 0 if found[i] == ABSENT else found[i] * self.page_size
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


cdef int open_below(Files files, str path, int flags) except? -1:
    """A descriptor of a path below the root of ``files``, or a negated errno."""
    cdef bytes encoded = whole(path)
    cdef const char *raw = encoded
    cdef int fd, root = files.root
    cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if files.contained else 0
    cdef bint regular = files.regular and not flags & O_PATH
    with nogil:
        fd = open_retrying(root, raw, flags, resolve)
        if fd >= 0 and regular and not np_is_regular(fd):
            close_fd(fd)
            fd = -EINVAL
    return fd
