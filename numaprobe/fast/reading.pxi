# ---- Reading: descriptors, one growing buffer, and one file at a time ----

cdef extern from "fast/reading.h":
    int np_openat2(int directory, const char *path, int flags, uint64_t resolve) nogil
    int np_is_regular(int fd) nogil
    int np_not_regular(int fd, size_t most) nogil
    struct np_dirent:
        unsigned short length
        char name[1]
    long np_getdents(int fd, void *room, size_t size) nogil
    int np_absent(int directory, const char *path, uint64_t resolve) nogil
    int openat(int directory, const char *path, int flags) nogil
    int close_fd "close"(int fd) nogil
    ssize_t read_fd "read"(int fd, void *buffer, size_t count) nogil
    ssize_t pread_fd "pread"(int fd, void *buffer, size_t count, long long offset) nogil
    int O_RDONLY, O_DIRECTORY, O_CLOEXEC, O_NONBLOCK, O_NOCTTY, O_PATH
    uint64_t NP_RESOLVE_BENEATH, NP_RESOLVE_IN_ROOT


cdef extern from "Python.h":
    bytes PyUnicode_EncodeFSDefault(object path)
    object PyUnicode_DecodeFSDefaultAndSize(const char *name, Py_ssize_t size)
    bint PyUnicode_IS_ASCII(object text)
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL


# One attribute of sysfs is at most a page, and a bitmap or list is read in pieces of a page (kernfs_file_read_iter
# in Linux's fs/kernfs/file.c), so a read that is not a whole number of these is the last one.
cdef enum:
    PAGE = 4096
    ROOM = 65536

# zoneinfo of a machine with 64 nodes and 4096 cpus is near 40 MiB; nothing else is nearly as large. The
# files of one call together have the same limit.
cdef size_t MAX_FILE = 64 << 20

cdef struct Buffer:
    char *data
    size_t used
    size_t size


cdef struct Piece:
    size_t start
    size_t length
    int error


cdef int room_for(Buffer *buffer, size_t more) noexcept nogil:
    """Make room for ``more`` bytes; 0, or ENOMEM with the buffer as it was."""
    cdef size_t size
    cdef char *data
    if buffer.size - buffer.used >= more:
        return 0
    size = buffer.size * 2
    while size - buffer.used < more:
        size *= 2
    data = <char *>realloc(buffer.data, size)
    if data == NULL:
        return ENOMEM
    buffer.data = data
    buffer.size = size
    return 0


cdef int open_retrying(int directory, const char *path, int flags, uint64_t resolve) noexcept nogil:
    """A descriptor, or a negated errno. ``resolve`` limits the look-up as openat2(2) says; 0 leaves it free."""
    cdef int fd, error, tries = 0
    while True:
        if resolve:
            fd = np_openat2(directory, path, flags, resolve)
        else:
            fd = openat(directory, path, flags)
        if fd >= 0:
            return fd
        error = errno
        tries += 1
        # EAGAIN: something was renamed during a contained look-up (openat2(2)).
        if error == EINTR or (resolve and error == EAGAIN and tries < 16):
            continue
        return -error


cdef int drain(int fd, bint positioned, bint to_end, Buffer *buffer, Piece *piece) noexcept nogil:
    """Read a descriptor into the buffer; 0 or an errno.

    ``to_end`` reads until a read returns nothing, as files of procfs need, whose reads may be short anywhere.
    """
    cdef ssize_t got
    cdef size_t room
    cdef int error
    piece.start = buffer.used
    piece.length = 0
    while True:
        error = room_for(buffer, 2 * PAGE)
        if error:
            break
        room = (buffer.size - buffer.used) // PAGE * PAGE
        if positioned:
            got = pread_fd(fd, buffer.data + buffer.used, room, <long long>piece.length)
        else:
            got = read_fd(fd, buffer.data + buffer.used, room)
        if got < 0:
            error = errno
            if error == EINTR:
                continue
            break
        buffer.used += <size_t>got
        piece.length += <size_t>got
        # A read may be cut short, by a signal or by a file system in between: the last line has its newline.
        if got == 0 or (not to_end and got % PAGE != 0 and buffer.data[buffer.used - 1] == c"\n"):
            return 0
        if buffer.used > MAX_FILE:
            error = EFBIG
            break
    buffer.used = piece.start
    piece.length = 0
    return error


cdef ssize_t pread_lines(int fd, char *room, size_t size) noexcept nogil:
    """As pread(2) from the beginning, and on until the last line has its newline or there is no more."""
    cdef size_t used = 0
    cdef ssize_t got
    while True:
        got = pread_fd(fd, room + used, size - used, <long long>used)
        if got < 0:
            if errno == EINTR:
                continue
            return got
        used += <size_t>got
        if got == 0 or used == size or room[used - 1] == c"\n":
            return <ssize_t>used


cdef int read_path(int directory, const char *path, uint64_t resolve, bint regular, bint to_end, Buffer *buffer,
                   Piece *piece) noexcept nogil:
    # O_NONBLOCK and O_NOCTTY: a recorded tree may hold a FIFO or a terminal in place of a file.
    cdef int fd = open_retrying(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
    cdef int error
    if fd < 0:
        return -fd
    error = np_not_regular(fd, MAX_FILE) if regular else 0
    if error == 0:
        error = drain(fd, False, to_end, buffer, piece)
    close_fd(fd)
    return error


cdef list pieces_to_list(Buffer *buffer, Piece *pieces, Py_ssize_t count):
    cdef list out = [None] * count
    cdef Py_ssize_t i
    for i in range(count):
        if pieces[i].error:
            out[i] = pieces[i].error
        else:
            out[i] = PyBytes_FromStringAndSize(buffer.data + pieces[i].start, <Py_ssize_t>pieces[i].length)
    return out


cdef inline bint of_procfs(const char *path) noexcept nogil:
    return strncmp(path, b"proc/", 5) == 0


cdef bytes whole(path):
    """A path as the system takes it; ``ValueError`` for one that C would cut."""
    cdef bytes encoded = PyUnicode_EncodeFSDefault(path) if type(path) is str else os.fsencode(path)
    if strlen(PyBytes_AS_STRING(encoded)) != <size_t>PyBytes_GET_SIZE(encoded):
        raise ValueError(f"a path with a NUL byte: {path!r}")
    return encoded


cdef const char *c_path(path, list kept) except NULL:
    """The same in C; what it points to lives as long as the path and ``kept``."""
    cdef Py_ssize_t size
    cdef const char *raw
    cdef bytes encoded
    if type(path) is str and PyUnicode_IS_ASCII(path):
        raw = PyUnicode_AsUTF8AndSize(path, &size)
        if strlen(raw) == <size_t>size:
            return raw
    encoded = whole(path)
    kept.append(encoded)
    return PyBytes_AS_STRING(encoded)


cdef int list_names(int fd, const char *start, size_t start_length, Buffer *buffer) noexcept nogil:
    """Append the names of a directory that begin alike, each with its NUL byte; 0 or an errno."""
    cdef char room[8192]
    cdef np_dirent *entry
    cdef long got, at
    cdef size_t length
    cdef int error
    while True:
        got = np_getdents(fd, room, sizeof(room))
        if got < 0:
            error = errno
            if error == EINTR:
                continue
            return error
        if got == 0:
            return 0
        at = 0
        while at < got:
            entry = <np_dirent *>(room + at)
            at += entry.length
            if strncmp(entry.name, start, start_length) != 0 or entry.name[0] == c".":
                continue
            length = strlen(entry.name) + 1
            error = room_for(buffer, length)
            if error:
                return error
            memcpy(buffer.data + buffer.used, entry.name, length)
            buffer.used += length
