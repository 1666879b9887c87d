# cython: language_level=3
"""Bytes in, bytes out: files under a root directory, and scanners that turn kernel text into integers.

Nothing here knows what a file means. Every system call runs without the GIL, and an error number is returned beside
the contents instead of being raised, because a missing file is an ordinary answer for a reader of sysfs.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.errno cimport EAGAIN, EBADF, EFBIG, EINTR, EINVAL, ENOMEM, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, strncmp

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
    #define NP_RESOLVE_IN_ROOT 0x10

    static int np_open_in_root(int root, const char *path, int flags)
    {
        struct np_open_how how = { (uint64_t)flags, 0, NP_RESOLVE_IN_ROOT | NP_RESOLVE_NO_MAGICLINKS };
        return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
    }

    static int np_is_regular(int fd)
    {
        struct stat st;
        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    }
    """
    int np_open_in_root(int root, const char *path, int flags) nogil
    int np_is_regular(int fd) nogil
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


# One attribute of sysfs is at most a page, and a bitmap or list one comes in pieces of a page (kernfs_file_read_iter
# in Linux's fs/kernfs/file.c), so a read that is not a whole number of these is the last one.
cdef enum:
    PAGE = 4096
    ROOM = 65536

# zoneinfo of a machine with 64 nodes and 4096 cpus is near 40 MiB; nothing else comes close.
cdef size_t LARGEST_FILE = 256 << 20

# Larger than any kernel's NR_CPUS or MAX_NUMNODES, small enough that a hostile file cannot ask for much memory.
cdef enum:
    LARGEST_ID = (1 << 20) - 1


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


cdef int open_retrying(int directory, const char *path, int flags, bint contained) noexcept nogil:
    """A descriptor, or a negated errno."""
    cdef int fd, error, tries = 0
    while True:
        if contained:
            fd = np_open_in_root(directory, path, flags)
        else:
            fd = openat(directory, path, flags)
        if fd >= 0:
            return fd
        error = errno
        tries += 1
        # EAGAIN: something was renamed during a contained look-up (openat2(2)).
        if error == EINTR or (contained and error == EAGAIN and tries < 16):
            continue
        return -error


cdef int drain(int fd, bint positioned, bint to_end, Buffer *buffer, Piece *piece) noexcept nogil:
    """Read a descriptor into the buffer; 0 or an errno.

    ``to_end`` asks until a read returns nothing, as files of procfs need, whose reads may be short anywhere.
    """
    cdef ssize_t got
    cdef int error
    piece.start = buffer.used
    piece.length = 0
    while True:
        error = room_for(buffer, ROOM)
        if error:
            break
        if positioned:
            got = pread_fd(fd, buffer.data + buffer.used, ROOM, <long long>piece.length)
        else:
            got = read_fd(fd, buffer.data + buffer.used, ROOM)
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


cdef int read_path(int directory, const char *path, bint contained, bint to_end, Buffer *buffer,
                   Piece *piece) noexcept nogil:
    # O_NONBLOCK and O_NOCTTY: a recorded tree may hold a FIFO or a terminal in place of a file.
    cdef int fd = open_retrying(directory, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, contained)
    cdef int error
    if fd < 0:
        return -fd
    if contained and not np_is_regular(fd):
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


cdef class Files:
    """Files below one root directory, by relative path.

    With ``contained`` no path and no link leads out of the root: ``..`` and absolute links stop at it, as openat2(2)
    with RESOLVE_IN_ROOT does; where the kernel lacks that call (before Linux 5.6, or behind an old seccomp filter)
    reads give ENOSYS or EPERM, and the caller has to resolve the links itself. Only regular files are read then.

    May be shared by threads; ``close`` must not run beside a read. Raises ``OSError`` if the root cannot be opened.
    """

    cdef int root
    cdef readonly bint contained
    cdef dict bases

    def __cinit__(self):
        self.root = -1

    def __init__(self, root not None, *, bint contained=False):
        if self.root >= 0:
            raise RuntimeError("Files is initialised once")
        path = os.fsencode(root)
        cdef const char *raw = path
        cdef int fd
        with nogil:
            fd = open_retrying(-100, raw, O_PATH | O_DIRECTORY | O_CLOEXEC, False)
        if fd < 0:
            raise OSError(-fd, os.strerror(-fd), os.fsdecode(root))
        self.root = fd
        self.contained = contained
        self.bases = {}

    def read(self, paths not None, str base not None=""):
        """Contents by position: ``bytes``, or an ``int`` errno for a file that could not be read.

        ``paths`` is a list or tuple of ``str`` relative to ``base``, which is relative to the root. The directory
        ``base`` is opened once and kept, which spares the kernel the walk to it for every file.
        """
        cdef list names = self._names(paths, base)
        cdef Py_ssize_t i, count = len(names)
        cdef int directory = self._directory(base)
        cdef bint contained = self.contained
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
        buffer.size = ROOM * 2
        buffer.data = <char *>malloc(buffer.size)
        try:
            if pieces == NULL or raw == NULL or buffer.data == NULL:
                raise MemoryError()
            for i in range(count):
                raw[i] = PyBytes_AS_STRING(names[i])
            with nogil:
                for i in range(count):
                    pieces[i].error = read_path(
                        directory, raw[i], contained, base_of_procfs or of_procfs(raw[i]), &buffer, &pieces[i]
                    )
            return pieces_to_list(&buffer, pieces, count)
        finally:
            free(buffer.data)
            PyMem_Free(raw)
            PyMem_Free(pieces)

    def listdir(self, str path not None, str prefix not None=""):
        """Names in a directory that begin with ``prefix``, sorted, as ``str``; or an ``int`` errno."""
        self._check_open()
        cdef bytes encoded = os.fsencode(path or ".")
        cdef bytes start = os.fsencode(prefix)
        cdef const char *raw = encoded
        cdef const char *raw_start = start
        cdef size_t start_length = <size_t>len(start)
        cdef size_t length
        cdef int fd, error = 0, root = self.root
        cdef bint contained = self.contained
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
                fd = open_retrying(root, raw, O_RDONLY | O_DIRECTORY | O_CLOEXEC, contained)
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
        cdef list names = self._names(paths, "")
        cdef Kept kept = Kept.__new__(Kept)
        cdef Py_ssize_t i, count = len(names)
        cdef const char *raw
        cdef int fd, directory = self.root
        cdef bint contained = self.contained
        kept.allocate(count)
        for i in range(count):
            raw = PyBytes_AS_STRING(names[i])
            with nogil:
                fd = open_retrying(directory, raw, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, contained)
                if fd >= 0 and contained and not np_is_regular(fd):
                    close_fd(fd)
                    fd = -EINVAL
            kept.descriptors[i] = fd
            kept.to_end[i] = of_procfs(raw)
        return kept

    cdef list _names(self, paths, str base):
        """Encoded paths; they keep the C pointers into them alive."""
        self._check_open()
        cdef str join = base + "/" if base and self.contained else ""
        cdef list names = []
        for path in paths:
            encoded = os.fsencode(join + path)
            if b"\0" in encoded:
                raise ValueError(f"a path with a NUL byte: {path!r}")
            names.append(encoded)
        return names

    cdef int _directory(self, str base) except? -1:
        """Descriptor that paths below ``base`` are relative to, or a negated errno."""
        # A contained look-up has to begin at the root itself: RESOLVE_IN_ROOT takes the start as the root.
        if not base or self.contained:
            return self.root
        held = self.bases.get(base)
        if held is not None:
            return held
        cdef bytes encoded = os.fsencode(base)
        cdef const char *raw = encoded
        cdef int fd, root = self.root
        with nogil:
            fd = open_retrying(root, raw, O_PATH | O_DIRECTORY | O_CLOEXEC, False)
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
        buffer.size = ROOM * 2
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
    while text.end > text.at and is_blank(text.end[-1]):
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
    if node is not None:
        out.append((node, name, low, high, managed, protection))
    return out
