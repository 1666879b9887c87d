# cython: language_level=3
"""Bytes in, bytes out: files under a root directory, scanners that turn kernel text into integers, and hypercalls.

Nothing here knows what a file or a reply means. Every system call runs without the GIL, and an error number is returned beside
the contents instead of being raised, because a missing file is an ordinary answer for a reader of sysfs.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pythread cimport (
    NOWAIT_LOCK,
    WAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    PyThread_type_lock,
)
from libc.errno cimport (
    EAGAIN,
    EBADF,
    EBADMSG,
    ECHILD,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENXIO,
    ESTALE,
    EXDEV,
    errno,
)
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strlen, strncmp

import os


cdef extern from *:
    """
    #include <dirent.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <sys/types.h>
    #include <unistd.h>

    #ifndef SYS_openat2
    #define SYS_openat2 437   /* the same on every architecture: Linux 5.6, include/uapi/asm-generic/unistd.h */
    #endif

    /* Linux's struct open_how and its constants, which C libraries older than openat2 lack. */
    struct np_open_how { uint64_t flags, mode, resolve; };
    #define NP_RESOLVE_NO_MAGICLINKS 0x02
    #define NP_RESOLVE_BENEATH 0x08
    #define NP_RESOLVE_IN_ROOT 0x10

    static int np_openat2(int directory, const char *path, int flags, uint64_t resolve)
    {
        struct np_open_how how = { (uint64_t)flags, 0, resolve | NP_RESOLVE_NO_MAGICLINKS };
        return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
    }

    static int np_is_regular(int fd)
    {
        struct stat st;
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    }
    """
    int np_openat2(int directory, const char *path, int flags, uint64_t resolve) nogil
    int np_is_regular(int fd) nogil
    void *memmem(const void *text, size_t length, const void *wanted, size_t wanted_length) nogil
    ctypedef struct DIR:
        pass
    struct dirent:
        char d_name[256]
    DIR *fdopendir(int fd) nogil
    dirent *readdir(DIR *stream) nogil
    int closedir(DIR *stream) nogil
    int openat(int directory, const char *path, int flags) nogil
    int close_fd "close"(int fd) nogil
    ssize_t read_fd "read"(int fd, void *buffer, size_t count) nogil
    ssize_t pread_fd "pread"(int fd, void *buffer, size_t count, long long offset) nogil
    int O_RDONLY, O_DIRECTORY, O_CLOEXEC, O_NONBLOCK, O_NOCTTY, O_PATH
    uint64_t NP_RESOLVE_BENEATH, NP_RESOLVE_IN_ROOT


# One attribute of sysfs is at most a page, and a bitmap or list one comes in pieces of a page (kernfs_file_read_iter
# in Linux's fs/kernfs/file.c), so a read that is not a whole number of these is the last one.
cdef extern from "Python.h":
    bytes PyUnicode_EncodeFSDefault(object path)


cdef enum:
    PAGE = 4096
    ROOM = 65536

# zoneinfo of a machine with 64 nodes and 4096 cpus is near 40 MiB; nothing else comes close.
cdef size_t LARGEST_FILE = 256 << 20

# Larger than any kernel's NR_CPUS or MAX_NUMNODES, small enough that a hostile file cannot ask for much memory.
cdef enum:
    LARGEST_ID = (1 << 16) - 1


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

    ``to_end`` asks until a read returns nothing, as files of procfs need, whose reads may be short anywhere.
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
        if got == 0 or (not to_end and got % PAGE != 0):
            return 0
        if piece.length > LARGEST_FILE:
            error = EFBIG
            break
    buffer.used = piece.start
    piece.length = 0
    return error


cdef int read_path(int directory, const char *path, uint64_t resolve, bint regular, bint to_end, Buffer *buffer,
                   Piece *piece) noexcept nogil:
    # O_NONBLOCK and O_NOCTTY: a recorded tree may hold a FIFO or a terminal in place of a file.
    cdef int fd = open_retrying(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, resolve)
    cdef int error
    if fd < 0:
        return -fd
    if regular and not np_is_regular(fd):
        error = EINVAL
    else:
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


cdef class Files:
    """Files below one root directory, by relative path.

    With ``contained`` no path and no link leads out of the root: ``..`` and absolute links stop at it, as openat2(2)
    with RESOLVE_IN_ROOT does; where the kernel lacks that call (before Linux 5.6, or behind an old seccomp filter)
    reads give ENOSYS or EPERM, and the caller has to resolve the links itself. With ``regular``, which ``contained``
    includes, only regular files are read.

    May be shared by threads; ``close`` must not run beside a read. Raises ``OSError`` if the root cannot be opened.
    """

    cdef int root
    cdef readonly bint contained
    cdef readonly bint regular
    cdef dict bases

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
        cdef list names = self._names(paths)
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
                raw[i] = PyBytes_AS_STRING(names[i])
            with nogil:
                for i in range(count):
                    pieces[i].error = read_path(
                        directory, raw[i], resolve, regular, base_of_procfs or of_procfs(raw[i]), &buffer, &pieces[i]
                    )
            if resolve == NP_RESOLVE_BENEATH:
                self._read_again(paths, base, &buffer, pieces)
            return pieces_to_list(&buffer, pieces, count)
        finally:
            free(buffer.data)
            PyMem_Free(raw)
            PyMem_Free(pieces)

    cdef int _read_again(self, paths, str base, Buffer *buffer, Piece *pieces) except -1:
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
        cdef bytes encoded = whole(path or ".")
        cdef bytes start = os.fsencode(prefix)
        cdef const char *raw = encoded
        cdef const char *raw_start = start
        cdef size_t start_length = <size_t>len(start)
        cdef size_t length
        cdef int fd, error = 0, root = self.root
        cdef uint64_t resolve = NP_RESOLVE_IN_ROOT if self.contained else 0
        cdef DIR *stream
        cdef dirent *entry
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
                    stream = fdopendir(fd)
                    if stream == NULL:
                        error = errno
                        close_fd(fd)
                    else:
                        while error == 0:
                            (&errno)[0] = 0
                            entry = readdir(stream)
                            if entry == NULL:
                                error = errno
                                break
                            if strncmp(entry.d_name, raw_start, start_length) != 0 or entry.d_name[0] == c".":
                                continue
                            length = <size_t>(<char *>memchr(entry.d_name, 0, 256) - <char *>entry.d_name) + 1
                            error = room_for(&buffer, length)
                            if error == 0:
                                memcpy(buffer.data + buffer.used, <char *>entry.d_name, length)
                                buffer.used += length
                        closedir(stream)
            if error:
                return error
            if buffer.used == 0:
                return []
            names = PyBytes_FromStringAndSize(buffer.data, <Py_ssize_t>buffer.used - 1)
        finally:
            free(buffer.data)
        found = os.fsdecode(names).split("\0")
        found.sort()
        return found

    def readlink(self, str path not None):
        """Target of a symbolic link as ``str``, or an ``int`` errno (EINVAL: it is no link). Follows nothing."""
        self._check_open()
        try:
            return os.readlink(path, dir_fd=self.root)
        except OSError as error:
            return error.errno

    def keep(self, paths not None):
        """Open files once to read them many times; see ``Kept``."""
        cdef list names = self._names(paths)
        cdef Kept kept = Kept.__new__(Kept)
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
            kept.to_end[i] = of_procfs(raw)
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


cdef class Kept:
    """Files held open, each read from its beginning at every ``read``; made by ``Files.keep``.

    A file that could not be opened keeps giving its errno. Not to be closed beside a read.
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


# --- scanners: they raise ValueError with the reason; whoever knows the file's name adds it ---


cdef struct Text:
    const char *at
    const char *end


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c" " or c == c"\t" or c == c"\n" or c == c"\r" or c == 0


cdef Text trimmed(bytes content) noexcept:
    """The content without white space around it, and without the NUL bytes that some recordings end in."""
    cdef Text text
    text.at = PyBytes_AS_STRING(content)
    text.end = text.at + PyBytes_GET_SIZE(content)
    while text.end > text.at and is_blank((text.end - 1)[0]):
        text.end -= 1
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    return text


cdef bint scan_decimal(Text *text, uint64_t *value) noexcept nogil:
    """Take decimal digits; False if there are none or they exceed 64 bits."""
    cdef const char *start = text.at
    cdef uint64_t total = 0
    cdef unsigned int digit
    while text.at < text.end:
        digit = <unsigned int>(<unsigned char>text.at[0]) - c"0"
        if digit > 9:
            break
        if total > (<uint64_t>-1 - digit) // 10:
            return False
        total = total * 10 + digit
        text.at += 1
    value[0] = total
    return text.at > start


def ids(bytes content not None):
    """Scan the kernel's list format (``0-3,8,10-11``) into an ascending tuple of ``int``; nothing is ``()``."""
    cdef Text text = trimmed(content)
    cdef uint64_t first, last, i
    cdef list out = []
    cdef bint ascending = True
    cdef object previous = -1
    if text.at == text.end:
        return ()
    while True:
        if not scan_decimal(&text, &first):
            raise ValueError("not a list of ids")
        last = first
        if text.at < text.end and text.at[0] == c"-":
            text.at += 1
            if not scan_decimal(&text, &last):
                raise ValueError("a range without an end")
        if last < first:
            raise ValueError("a range that ends before it begins")
        if last > LARGEST_ID:
            raise ValueError(f"an id above {LARGEST_ID}")
        if len(out) + <Py_ssize_t>(last - first) > LARGEST_ID:
            raise ValueError("more ids than can be")
        if first <= previous:
            ascending = False
        for i in range(first, last + 1):
            out.append(i)
        previous = last
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
        if text.at == text.end:
            break
        if text.at[0] != c",":
            raise ValueError("not a list of ids")
        text.at += 1
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
    return tuple(out) if ascending else tuple(sorted(set(out)))


cdef int hex_value(char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    if c"a" <= c <= c"f":
        return c - c"a" + 10
    if c"A" <= c <= c"F":
        return c - c"A" + 10
    return -1


def mask(bytes content not None):
    """Scan the kernel's mask format (hexadecimal words of 32 bits, the highest first) into ascending ids."""
    cdef Text text = trimmed(content)
    cdef const char *at
    cdef uint64_t position = 0
    cdef int digits = 0, nibble, bit
    cdef bint words = False
    cdef list out = []
    if text.end - text.at >= 2 and text.at[0] == c"0" and (text.at[1] == c"x" or text.at[1] == c"X"):
        text.at += 2
    if text.at == text.end:
        raise ValueError("not a mask")
    at = text.end
    while at > text.at:
        at -= 1
        if at[0] == c",":
            if digits == 0 or digits > 8:
                raise ValueError("not a mask of 32-bit words")
            # A word counts 32 bits however many digits it is written with.
            position += 4 * (8 - digits)
            digits = 0
            words = True
            continue
        nibble = hex_value(at[0])
        if nibble < 0:
            raise ValueError("not a mask")
        digits += 1
        for bit in range(4):
            if nibble >> bit & 1:
                if position + bit > LARGEST_ID:
                    raise ValueError(f"an id above {LARGEST_ID}")
                out.append(position + bit)
        position += 4
    if digits == 0 or (words and digits > 8):
        raise ValueError("not a mask of 32-bit words")
    return tuple(out)


def integers(bytes content not None):
    """Scan decimal numbers, each with an optional sign, between white space, into a tuple of ``int``."""
    cdef Text text = trimmed(content)
    cdef uint64_t value
    cdef bint negative
    cdef list out = []
    while text.at < text.end:
        negative = text.at[0] == c"-"
        if negative:
            text.at += 1
        if not scan_decimal(&text, &value) or (text.at < text.end and not is_blank(text.at[0])):
            raise ValueError("not a number")
        out.append(-(<object>value) if negative else value)
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
    return tuple(out)


def integer(bytes content not None):
    """Scan one decimal number, with an optional sign."""
    cdef Text text = trimmed(content)
    cdef uint64_t value
    cdef bint negative = text.at < text.end and text.at[0] == c"-"
    if negative:
        text.at += 1
    if not scan_decimal(&text, &value) or text.at != text.end:
        raise ValueError("not a number")
    return -(<object>value) if negative else value


def blank(bytes content not None):
    """Whether there is nothing but white space and NUL bytes."""
    cdef Text text = trimmed(content)
    return text.at == text.end


cdef inline const char *line_end(const char *at, const char *end) noexcept nogil:
    cdef const char *found = <const char *>memchr(at, c"\n", <size_t>(end - at))
    return end if found == NULL else found


def fields(bytes content not None, tuple names not None):
    """Values of ``Name: number`` lines, by the position of the name; None for a name that is not there.

    ``names`` are ``bytes``. A leading ``Node N`` is passed over, a unit behind the number is the caller's to know.
    """
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef const char *colon
    cdef Py_ssize_t count = len(names), i, tried, expected = 0
    cdef list out = [None] * count
    cdef bytes name
    cdef uint64_t value
    cdef Text text
    for item in names:
        if not isinstance(item, bytes):
            raise TypeError("names are bytes")
    if count == 0:
        return ()
    while at < end:
        stop = line_end(at, end)
        text.at = at
        text.end = stop
        at = stop + 1
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
        if text.end - text.at > 5 and memcmp(text.at, b"Node ", 5) == 0:
            text.at += 5
            if not scan_decimal(&text, &value):
                continue
            while text.at < text.end and is_blank(text.at[0]):
                text.at += 1
        colon = <const char *>memchr(text.at, c":", <size_t>(text.end - text.at)) if text.at < text.end else NULL
        if colon == NULL:
            continue
        # Names are asked for in the file's own order, so the next one is nearly always the one expected.
        for tried in range(count):
            i = (expected + tried) % count
            name = names[i]
            if PyBytes_GET_SIZE(name) == colon - text.at and memcmp(
                PyBytes_AS_STRING(name), text.at, <size_t>(colon - text.at)
            ) == 0:
                text.at = colon + 1
                while text.at < text.end and is_blank(text.at[0]):
                    text.at += 1
                if not scan_decimal(&text, &value) or (text.at < text.end and not is_blank(text.at[0])):
                    raise ValueError(f"{name.decode('ascii', 'replace')} without a number")
                if out[i] is None:
                    out[i] = value
                expected = i + 1
                break
    return tuple(out)


cdef inline bint word_is(Text *text, const char *word, size_t length) noexcept nogil:
    """Whether the text goes on with this word and white space; it is then taken, with the white space behind it."""
    if <size_t>(text.end - text.at) <= length or memcmp(text.at, word, length) != 0:
        return False
    if not is_blank(text.at[length]):
        return False
    text.at += length
    while text.at < text.end and is_blank(text.at[0]):
        text.at += 1
    return True


cdef inline const char *next_zone(const char *at, const char *end) noexcept nogil:
    """The next line that begins with ``Node``, or the end."""
    cdef const char *found = NULL
    if at < end:
        found = <const char *>memmem(at - 1, <size_t>(end - at + 1), b"\nNode ", 6)
    return end if found == NULL else found + 1


def zones(bytes content not None):
    """Zones of ``/proc/zoneinfo``: tuples (node, name, low, high, managed, protection), sizes in pages.

    ``low``, ``high`` and ``managed`` are None where the zone does not say (an unpopulated one stops early);
    ``protection`` is a tuple with a value for each zone of the node.
    """
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef Text text
    cdef uint64_t value
    cdef list out = []
    cdef object node = None, name = None, low = None, high = None, managed = None, protection = ()
    while at < end:
        stop = line_end(at, end)
        text.at = at
        text.end = stop
        at = stop + 1
        if text.end - text.at > 5 and memcmp(text.at, b"Node ", 5) == 0:
            if node is not None:
                out.append((node, name, low, high, managed, protection))
            text.at += 5
            if not scan_decimal(&text, &value):
                raise ValueError("a zone without a node")
            node = value
            low = high = managed = None
            protection = ()
            while text.at < text.end and (text.at[0] == c"," or is_blank(text.at[0])):
                text.at += 1
            if not word_is(&text, b"zone", 4):
                raise ValueError("a node without a zone")
            name = (<bytes>text.at[:text.end - text.at]).decode("ascii", "replace")
            continue
        if node is None:
            continue
        while text.at < text.end and is_blank(text.at[0]):
            text.at += 1
        if text.at == text.end:
            continue
        # Per-cpu lines ("high:  12") have a colon behind the word and so are not taken for a watermark.
        if text.at[0] == c"l" and word_is(&text, b"low", 3):
            if scan_decimal(&text, &value) and low is None:
                low = value
        elif text.at[0] == c"h" and word_is(&text, b"high", 4):
            if scan_decimal(&text, &value) and high is None:
                high = value
        elif text.at[0] == c"m" and word_is(&text, b"managed", 7):
            if scan_decimal(&text, &value) and managed is None:
                managed = value
        elif text.at[0] == c"p" and word_is(&text, b"protection:", 11):
            values = []
            while text.at < text.end:
                if scan_decimal(&text, &value):
                    values.append(value)
                else:
                    text.at += 1
            protection = tuple(values)
            # What follows, a paragraph for each cpu among it, is nearly all of the file on a large machine.
            if managed is not None:
                at = next_zone(at, end)
    if node is not None:
        out.append((node, name, low, high, managed, protection))
    return out


# ---- Who holds memory: /proc/PID/numa_maps, whose lines may be thousands ----

cdef enum:
    # Linux's MAX_NUMNODES is 1 << NODES_SHIFT, at most 10 (mm/Kconfig and the architectures').
    MOST_NODES = 1024


cdef inline bint number_after(Text *token, const char *key, Py_ssize_t length, uint64_t *value) noexcept nogil:
    """Whether the token is this key and a number; the number is then taken."""
    if token.end - token.at <= length or memcmp(token.at, key, <size_t>length) != 0:
        return False
    token.at += length
    return scan_decimal(token, value) and token.at == token.end


cdef bint scan_hexadecimal(Text *text, uint64_t *value) noexcept nogil:
    """Take hexadecimal digits; False if there are none or they exceed 64 bits."""
    cdef const char *start = text.at
    cdef uint64_t total = 0
    cdef int digit
    while text.at < text.end:
        digit = hex_value(text.at[0])
        if digit < 0:
            break
        if total >> 60:
            return False
        total = total << 4 | <uint64_t>digit
        text.at += 1
    value[0] = total
    return text.at > start


def numa_maps(bytes content not None):
    """Scan ``/proc/PID/numa_maps``: mappings of anonymous pages alone, and each mapping that has pages of a file.

    The first is a tuple of pairs (node, kB), by node. The second is a list of tuples (address, file, huge, page size
    in kB, anonymous pages, pairs of node and pages); the file is ``bytes`` as the kernel writes it, with blanks as
    octal numbers, and ``huge`` says that the pages are of hugetlb.
    """
    cdef const char *at = PyBytes_AS_STRING(content)
    cdef const char *end = at + PyBytes_GET_SIZE(content)
    cdef const char *stop
    cdef const char *file
    cdef Py_ssize_t file_length
    cdef Text line, token
    cdef uint64_t address, value, node, anon, page_kb
    cdef uint64_t plain[MOST_NODES]
    cdef uint64_t nodes[MOST_NODES]
    cdef uint64_t pages[MOST_NODES]
    cdef Py_ssize_t count, i, last = -1
    cdef bint huge
    cdef list files = []
    memset(plain, 0, sizeof(plain))
    while at < end:
        stop = line_end(at, end)
        line.at = at
        line.end = stop
        at = stop + 1
        if line.at == line.end:
            continue
        if not scan_hexadecimal(&line, &address):
            raise ValueError("a line without an address")
        file = NULL
        file_length = 0
        huge = False
        anon = page_kb = 0
        count = 0
        while line.at < line.end:
            while line.at < line.end and line.at[0] == c" ":
                line.at += 1
            token.at = line.at
            while line.at < line.end and line.at[0] != c" ":
                line.at += 1
            token.end = line.at
            if token.at == token.end:
                continue
            if token.at[0] == c"N":
                token.at += 1
                if scan_decimal(&token, &node) and token.at < token.end and token.at[0] == c"=":
                    token.at += 1
                    if not scan_decimal(&token, &value) or token.at != token.end:
                        raise ValueError("a node without a number of pages")
                    if node >= MOST_NODES or count == MOST_NODES:
                        raise ValueError(f"more than {MOST_NODES} nodes")
                    nodes[count] = node
                    pages[count] = value
                    count += 1
            elif token.at[0] == c"f" and token.end - token.at > 5 and memcmp(token.at, b"file=", 5) == 0:
                file = token.at + 5
                file_length = token.end - file
            elif token.end - token.at == 4 and memcmp(token.at, b"huge", 4) == 0:
                huge = True
            elif number_after(&token, b"anon=", 5, &value):
                anon = value
            elif number_after(&token, b"kernelpagesize_kB=", 18, &value):
                page_kb = value
        if count == 0:
            continue
        if page_kb == 0 or page_kb >> 32:
            raise ValueError("pages without a size")
        value = 0
        for i in range(count):
            if pages[i] >> 40:
                raise ValueError("more pages than can be")
            value += pages[i]
        if file == NULL or anon >= value:
            for i in range(count):
                plain[nodes[i]] += pages[i] * page_kb
                last = max(last, <Py_ssize_t>nodes[i])
        else:
            files.append((
                address, PyBytes_FromStringAndSize(file, file_length), huge, page_kb, anon,
                tuple([(nodes[i], pages[i]) for i in range(count)]),
            ))
    return tuple([(i, plain[i]) for i in range(last + 1) if plain[i]]), files


# ---- Sampling: the files of all nodes held open, read and scanned in one go ----

cdef extern from *:
    """
    #include <sys/sysinfo.h>
    #include <time.h>

    /* What tells that names came or went in a directory. kernfs gives the number of subdirectories (kernfs_refresh_inode
       of Linux's fs/kernfs/inode.c), other file systems the time of the change too. */
    struct np_stamp { int64_t links, changed[2], modified[2]; };

    static int np_read_stamp(int fd, struct np_stamp *out)
    {
        struct stat st;
        if (fstat(fd, &st) < 0)
            return errno;
        out->links = (int64_t)st.st_nlink;
        out->changed[0] = st.st_ctim.tv_sec;
        out->changed[1] = st.st_ctim.tv_nsec;
        out->modified[0] = st.st_mtim.tv_sec;
        out->modified[1] = st.st_mtim.tv_nsec;
        return 0;
    }

    static int64_t np_nanoseconds(clockid_t clock)
    {
        struct timespec now;
        clock_gettime(clock, &now);
        return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    }

    /* Total and free memory of the whole machine, in bytes. */
    static int np_sysinfo(uint64_t *total, uint64_t *unused)
    {
        struct sysinfo info;
        if (sysinfo(&info) < 0)
            return errno;
        *total = (uint64_t)info.totalram * info.mem_unit;
        *unused = (uint64_t)info.freeram * info.mem_unit;
        return 0;
    }

    /* An object of a type that is known at run time only; a call from Python would cost a third of a short read. */
    static PyObject *np_new(PyObject *type, PyObject *nothing)
    {
        return ((PyTypeObject *)type)->tp_new((PyTypeObject *)type, nothing, NULL);
    }

    static int np_is_kind(PyObject *type, PyObject *base)
    {
        return PyType_IsSubtype((PyTypeObject *)type, (PyTypeObject *)base);
    }

    static int64_t np_load(int64_t *from) { return __atomic_load_n(from, __ATOMIC_RELAXED); }
    static void np_store(int64_t *to, int64_t value) { __atomic_store_n(to, value, __ATOMIC_RELAXED); }
    """
    struct np_stamp:
        pass
    ctypedef int clockid_t
    clockid_t CLOCK_MONOTONIC, CLOCK_REALTIME
    int np_read_stamp(int fd, np_stamp *out) nogil
    int64_t np_nanoseconds(clockid_t clock) nogil
    int np_sysinfo(uint64_t *total, uint64_t *unused) nogil
    object np_new(object type, object nothing)
    bint np_is_kind(object type, object base)
    int64_t np_load(int64_t *source) nogil
    void np_store(int64_t *target, int64_t value) nogil
    const void *memrchr(const void *text, int character, size_t length) nogil


cdef enum:
    # MemTotal and MemFree in kB; HugePages_Total, _Free and _Surp of the default size.
    MEMINFO_FIGURES = 5
    # meminfo of a node is near 1.5 kB and cannot exceed a page; /proc/meminfo is near 2 kB.
    SAMPLE_ROOM = 16384
    # 2**63 bytes in pages, far above any machine; and above any MAX_PAGE_ORDER.
    MOST_ORDERS = 40

cdef int NO_SCAN = EBADMSG
cdef int NOT_THE_SAME = ESTALE
cdef int AFTER_FORK = ECHILD
cdef uint64_t ABSENT = <uint64_t>-1
cdef uint64_t MOST_PAGES = <uint64_t>1 << 52
# Nanoseconds between two looks for what came, which no file that is read anyway tells: a node, a cpu. A look costs a
# third of a node's meminfo; a node that goes is noticed by every read.
cdef int64_t LOOK_EVERY = 1_000_000


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


cdef int scan_meminfo(const char *at, const char *end, uint64_t *out) noexcept nogil:
    """0, or ``NO_SCAN`` without a MemTotal or for a name without a number.

    MemTotal and MemFree begin the file and the huge pages end it, so it is scanned from both ends.
    """
    cdef const char *stop
    cdef const char *name
    cdef const char *front = at
    cdef int i, found = 0
    for i in range(MEMINFO_FIGURES):
        out[i] = ABSENT
    while at < end and found < 2:
        stop = line_end(at, end)
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
                return NO_SCAN
            found += 1
            front = at
    if out[0] == ABSENT:
        return NO_SCAN
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
            return NO_SCAN
        found += 1
    return 0


cdef int scan_buddy_line(const char *at, const char *end, uint64_t *node, uint64_t *pages) noexcept nogil:
    """One line of ``/proc/buddyinfo``: a node, and the pages that are free in one of its zones; 0 or ``NO_SCAN``.

    The byte at ``end`` is there, and neither a blank nor a digit: a newline, or the NUL behind a ``bytes``.
    """
    cdef Text text
    cdef const char *start
    cdef uint64_t blocks
    cdef unsigned int order = 0, digit
    text.at = at
    text.end = end
    if not word_is(&text, b"Node", 4) or not scan_decimal(&text, node):
        return NO_SCAN
    while text.at < text.end and (text.at[0] == c"," or is_blank(text.at[0])):
        text.at += 1
    if not word_is(&text, b"zone", 4):
        return NO_SCAN
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
            return 0 if at == end and order else NO_SCAN
        if at - start > 18 or order == MOST_ORDERS or blocks > MOST_PAGES >> order:
            return NO_SCAN
        pages[0] += blocks << order
        if pages[0] > MOST_PAGES:
            return NO_SCAN
        order += 1
        if at[0] != c" " and at != end:
            return NO_SCAN


cdef class Figures:
    """Figures of one moment, a row for each file; and when that was, in nanoseconds, -1 where no clock was read.

    ``wall`` is since 1970, ``monotonic`` as ``time.monotonic_ns``; both are of before the first file was read.
    ``origin`` is what the reader was given to attach, and ``derived`` is for what is made of the figures later.
    """

    cdef Py_ssize_t count
    cdef uint64_t *values
    cdef readonly int64_t wall
    cdef readonly int64_t monotonic
    cdef public object origin
    cdef public object derived

    def __cinit__(self):
        self.values = NULL
        self.wall = self.monotonic = -1

    cdef int allocate(self, Py_ssize_t count) except -1:
        self.values = <uint64_t *>PyMem_Malloc((count or 1) * MEMINFO_FIGURES * sizeof(uint64_t))
        if self.values == NULL:
            raise MemoryError()
        self.count = count
        return 0

    def __dealloc__(self):
        PyMem_Free(self.values)

    def rows(self):
        """A tuple for each file, None in it for a figure that the file does not have."""
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

    cdef bint same_totals(self, Figures other) noexcept:
        cdef Py_ssize_t i
        if other.count != self.count:
            return False
        for i in range(self.count):
            if self.values[i * MEMINFO_FIGURES] != other.values[i * MEMINFO_FIGURES]:
                return False
        return True


cdef Figures new_figures(type kind, origin, Py_ssize_t count):
    cdef Figures made
    if not np_is_kind(kind, Figures):
        raise TypeError("not a kind of Figures")
    made = np_new(kind, ())
    made.allocate(count)
    made.origin = origin
    return made


def meminfo_figures(list contents not None, type kind not None=Figures, origin=None, int64_t wall=-1, int64_t monotonic=-1):
    """Figures of files that were read already; ``contents`` holds ``bytes``, or anything else for a missing file.

    ``ValueError`` with the position of a file that has no MemTotal.
    """
    cdef Py_ssize_t i, count = len(contents)
    cdef Figures found = new_figures(kind, origin, count)
    cdef uint64_t *row
    cdef int k
    cdef const char *at
    found.wall = wall
    found.monotonic = monotonic
    for i in range(count):
        row = found.values + i * MEMINFO_FIGURES
        content = contents[i]
        if isinstance(content, bytes):
            at = PyBytes_AS_STRING(content)
            if scan_meminfo(at, at + PyBytes_GET_SIZE(content), row):
                raise ValueError(i)
        else:
            for k in range(MEMINFO_FIGURES):
                row[k] = ABSENT
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
    return tuple([found[wanted] for wanted in names])


def fork_count():
    """How many forks lie between this process and the one that imported this module."""
    return forks


cdef class Sweep:
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

    def __init__(self, Files files not None, tuple ids not None, tuple paths not None, str directory, str cpus not None):
        cdef Py_ssize_t i, count = len(ids)
        cdef list errors = []
        if self.descriptors != NULL:
            raise RuntimeError("Sweep is initialised once")
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
        """Read every node: figures of this kind, with ``origin`` attached; or why not, as a tuple (position, errno, None).

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
        """For each node whether its file, if it was ever open, still belongs to one: that of a removed node does not."""
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


# ---- Hypercalls: one ioctl each, through Linux's privcmd (drivers/xen/privcmd.c, privcmd-buf.c) ----
#
# Xen copies operations and buffers by the caller's page tables and cannot wait for a page fault, so both live in a
# bounce buffer that stays mapped: pages of /dev/xen/hypercall (Linux 4.18), or else locked and touched ones.

cdef extern from *:
    """
    #include <errno.h>
    #include <sys/ioctl.h>
    #include <sys/mman.h>

    /* Linux's struct privcmd_hypercall and IOCTL_PRIVCMD_HYPERCALL, which C libraries lack. */
    struct np_hypercall { uint64_t op, arg[5]; };
    #define NP_IOCTL_HYPERCALL 0x305000UL

    /* The read-only hypercalls, and no other is ever made. `size` is that of the whole operation; bit N of `handles`
       says that the 8-byte word N of it may be a pointer. Every other word that Xen takes for one stays zero. */
    struct np_allowed { int number, command; unsigned int size, handles; };
    static const struct np_allowed np_allowed[] = {
        { 7, 55, 136, 0 },                                  /* platform_op get_cpuinfo */
        { 12, 2, 0, 0 },                                    /* memory_op maximum_ram_page */
        { 12, 10, 16, 1u << 1 },                            /* memory_op machine_memory_map */
        { 12, 26, 40, 1u << 2 | 1u << 3 | 1u << 4 },        /* memory_op get_vnumainfo */
        { 17, 0, 0, 0 },                                    /* xen_version version */
        { 17, 1, 16, 0 },                                   /* xen_version extraversion */
        { 17, 2, 144, 0 },                                  /* xen_version compile_info */
        { 17, 3, 1024, 0 },                                 /* xen_version capabilities */
        { 17, 4, 64, 0 },                                   /* xen_version changeset */
        { 17, 6, 8, 0 },                                    /* xen_version get_features */
        { 17, 7, 0, 0 },                                    /* xen_version pagesize */
        { 17, 9, 1024, 0 },                                 /* xen_version commandline */
        { 35, 3, 136, 0 },                                  /* sysctl physinfo */
        { 35, 1, 136, 1u << 2 },                            /* sysctl readconsole, with the debug key only */
        { 35, 4, 136, 0 },                                  /* sysctl sched_id */
        { 35, 6, 136, 1u << 2 },                            /* sysctl getdomaininfolist */
        { 35, 7, 136, 1u << 1 },                            /* sysctl debug_keys, the key u only, if allowed */
        { 35, 9, 136, 0 },                                  /* sysctl availheap */
        { 35, 16, 136, 1u << 2 | 1u << 3 | 1u << 4 },       /* sysctl cputopoinfo */
        { 35, 17, 136, 1u << 2 | 1u << 3 | 1u << 4 },       /* sysctl numainfo */
        { 35, 18, 136, 1u << 4 },                           /* sysctl cpupool_op, INFO and FREEINFO only */
        { 35, 22, 136, 1u << 2 | 1u << 3 },                 /* sysctl pcitopoinfo */
        { 36, 5, 144, 0 },                                  /* domctl getdomaininfo */
        { 36, 14, 144, 0 },                                 /* domctl getvcpuinfo */
        { 36, 25, 144, 1u << 3 | 1u << 5 },                 /* domctl getvcpuaffinity */
        { 36, 69, 144, 1u << 2 },                           /* domctl getnodeaffinity */
        { 36, 1101, 144, 1u << 4 },                         /* domctl numa_op of XenServer, GET_NODE_PAGES only */
    };

    static const struct np_allowed *np_find_allowed(int number, int command)
    {
        for (size_t i = 0; i < sizeof np_allowed / sizeof np_allowed[0]; i++)
            if (np_allowed[i].number == number && np_allowed[i].command == command)
                return &np_allowed[i];
        return NULL;
    }

    static uint32_t np_word(const char *op, size_t at)
    {
        uint32_t word;
        memcpy(&word, op + at, sizeof word);
        return word;
    }

    /* Maps pages that Xen can copy to and from: from the buffer device, or without one (fd < 0) anonymous and locked.
       A child does not get them by fork, since it would share the device's pages with its parent. */
    static char *np_map_bounce(int fd, size_t size)
    {
        int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
        char *base = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
        if (base == MAP_FAILED)
            return NULL;
        if (fd < 0)
            (void)mlock(base, size);    /* where that is refused the retry on EFAULT has to do */
        (void)madvise(base, size, MADV_DONTFORK);
        return base;
    }

    static void np_unmap(char *base, size_t size)
    {
        munmap(base, size);
    }

    /* The pointer is the first argument, or the second after the command. */
    static int np_hypercall(int fd, int number, int command, char *op)
    {
        struct np_hypercall call = { (uint64_t)number, { 0, 0, 0, 0, 0 } };
        if (number == 12 || number == 17) {
            call.arg[0] = (uint64_t)command;
            call.arg[1] = (uint64_t)(uintptr_t)op;
        } else {
            call.arg[0] = (uint64_t)(uintptr_t)op;
        }
        return ioctl(fd, NP_IOCTL_HYPERCALL, &call);
    }
    """
    struct np_allowed:
        unsigned int size
        unsigned int handles
    const np_allowed *np_find_allowed(int number, int command) nogil
    unsigned int np_word(const char *op, size_t at) nogil
    char *np_map_bounce(int fd, size_t size) nogil
    void np_unmap(char *base, size_t size) nogil
    int np_hypercall(int fd, int number, int command, char *op) nogil
    int open_device "open"(const char *path, int flags) nogil
    int O_RDWR


cdef enum:
    CPUPOOL_INFO = 3
    CPUPOOL_FREEINFO = 7
    NUMA_GET_NODE_PAGES = 0
    SYSCTL_READCONSOLE = 1
    SYSCTL_DEBUG_KEYS = 7
    MOST_BUFFERS = 4
    # Without the buffer device, migration or compaction may take a page's mapping away for a moment.
    FAULT_TRIES = 4

cdef size_t SMALLEST_BOUNCE = 64 << 10
cdef size_t LARGEST_BOUNCE = 32 << 20


# How many forks lie between this process and the one that imported the module. Asking for the process id instead
# would be a second system call with every hypercall, and one of a PV domain is not cheap.
cdef unsigned long forks = 0


def _forked():
    global forks
    forks += 1


os.register_at_fork(after_in_child=_forked)


cdef class Privcmd:
    """The running hypervisor, asked through the privcmd device; it makes read-only hypercalls and no other.

    May be shared by threads, one of which asks at a time, and used in a forked child, which gets pages of its own.
    ``paths`` are tried in order while there is no such device. Raises ``OSError`` with the device's path where it
    cannot be opened. ``debug_key`` allows Xen's debug key ``u`` and no other, and to read the console that it answers
    on; it changes nothing, and may hold a large host up for seconds.
    """

    cdef int device
    cdef int pages
    cdef bint debug_key
    cdef char *base
    cdef size_t size
    cdef unsigned long forks
    cdef PyThread_type_lock lock

    def __cinit__(self):
        self.device = -1
        self.pages = -1
        self.forks = forks
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __init__(self, tuple paths not None=("/dev/xen/privcmd", "/proc/xen/privcmd"),
                 str buffers not None="/dev/xen/hypercall", *, bint debug_key=False):
        if self.device >= 0:
            raise RuntimeError("Privcmd is initialised once")
        self.debug_key = debug_key
        self.device = open_first(paths)
        try:
            self.pages = open_first((buffers,))
        except OSError as error:
            if error.errno not in (ENOENT, ENXIO, ENODEV):
                raise

    def call(self, int number, int command, bytes op not None, tuple buffers not None=()):
        """Make one hypercall: its return value, the operation as Xen left it, and the buffers as Xen left them.

        ``op`` is the whole operation with every handle zero, or empty for a NULL pointer. Each of ``buffers`` is the
        offset of its handle in ``op``, and its contents. ``ValueError`` for what is not a read-only hypercall,
        ``OSError`` with Xen's errno for one that Xen refused.
        """
        cdef const np_allowed *allowed = np_find_allowed(number, command)
        cdef const char *contents[MOST_BUFFERS]
        cdef size_t lengths[MOST_BUFFERS]
        cdef size_t at[MOST_BUFFERS]
        cdef size_t places[MOST_BUFFERS]
        cdef size_t offset, needed
        cdef Py_ssize_t i, count = len(buffers)
        cdef bytes content
        if allowed == NULL:
            raise ValueError(f"hypercall {number} command {command} is not one of the read-only ones")
        if <size_t>PyBytes_GET_SIZE(op) != allowed.size:
            raise ValueError(f"hypercall {number} command {command} takes {allowed.size} bytes, not {len(op)}")
        if number in (7, 35, 36) and <int>np_word(PyBytes_AS_STRING(op), 0) != command:
            raise ValueError("the operation does not begin with its command")
        if number == 35 and command == 18 and np_word(PyBytes_AS_STRING(op), 8) not in (CPUPOOL_INFO, CPUPOOL_FREEINFO):
            raise ValueError("a cpupool_op that is not read-only")
        if number == 36 and command == 1101 and np_word(PyBytes_AS_STRING(op), 16) != NUMA_GET_NODE_PAGES:
            raise ValueError("a numa_op that is not read-only")
        if number == 35 and command in (SYSCTL_READCONSOLE, SYSCTL_DEBUG_KEYS):
            self._check_debug(command, op, buffers)
        if count > MOST_BUFFERS:
            raise ValueError("too many buffers")
        needed = rounded(allowed.size)
        for i in range(count):
            offset, content = buffers[i]
            if offset % 8 or offset >= allowed.size or not allowed.handles >> (offset // 8) & 1:
                raise ValueError(f"no handle at offset {offset}")
            at[i] = offset
            contents[i] = PyBytes_AS_STRING(content)
            lengths[i] = <size_t>PyBytes_GET_SIZE(content)
            places[i] = needed
            needed += rounded(lengths[i])
            if needed > LARGEST_BOUNCE:
                raise ValueError("buffers too large for one hypercall")
        # Xen writes to wherever a handle points; the only addresses it gets are those patched in below.
        for offset in range(0, allowed.size, 8):
            if allowed.handles >> (offset // 8) & 1 and (
                np_word(PyBytes_AS_STRING(op), offset) or np_word(PyBytes_AS_STRING(op), offset + 4)
            ):
                raise ValueError(f"the handle at offset {offset} is not zero")
        return self._make(number, command, op, needed, count, contents, lengths, at, places)

    cdef int _check_debug(self, int command, bytes op, tuple buffers) except -1:
        """Debug keys do whatever somebody once needed, rebooting the host included: only ``u`` goes through."""
        if not self.debug_key:
            raise ValueError("the debug key was not allowed")
        if command == SYSCTL_DEBUG_KEYS and (
            np_word(PyBytes_AS_STRING(op), 16) != 1 or len(buffers) != 1 or buffers[0][1] != b"u"
        ):
            raise ValueError("a debug key other than u")
        # The first two bytes are clear and incremental; clear would take the console's text from everybody else.
        if command == SYSCTL_READCONSOLE and op[8] != 0:
            raise ValueError("a readconsole that is not read-only")
        return 0

    cdef tuple _make(self, int number, int command, bytes op, size_t needed, Py_ssize_t count, const char **contents,
                     size_t *lengths, size_t *at, size_t *places):
        cdef char *base
        cdef const char *operation = PyBytes_AS_STRING(op)
        cdef size_t size = <size_t>PyBytes_GET_SIZE(op)
        cdef uint64_t pointer
        cdef int device, result = 0, error = 0, tries
        cdef Py_ssize_t i
        cdef list outs
        self._own()
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
        try:
            if self.device < 0:
                raise ValueError("the hypervisor's device is closed")
            self._room(needed)
            base = self.base
            device = self.device
            tries = 1 if self.pages >= 0 else FAULT_TRIES
            with nogil:
                while True:
                    # Writing is also what makes the pages present and writable for Xen; a try that failed half way
                    # may have left anything.
                    memset(base, 0, needed)
                    memcpy(base, operation, size)
                    for i in range(count):
                        memcpy(base + places[i], contents[i], lengths[i])
                        pointer = <uint64_t><uintptr_t>(base + places[i])
                        memcpy(base + at[i], &pointer, sizeof(pointer))
                    result = np_hypercall(device, number, command, base if size else NULL)
                    error = errno if result == -1 else 0
                    tries -= 1
                    if error != EFAULT or tries == 0:
                        break
                pointer = 0
                for i in range(count):
                    memcpy(base + at[i], &pointer, sizeof(pointer))
            if error:
                raise OSError(error, os.strerror(error))
            outs = []
            for i in range(count):
                outs.append(PyBytes_FromStringAndSize(base + places[i], <Py_ssize_t>lengths[i]))
            return result, PyBytes_FromStringAndSize(base, <Py_ssize_t>size), tuple(outs)
        finally:
            PyThread_release_lock(self.lock)

    cdef int _own(self) except -1:
        """After a fork the pages are the parent's alone, and its lock may be held by a thread that is not here."""
        cdef PyThread_type_lock lock
        if self.forks == forks:
            return 0
        with cython.critical_section(self):
            if self.forks != forks:
                # The old lock is left alone: freeing one that is held is undefined, and it is a few bytes.
                lock = PyThread_allocate_lock()
                if lock == NULL:
                    raise MemoryError()
                self.lock = lock
                self.base = NULL
                self.size = 0
                self.forks = forks
        return 0

    cdef int _room(self, size_t needed) except -1:
        """Map at least this many bytes; the lock is held."""
        cdef size_t size = max(self.size, SMALLEST_BOUNCE)
        cdef char *base
        cdef int error = 0, pages = self.pages
        if needed <= self.size:
            return 0
        while size < needed:
            size *= 2
        with nogil:
            base = np_map_bounce(pages, size)
            if base == NULL:
                error = errno
        if base == NULL:
            raise OSError(error, os.strerror(error))
        if self.base != NULL:
            np_unmap(self.base, self.size)
        self.base = base
        self.size = size
        return 0

    def close(self):
        """Close the device and give back the pages; harmless when done twice, and waits for a call that is under way."""
        self._own()
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            with nogil:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
        self._release()
        PyThread_release_lock(self.lock)

    cdef void _release(self) noexcept:
        if self.base != NULL and self.forks == forks:
            np_unmap(self.base, self.size)
        self.base = NULL
        self.size = 0
        if self.pages >= 0:
            close_fd(self.pages)
            self.pages = -1
        if self.device >= 0:
            close_fd(self.device)
            self.device = -1

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self.close()

    def __dealloc__(self):
        self._release()
        if self.lock != NULL and self.forks == forks:
            PyThread_free_lock(self.lock)
            self.lock = NULL


cdef inline size_t rounded(size_t size) noexcept nogil:
    return (size + 63) & ~<size_t>63


cdef int open_first(tuple paths) except -1:
    """A descriptor of the first device that is there; ``OSError`` of the last where none is."""
    cdef bytes encoded
    cdef const char *raw
    cdef int fd, error = 0
    if not paths:
        raise ValueError("no device to open")
    path = None
    for path in paths:
        encoded = os.fsencode(path)
        raw = encoded
        while True:
            with nogil:
                fd = open_device(raw, O_RDWR | O_CLOEXEC)
                error = errno if fd < 0 else 0
            # In a guest the open waits for xenstored (the fix for XSA-482), and can be interrupted.
            if error != EINTR:
                break
            PyErr_CheckSignals()
        if fd >= 0:
            return fd
        if error not in (ENOENT, ENXIO, ENODEV):
            break
    raise OSError(error, os.strerror(error), path)


# ---- Placing: what changes something. Nothing that probes comes here. ----

cdef extern from *:
    """
    #include <sys/syscall.h>
    #include <unistd.h>

    /* glibc has no wrapper outside libnuma. maxnode counts one more than the kernel reads (mm/mempolicy.c, get_nodes). */
    static long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits)
    {
        return syscall(SYS_set_mempolicy, mode, mask, bits + 1);
    }
    """
    long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits) nogil


cdef enum:
    BITS_PER_LONG = 8 * sizeof(unsigned long)
    DOMCTL_SETVCPUAFFINITY = 9
    DOMCTL_SETNODEAFFINITY = 68


def set_mempolicy(int mode, tuple nodes not None):
    """Set the calling thread's memory policy, which its children and what it executes inherit.

    ``mode`` is of linux/mempolicy.h: 0 default, 1 preferred, 2 bind, 3 interleave. ``OSError`` with the kernel's
    errno, ``ValueError`` for a node that no kernel could have.
    """
    # As many bits as there may be nodes, in words of at least 32.
    cdef unsigned long mask[32]
    cdef int node, error = 0
    memset(mask, 0, sizeof(mask))
    for node in nodes:
        if not 0 <= node < MOST_NODES:
            raise ValueError(f"no kernel has a node {node}")
        mask[node // BITS_PER_LONG] |= (<unsigned long>1) << (node % BITS_PER_LONG)
    # The default policy takes no nodes, and no mask.
    if np_set_mempolicy(mode, mask if nodes else NULL, MOST_NODES if nodes else 0) < 0:
        error = errno
        raise OSError(error, os.strerror(error))


cdef class AffinityCalls(Privcmd):
    """The running hypervisor, asked as by ``Privcmd``, and told two things beside: where a domain's vcpus may run, and
    which nodes its memory is taken from (domctl setvcpuaffinity and setnodeaffinity).
    """

    def call(self, int number, int command, bytes op not None, tuple buffers not None=()):
        """As ``Privcmd.call``, with the two calls that change something. ``ValueError`` and ``OSError`` likewise."""
        cdef const char *contents[MOST_BUFFERS]
        cdef size_t lengths[MOST_BUFFERS]
        cdef size_t at[MOST_BUFFERS]
        cdef size_t places[MOST_BUFFERS]
        cdef size_t offset, needed
        cdef Py_ssize_t i, count = len(buffers)
        cdef bytes content
        cdef tuple handles
        if number != 36 or command not in (DOMCTL_SETVCPUAFFINITY, DOMCTL_SETNODEAFFINITY):
            return Privcmd.call(self, number, command, op, buffers)
        if len(op) != 144 or <int>np_word(PyBytes_AS_STRING(op), 0) != command:
            raise ValueError("the operation is not a domctl of that command")
        handles = (16,)
        if command == DOMCTL_SETVCPUAFFINITY:
            handles = (24, 40)
        if count > len(handles):
            raise ValueError("too many buffers")
        for offset in handles:
            if np_word(PyBytes_AS_STRING(op), offset) or np_word(PyBytes_AS_STRING(op), offset + 4):
                raise ValueError(f"the handle at offset {offset} is not zero")
        needed = rounded(144)
        for i in range(count):
            offset, content = buffers[i]
            if offset not in handles:
                raise ValueError(f"no handle at offset {offset}")
            at[i] = offset
            contents[i] = PyBytes_AS_STRING(content)
            lengths[i] = <size_t>PyBytes_GET_SIZE(content)
            # The number of bits stands behind the handle; Xen reads and writes that many.
            if np_word(PyBytes_AS_STRING(op), offset + 8) > 8 * lengths[i]:
                raise ValueError("a bitmap is shorter than its width")
            places[i] = needed
            needed += rounded(lengths[i])
            if needed > LARGEST_BOUNCE:
                raise ValueError("buffers too large for one hypercall")
        return self._make(number, command, op, needed, count, contents, lengths, at, places)
