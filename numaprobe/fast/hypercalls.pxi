# ---- Hypercalls: one ioctl each, through Linux's privcmd (drivers/xen/privcmd.c, privcmd-buf.c) ----
#
# Xen copies operations and buffers by the caller's page tables and cannot wait for a page fault, so both live in a
# bounce buffer that stays mapped: pages of /dev/xen/hypercall (Linux 4.18), or else locked and touched ones.

cdef extern from "fast/privcmd.h":
    unsigned int np_word(const char *op, size_t at) nogil
    char *np_map_bounce(int fd, size_t size) nogil
    ctypedef struct pthread_mutex_t:
        pass
    pthread_mutex_t *np_new_lock() nogil
    void np_free_lock(pthread_mutex_t *lock) nogil
    int pthread_mutex_trylock(pthread_mutex_t *lock) nogil
    int pthread_mutex_lock(pthread_mutex_t *lock) nogil
    int pthread_mutex_unlock(pthread_mutex_t *lock) nogil
    void np_unmap(char *base, size_t size) nogil
    bint np_takes_command(int number) nogil
    int np_hypercall(int fd, int number, int command, char *op) nogil
    int open_device "open"(const char *path, int flags) nogil
    int O_RDWR


cdef extern from "fast/hypercalls.h":
    enum:
        NP_SYSCTL
        NP_SYSCTL_BYTES
        NP_SYSCTL_READCONSOLE
        NP_SYSCTL_PHYSINFO
        NP_SYSCTL_DEBUG_KEYS
        NP_SYSCTL_NUMAINFO
    struct np_operation:
        int number
        int command
        unsigned int size
        unsigned int handles
        unsigned int bitmaps
        unsigned int choice_at
        unsigned int choices
    const np_operation *np_find_read(int number, int command) nogil
    const np_operation *np_find_change(int number, int command) nogil


cdef enum:
    MAX_BUFFERS = 4
    # Without the buffer device, migration or compaction may take a page's mapping away for a moment.
    FAULT_TRIES = 4

cdef size_t SMALLEST_BOUNCE = 64 << 10
cdef size_t MAX_BOUNCE = 32 << 20


# One of an operation's buffers: its contents, where its handle is, and where it lies behind the operation.
cdef struct Part:
    const char *content
    size_t length
    size_t handle
    size_t place


# A hypercall that was checked; the parts point into objects that the caller holds.
cdef struct Request:
    int number
    int command
    const char *op
    size_t size
    size_t needed
    Py_ssize_t count
    Part parts[MAX_BUFFERS]


cdef class Privcmd:
    """The running hypervisor, queried through the privcmd device; makes only read-only hypercalls.

    May be shared by threads, of which one calls at a time, and used in a forked child, which gets pages of its own.
    ``paths`` are tried in order while there is no such device. Raises ``OSError`` with the device's path where it
    cannot be opened. ``debug_key`` allows Xen's debug key ``u`` and no other, and to read the console that it answers
    on; it changes nothing, and may hold a large host up for seconds.
    """

    cdef int device
    cdef int pages
    cdef bint debug_key
    cdef bint may_change
    cdef char *base
    cdef size_t size
    cdef unsigned long forks
    cdef pthread_mutex_t *lock

    def __cinit__(self):
        self.device = -1
        self.pages = -1
        self.forks = forks
        self.lock = np_new_lock()
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
        offset of its handle in ``op``, and its contents. ``ValueError`` for what is not in the tables of
        ``hypercalls.h``, ``OSError`` with Xen's errno for one that Xen refused.
        """
        cdef const np_operation *form = self._form(number, command)
        cdef Request request
        self._check(form, op)
        if number == NP_SYSCTL and command in (NP_SYSCTL_READCONSOLE, NP_SYSCTL_DEBUG_KEYS):
            self._check_debug(command, op, buffers)
        request.number = number
        request.command = command
        request.op = PyBytes_AS_STRING(op)
        request.size = form.size
        self._add_parts(form, &request, buffers)
        return self._make(&request)

    def call_each(self, int number, int command, ops not None):
        """Make the same hypercall once for each of ``ops``, whole operations without buffers.

        The operations as Xen left them, or Xen's errno, by position. ``ValueError`` as from :meth:`call`, before any
        of them is made.
        """
        cdef const np_operation *form = self._form(number, command)
        cdef Request request
        cdef bytes op
        cdef int result = 0, error = 0
        cdef list answers = []
        cdef tuple checked = tuple(ops)
        if number == NP_SYSCTL and command in (NP_SYSCTL_READCONSOLE, NP_SYSCTL_DEBUG_KEYS):
            raise ValueError("a debug key is not made in a batch")
        for op in checked:
            if op is None:
                raise TypeError("an operation is bytes, not None")
            self._check(form, op)
        request.number = number
        request.command = command
        request.size = form.size
        self._add_parts(form, &request, ())
        self.hold(request.needed)
        try:
            for op in checked:
                request.op = PyBytes_AS_STRING(op)
                with nogil:
                    error = self._try(&request, &result)
                answers.append(error or PyBytes_FromStringAndSize(self.base, <Py_ssize_t>request.size))
        finally:
            pthread_mutex_unlock(self.lock)
        return answers

    def unchanged(self, seen not None):
        """Whether each call gives what it gave: tuples (number, command, op, buffers, and the answer or errno)."""
        for number, command, op, buffers, answer in seen:
            try:
                found = self.call(number, command, op, buffers)
            except OSError as error:
                found = error.errno
            if found != answer:
                return False
        return True

    cdef const np_operation *_form(self, int number, int command) except NULL:
        """How the hypercall is made; ``ValueError`` for what is not in the tables."""
        cdef const np_operation *form = np_find_read(number, command)
        if form == NULL and self.may_change:
            form = np_find_change(number, command)
        if form == NULL:
            allowed = "allowed" if self.may_change else "one of the read-only ones"
            raise ValueError(f"hypercall {number} command {command} is not {allowed}")
        return form

    cdef int _check(self, const np_operation *form, bytes op) except -1:
        """The operation is whole, is the one that it is called, and holds no address of its caller's."""
        cdef const char *words = PyBytes_AS_STRING(op)
        cdef size_t offset
        cdef unsigned int choice
        if <size_t>PyBytes_GET_SIZE(op) != form.size:
            raise ValueError(f"hypercall {form.number} command {form.command} takes {form.size} bytes, not {len(op)}")
        if not np_takes_command(form.number) and <int>np_word(words, 0) != form.command:
            raise ValueError("the operation does not begin with its command")
        if form.choices:
            choice = np_word(words, form.choice_at)
            if choice >= 32 or not form.choices >> choice & 1:
                raise ValueError(f"hypercall {form.number} command {form.command} is not read-only for {choice}")
        # Xen writes to wherever a handle points; the only addresses it gets are those patched in.
        for offset in range(0, form.size, 8):
            if form.handles >> (offset // 8) & 1 and (np_word(words, offset) or np_word(words, offset + 4)):
                raise ValueError(f"the handle at offset {offset} is not zero")
        return 0

    cdef int _add_parts(self, const np_operation *form, Request *request, tuple buffers) except -1:
        cdef Py_ssize_t i
        cdef size_t offset
        cdef bytes content
        cdef Part *part
        request.count = len(buffers)
        request.needed = rounded(form.size)
        if request.count > MAX_BUFFERS:
            raise ValueError("too many buffers")
        for i in range(request.count):
            offset, content = buffers[i]
            if offset % 8 or offset >= form.size or not form.handles >> (offset // 8) & 1:
                raise ValueError(f"no handle at offset {offset}")
            part = &request.parts[i]
            part.handle = offset
            part.content = PyBytes_AS_STRING(content)
            part.length = <size_t>PyBytes_GET_SIZE(content)
            if form.bitmaps >> (offset // 8) & 1 and np_word(request.op, offset + 8) > 8 * part.length:
                raise ValueError("a bitmap is shorter than its width")
            part.place = request.needed
            request.needed += rounded(part.length)
            if request.needed > MAX_BOUNCE:
                raise ValueError("buffers too large for one hypercall")
        return 0

    cdef int _check_debug(self, int command, bytes op, tuple buffers) except -1:
        """Debug keys do whatever somebody once needed, including rebooting the host: only ``u`` is passed on."""
        if not self.debug_key:
            raise ValueError("the debug key was not allowed")
        if command == NP_SYSCTL_DEBUG_KEYS and (
            np_word(PyBytes_AS_STRING(op), 16) != 1 or len(buffers) != 1 or buffers[0][1] != b"u"
        ):
            raise ValueError("a debug key other than u")
        # The first two bytes are clear and incremental; clear would take the console's text from everybody else.
        if command == NP_SYSCTL_READCONSOLE and op[8] != 0:
            raise ValueError("a readconsole that is not read-only")
        return 0

    cdef tuple _make(self, Request *request):
        cdef char *base
        cdef int result = 0, error = 0
        cdef Py_ssize_t i
        cdef list outs
        self.hold(request.needed)
        try:
            base = self.base
            with nogil:
                error = self._try(request, &result)
            if error:
                raise OSError(error, os.strerror(error))
            outs = []
            for i in range(request.count):
                outs.append(PyBytes_FromStringAndSize(base + request.parts[i].place,
                                                      <Py_ssize_t>request.parts[i].length))
            return result, PyBytes_FromStringAndSize(base, <Py_ssize_t>request.size), tuple(outs)
        finally:
            pthread_mutex_unlock(self.lock)

    cdef int _try(self, Request *request, int *result) noexcept nogil:
        """Make the hypercall in the pages, which are held; 0 or Xen's errno. No address stays in them."""
        cdef char *base = self.base
        cdef Part *part
        cdef uint64_t pointer
        cdef Py_ssize_t i
        cdef int error, tries = 1 if self.pages >= 0 else FAULT_TRIES
        while True:
            # Writing is also what makes the pages present and writable for Xen; a try that failed half way may have
            # left anything.
            if request.needed:
                memset(base, 0, request.needed)
                memcpy(base, request.op, request.size)
            for i in range(request.count):
                part = &request.parts[i]
                memcpy(base + part.place, part.content, part.length)
                pointer = <uint64_t><uintptr_t>(base + part.place)
                memcpy(base + part.handle, &pointer, sizeof(pointer))
            result[0] = np_hypercall(self.device, request.number, request.command, base if request.size else NULL)
            error = errno if result[0] == -1 else 0
            tries -= 1
            if error != EFAULT or tries == 0:
                break
        for i in range(request.count):
            memset(base + request.parts[i].handle, 0, sizeof(pointer))
        return error

    cdef int hold(self, size_t needed) except -1:
        """Take the lock, with at least this many bytes mapped. ``ValueError`` once closed."""
        self._own()
        if pthread_mutex_trylock(self.lock):
            with nogil:
                pthread_mutex_lock(self.lock)
        if self.device < 0:
            pthread_mutex_unlock(self.lock)
            raise ValueError("the hypervisor's device is closed")
        if needed > self.size:
            try:
                self._room(needed)
            except BaseException:
                pthread_mutex_unlock(self.lock)
                raise
        return 0

    cdef int _own(self) except -1:
        """After a fork the pages are the parent's alone, and its lock may be held by a thread that is not here."""
        cdef pthread_mutex_t *lock
        if self.forks == forks:
            return 0
        with cython.critical_section(self):
            if self.forks != forks:
                # The old lock is left alone: freeing one that is held is undefined, and it is a few bytes.
                lock = np_new_lock()
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
        """Close the device and give back the pages; harmless when done twice. Waits for a call that is under way."""
        self._own()
        if pthread_mutex_trylock(self.lock):
            with nogil:
                pthread_mutex_lock(self.lock)
        self._release()
        pthread_mutex_unlock(self.lock)

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
            np_free_lock(self.lock)
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
