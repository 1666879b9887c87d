# ---- Files below a root, read by relative path ----


cdef class Files:
    """Files below one root directory, by relative path.

    With ``contained`` no path and no link leads out of the root: ``..`` and absolute links stop at it, as openat2(2)
    with RESOLVE_IN_ROOT does. Where the kernel does not have that call (before Linux 5.6, or behind an old seccomp
    filter) reads give ENOSYS or EPERM, and the caller has to resolve the links itself. With ``regular``, which
    ``contained`` includes, only regular files are read.

    May be shared by threads; ``close`` must not run during a read. Raises ``OSError`` if the root cannot be opened.
    """

    cdef int root
    cdef readonly bint contained
    cdef readonly bint regular
    cdef dict bases
    # Where answers are kept, if they are.
    cdef Seen seen

    def __cinit__(self):
        self.root = -1

    def __init__(self, root not None, *, bint contained=False, bint regular=False):
        if self.root >= 0:
            raise RuntimeError("Files is initialised once")
        cdef bytes path = whole(root)
        cdef const char *raw = path
        cdef int fd
        with nogil:
            fd = open_retrying(-100, raw, O_PATH | O_DIRECTORY | O_CLOEXEC, 0)
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), os.fsdecode(root))
        self.root = fd
        self.contained = contained
        self.regular = contained or regular
        self.bases = {}

    def read(self, paths not None, str base not None=""):
        """Contents by position: ``bytes``, or an ``int`` errno for a file that could not be read.

        ``paths`` is a list or tuple of ``str`` relative to ``base``, which is relative to the root. The directory
        ``base`` is opened once and kept, which spares the kernel the walk to it for every file.
        """
        self._check_open()
        cdef list names = list(paths)
        cdef list kept = []
        cdef Py_ssize_t i, count = len(names)
        cdef int directory = self._directory(base)
        cdef bint regular = self.regular
        cdef uint64_t resolve = (NP_RESOLVE_BENEATH if base else NP_RESOLVE_IN_ROOT) if self.contained else 0
        cdef bint base_of_procfs = base.startswith("proc")
        cdef Buffer buffer
        cdef Piece *pieces
        cdef const char **raw
        if count == 0:
            return []
        if directory < 0:
            return [-directory] * count
        pieces = <Piece *>PyMem_Malloc(count * sizeof(Piece))
        raw = <const char **>PyMem_Malloc(count * sizeof(char *))
        buffer.used = 0
        buffer.size = ROOM
        buffer.data = <char *>malloc(buffer.size)
        try:
            if pieces == NULL or raw == NULL or buffer.data == NULL:
                raise MemoryError()
            for i in range(count):
                raw[i] = c_path(names[i], kept)
            with nogil:
                for i in range(count):
                    pieces[i].error = read_path(
                        directory, raw[i], resolve, regular, base_of_procfs or of_procfs(raw[i]), &buffer, &pieces[i]
                    )
            if self.seen is not None:
                self._see(base, raw, &buffer, pieces, count)
            if resolve == NP_RESOLVE_BENEATH:
                self._read_again(names, base, &buffer, pieces)
            return pieces_to_list(&buffer, pieces, count)
        finally:
            free(buffer.data)
            PyMem_Free(raw)
            PyMem_Free(pieces)

    cdef int _not_seen(self) except -1:
        if self.seen is not None:
            self.seen.odd = True
        return 0

    cdef int _see(self, str base, const char **paths, Buffer *buffer, Piece *pieces, Py_ssize_t count) except -1:
        cdef Seen seen = self.seen
        cdef Piece *piece
        cdef const char *content
        cdef size_t length
        cdef Py_ssize_t i
        cdef int at = seen.base_of(base)
        for i in range(count):
            piece = &pieces[i]
            if seen.ignored and seen.ignores(paths[i]):
                continue
            # What a link leads out of the base to is read from the root.
            if piece.error == EXDEV:
                seen.odd = True
                continue
            # A file that could not be read has no place in the buffer.
            content = NULL if piece.error else buffer.data + piece.start
            length = 0 if piece.error else piece.length
            if see(&seen.buffer, SEEN_FILE, at, paths[i], b"", content, length, piece.error):
                raise MemoryError()
        return 0

    def watch(self, Seen seen):
        """Keep what is read from now on in ``seen``; None ends it."""
        if seen is not None:
            seen.begin()
        self.seen = seen

    def unchanged(self, Seen seen not None):
        """Whether all that was seen is so still. Everything is read again, and nothing is understood.

        False too if an answer is among it that was not kept, such as that of a symbolic link.
        """
        self._check_open()
        cdef Buffer buffer
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        cdef uint64_t beneath = NP_RESOLVE_BENEATH if self.contained else 0
        cdef bint regular = self.regular, same = False
        cdef Place places[MAX_PLACES]
        cdef int i, count = <int>len(seen.bases)
        if seen.odd or count > MAX_PLACES:
            return False
        for i in range(count):
            base = <str>seen.bases[i]
            places[i].directory = self._directory(base)
            places[i].resolve = beneath if base else resolve
            places[i].of_procfs = base.startswith("proc")
            if places[i].directory < 0:
                return False
        buffer.used = 0
        buffer.size = ROOM
        buffer.data = <char *>malloc(buffer.size)
        if buffer.data == NULL:
            raise MemoryError()
        with nogil:
            same = is_unchanged(&seen.buffer, places, regular, &buffer)
        free(buffer.data)
        return same

    cdef int _read_again(self, list paths, str base, Buffer *buffer, Piece *pieces) except -1:
        """Read what a link led out of the base from the root, out of which it may not lead."""
        cdef Py_ssize_t i
        cdef int root = self.root
        cdef bint to_end = base.startswith("proc")
        cdef bytes encoded
        cdef const char *raw
        for i in range(len(paths)):
            if pieces[i].error == EXDEV:
                encoded = whole(f"{base}/{paths[i]}")
                raw = PyBytes_AS_STRING(encoded)
                with nogil:
                    pieces[i].error = read_path(root, raw, NP_RESOLVE_IN_ROOT, True, to_end, buffer, &pieces[i])
        return 0

    def listdir(self, str path not None, str prefix not None=""):
        """Names in a directory that begin with ``prefix``, sorted, as ``str``; or an ``int`` errno."""
        self._check_open()
        cdef list kept = [path, prefix]
        cdef const char *raw = c_path(path or ".", kept)
        cdef const char *start = c_path(prefix, kept)
        cdef size_t start_length = strlen(start)
        cdef Py_ssize_t length
        cdef size_t at = 0
        cdef int fd, error = 0, root = self.root
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        cdef list found = []
        cdef Buffer buffer
        buffer.used = 0
        buffer.size = PAGE
        buffer.data = <char *>malloc(buffer.size)
        if buffer.data == NULL:
            raise MemoryError()
        try:
            with nogil:
                fd = open_retrying(root, raw, O_RDONLY | O_DIRECTORY | O_CLOEXEC, resolve)
                if fd < 0:
                    error = -fd
                else:
                    error = list_names(fd, start, start_length, &buffer)
                    close_fd(fd)
            if self.seen is not None:
                if see(&self.seen.buffer, SEEN_LISTING, self.seen.base_of(""), raw, start, buffer.data, buffer.used,
                       error):
                    raise MemoryError()
            if error:
                return error
            while at < buffer.used:
                length = <Py_ssize_t>strlen(buffer.data + at)
                found.append(PyUnicode_DecodeFSDefaultAndSize(buffer.data + at, length))
                at += length + 1
        finally:
            free(buffer.data)
        found.sort()
        return found

    def absent(self, paths not None, str base not None=""):
        """For each path 0 if there is something, which is not opened, or else the errno that says why not."""
        self._check_open()
        cdef list names = list(paths)
        cdef list kept = []
        cdef list out = []
        cdef int directory = self._directory(base)
        cdef uint64_t resolve = (NP_RESOLVE_BENEATH if base else NP_RESOLVE_IN_ROOT) if self.contained else 0
        cdef const char *raw
        cdef int error
        for path in names:
            error = -directory
            if directory >= 0:
                raw = c_path(path, kept)
                with nogil:
                    error = np_absent(directory, raw, resolve)
                if self.seen is not None:
                    if see(&self.seen.buffer, SEEN_ABSENCE, self.seen.base_of(base), raw, b"", NULL, 0, error):
                        raise MemoryError()
            out.append(error)
        return out

    def head(self, str path not None, size_t size):
        """The first bytes of a file, at most so many; or an ``int`` errno."""
        self._check_open()
        self._not_seen()
        cdef bytes encoded = whole(path)
        cdef const char *raw = encoded
        cdef int fd, error = 0, root = self.root
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        cdef ssize_t got = 0
        cdef size_t used = 0
        cdef bytes room
        cdef char *into
        if size > MAX_FILE:
            raise ValueError("more than any file")
        room = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        into = PyBytes_AS_STRING(room)
        with nogil:
            fd = open_retrying(root, raw, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
        if fd < 0:
            return -fd
        try:
            if self.regular and not np_is_regular(fd):
                return EINVAL
            with nogil:
                while used < size:
                    got = read_fd(fd, into + used, size - used)
                    if got < 0:
                        error = errno
                        if error != EINTR:
                            break
                        continue
                    if got == 0:
                        break
                    used += <size_t>got
            return error if got < 0 else room if used == size else room[:used]
        finally:
            close_fd(fd)

    def zones(self, str path not None):
        """What ``zones`` gives of a file below the root, which is read in pieces; or an ``int`` errno."""
        self._check_open()
        self._not_seen()
        cdef bytes encoded = whole(path)
        return zones_of(self.root, PyBytes_AS_STRING(encoded), NP_RESOLVE_IN_ROOT if self.contained else 0,
                        self.regular)

    def cpu_groups(self, str base not None, tuple online not None, str members, tuple numbers not None):
        """Members of each online cpu's group by cpu, and for each of ``numbers`` that number by cpu, -1 as None.

        ``members`` and ``numbers`` are paths below ``cpuN``, read for the first cpu of each group only; without
        ``members`` each cpu is its own group. None where anything is unusual: a file that is missing, cannot be read or
        is not whole, a group that overlaps another or does not have its own cpu.
        """
        self._check_open()
        cdef int directory = self._directory(base)
        cdef uint64_t resolve = (NP_RESOLVE_BENEATH if base else NP_RESOLVE_IN_ROOT) if self.contained else 0
        if directory < 0:
            return None
        found = groups_of(directory, resolve, self.regular, online, None if members is None else whole(members),
                          [whole(path) for path in numbers], self.seen, base)
        if found is None:
            self._not_seen()
        return found

    def readlink(self, str path not None):
        """Target of a symbolic link as ``str``, or an ``int`` errno (EINVAL: it is no link). Follows nothing."""
        self._check_open()
        self._not_seen()
        try:
            return os.readlink(path, dir_fd=self.root)
        except OSError as error:
            return error.errno

    def keep(self, paths not None):
        """Open files once to read them many times; see ``OpenFiles``."""
        cdef list names = self._names(paths)
        cdef OpenFiles kept = OpenFiles.__new__(OpenFiles)
        cdef Py_ssize_t i, count = len(names)
        cdef const char *raw
        cdef int fd, directory = self.root
        cdef bint regular = self.regular
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        kept.allocate(count)
        for i in range(count):
            raw = PyBytes_AS_STRING(names[i])
            with nogil:
                fd = open_retrying(directory, raw, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
                if fd >= 0 and regular and not np_is_regular(fd):
                    close_fd(fd)
                    fd = -EINVAL
            kept.descriptors[i] = fd
            # A setting is written whole into the first read (proc_sys_call_handler of Linux's fs/proc/proc_sysctl.c).
            kept.to_end[i] = of_procfs(raw) and strncmp(raw, b"proc/sys/", 9) != 0
        return kept

    cdef list _names(self, paths):
        """Encoded paths; they keep the C pointers into them alive."""
        self._check_open()
        cdef list names = []
        for path in paths:
            names.append(whole(path))
        return names

    cdef int _directory(self, str base) except? -1:
        """Descriptor that paths below ``base`` are relative to, or a negated errno."""
        if not base:
            return self.root
        held = self.bases.get(base)
        if held is not None:
            return held
        cdef bytes encoded = whole(base)
        cdef const char *raw = encoded
        cdef int fd, root = self.root
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        with nogil:
            fd = open_retrying(root, raw, O_PATH | O_DIRECTORY | O_CLOEXEC, resolve)
        if fd < 0:
            return fd
        held = self.bases.setdefault(base, fd)
        if held != fd:
            close_fd(fd)
        return held

    cdef int _check_open(self) except -1:
        if self.root < 0:
            raise ValueError("the files are closed")
        return 0

    def close(self):
        """Close the root and what was kept for it; harmless when done twice."""
        cdef int fd = self.root
        self.root = -1
        if fd >= 0:
            close_fd(fd)
        if self.bases is not None:
            for held in self.bases.values():
                close_fd(held)
            self.bases = {}

    def __dealloc__(self):
        if self.root >= 0:
            close_fd(self.root)
            if self.bases is not None:
                for held in self.bases.values():
                    close_fd(held)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


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
