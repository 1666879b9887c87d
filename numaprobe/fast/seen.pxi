# ---- What was read, to be compared with what the same files hold now ----

cdef enum:
    SEEN_FILE = 0
    SEEN_LISTING = 1
    SEEN_ABSENCE = 2
    # Directories that paths are relative to.
    MAX_PLACES = 8


cdef struct Place:
    int directory
    uint64_t resolve
    bint of_procfs


cdef struct Sight:
    int kind
    # Position of the directory that the path is relative to.
    int base
    # An errno, or 0 with a content.
    int error
    # Bytes of the path, and of the prefix that the names of a listing begin with, each with its NUL byte; and bytes of
    # the content. They follow.
    size_t path
    size_t content


@cython.final
cdef class Seen:
    """Files, listings and absences in the order in which they were read, with what they gave.

    Files of which the last part of the path is among ``ignored`` are left out.
    """

    cdef Buffer buffer
    cdef list bases
    cdef list ignored
    cdef public bint odd

    def __cinit__(self, tuple ignored=()):
        self.buffer.used = self.buffer.size = 0
        self.buffer.data = NULL
        self.bases = []
        self.ignored = [whole(name) for name in ignored]
        self.odd = False

    def __dealloc__(self):
        free(self.buffer.data)

    cdef int base_of(self, str base) except -1:
        if base not in self.bases:
            self.bases.append(base)
        return self.bases.index(base)

    cdef bint ignores(self, const char *path):
        cdef bytes name
        cdef size_t length = strlen(path), size
        for name in self.ignored:
            size = <size_t>PyBytes_GET_SIZE(name)
            if size < length and path[length - size - 1] == c"/" and memcmp(
                path + length - size, PyBytes_AS_STRING(name), size
            ) == 0:
                return True
        return False

    cdef int begin(self) except -1:
        if self.buffer.data == NULL:
            self.buffer.data = <char *>malloc(PAGE)
            if self.buffer.data == NULL:
                raise MemoryError()
            self.buffer.size = PAGE
        return 0

    def trim(self):
        """Give back what the buffer grew too far."""
        cdef char *data
        if self.buffer.used and self.buffer.used < self.buffer.size:
            data = <char *>realloc(self.buffer.data, self.buffer.used)
            if data != NULL:
                self.buffer.data = data
                self.buffer.size = self.buffer.used


cdef int see(Buffer *buffer, int kind, int base, const char *path, const char *prefix, const char *content,
             size_t length, int error) noexcept nogil:
    """Keep one answer; 0 or ENOMEM."""
    cdef Sight sight
    cdef size_t name = strlen(path) + 1
    sight.kind = kind
    sight.base = base
    sight.error = error
    sight.path = name + strlen(prefix) + 1
    sight.content = 0 if error else length
    if room_for(buffer, sizeof(sight) + sight.path + sight.content):
        return ENOMEM
    memcpy(buffer.data + buffer.used, &sight, sizeof(sight))
    buffer.used += sizeof(sight)
    memcpy(buffer.data + buffer.used, path, name)
    memcpy(buffer.data + buffer.used + name, prefix, sight.path - name)
    buffer.used += sight.path
    if sight.content:
        memcpy(buffer.data + buffer.used, content, sight.content)
        buffer.used += sight.content
    return 0


cdef int look_again(Place *place, bint regular, Sight *sight, const char *path, Buffer *buffer,
                    Piece *piece) noexcept nogil:
    """Read what was seen once more, into an empty buffer; 0 or an errno.

    With ``regular`` by pread(2), which refuses pipes, sockets and terminals; nothing else that is no regular file was
    seen to have a content.
    """
    cdef const char *prefix = path + strlen(path) + 1
    cdef int fd, error, flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
    buffer.used = 0
    piece.start = piece.length = 0
    if sight.kind == SEEN_ABSENCE:
        return np_absent(place.directory, path, place.resolve)
    if sight.kind == SEEN_LISTING:
        flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
    fd = open_retrying(place.directory, path, flags, place.resolve)
    if fd < 0:
        return -fd
    if sight.kind == SEEN_LISTING:
        error = list_names(fd, prefix, strlen(prefix), buffer)
        piece.length = buffer.used
    else:
        error = drain(fd, regular, place.of_procfs or of_procfs(path), buffer, piece)
    close_fd(fd)
    return error


cdef bint is_unchanged(Buffer *seen, Place *places, bint regular, Buffer *buffer) noexcept nogil:
    cdef Sight sight
    cdef Piece piece
    cdef const char *path
    cdef size_t at = 0
    cdef int error
    while at < seen.used:
        memcpy(&sight, seen.data + at, sizeof(sight))
        path = seen.data + at + sizeof(sight)
        at += sizeof(sight) + sight.path + sight.content
        error = look_again(&places[sight.base], regular, &sight, path, buffer, &piece)
        if error != sight.error:
            return False
        if error == 0 and (piece.length != sight.content
                           or memcmp(buffer.data, path + sight.path, sight.content) != 0):
            return False
    return True
