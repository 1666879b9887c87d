# ---- Hypercalls: one ioctl each, through Linux's privcmd (drivers/xen/privcmd.c, privcmd-buf.c) ----
#
# Xen copies operations and buffers by the caller's page tables and cannot wait for a page fault, so both live in a
# bounce buffer that stays mapped: pages of /dev/xen/hypercall (Linux 4.18), or else locked and touched ones.

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <stdlib.h>
    #include <sys/ioctl.h>
    #include <sys/mman.h>

    /* Linux's struct privcmd_hypercall and IOCTL_PRIVCMD_HYPERCALL, which C libraries lack. */
    struct np_hypercall { uint64_t op, arg[5]; };
    #define NP_IOCTL_HYPERCALL 0x305000UL

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

    /* Python's own lock looks at the clock whenever it is taken (PyThread_acquire_lock_timed of Python/thread_pthread.h
       since 3.11), and in many a control domain that is a system call, as dear as the hypercall itself. */
    static pthread_mutex_t *np_new_lock(void)
    {
        pthread_mutex_t *lock = malloc(sizeof *lock);
        if (lock != NULL && pthread_mutex_init(lock, NULL) != 0) {
            free(lock);
            lock = NULL;
        }
        return lock;
    }

    static void np_free_lock(pthread_mutex_t *lock)
    {
        pthread_mutex_destroy(lock);
        free(lock);
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
    int np_hypercall(int fd, int number, int command, char *op) nogil
    int open_device "open"(const char *path, int flags) nogil
    int O_RDWR


cdef enum:
    CPUPOOL_INFO = 3
    CPUPOOL_FREEINFO = 7
    NUMA_GET_NODE_PAGES = 0
    SYSCTL_READCONSOLE = 1
    SYSCTL_DEBUG_KEYS = 7
    MAX_BUFFERS = 4
    # Without the buffer device, migration or compaction may take a page's mapping away for a moment.
    FAULT_TRIES = 4

cdef size_t SMALLEST_BOUNCE = 64 << 10
cdef size_t MAX_BOUNCE = 32 << 20


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
        offset of its handle in ``op``, and its contents. ``ValueError`` for what is not a read-only hypercall,
        ``OSError`` with Xen's errno for one that Xen refused.
        """
        cdef const np_allowed *allowed = np_find_allowed(number, command)
        cdef const char *contents[MAX_BUFFERS]
        cdef size_t lengths[MAX_BUFFERS]
        cdef size_t at[MAX_BUFFERS]
        cdef size_t places[MAX_BUFFERS]
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
        if count > MAX_BUFFERS:
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
            if needed > MAX_BOUNCE:
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
        self.hold(needed)
        try:
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
            pthread_mutex_unlock(self.lock)

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
