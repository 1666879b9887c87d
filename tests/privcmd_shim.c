/* Stands in for Linux's privcmd when preloaded: answers open, mmap and ioctl for its devices and passes on the rest.
 *
 * It checks what Xen would trip over and answers EIO where a check fails, after saying so on standard error.
 * Environment:
 *   SHIM_DEVICE      the path that is there; every other device path is missing
 *   SHIM_OPEN_ERRNO  opening that path fails with this
 *   SHIM_BUFFERS     1 if /dev/xen/hypercall is there
 *   SHIM_FAULTS      so many hypercalls fail with EFAULT first, after spoiling the operation
 *   SHIM_ERRNO       hypercalls fail with this
 *   SHIM_SLEEP_US    a hypercall takes this long
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct hypercall { uint64_t op, arg[5]; };

static int device = -1, buffers = -1;
static char *bounce;
static size_t bounce_size;
static atomic_int inside, faults;
static pid_t owner;

static long setting(const char *name)
{
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

static int complain(const char *what)
{
    fprintf(stderr, "privcmd shim: %s\n", what);
    errno = EIO;
    return -1;
}

static int missing(void)
{
    errno = ENOENT;
    return -1;
}

static int device_open(const char *path, int flags)
{
    const char *there = getenv("SHIM_DEVICE");
    if (!strcmp(path, "/dev/xen/hypercall")) {
        if (!setting("SHIM_BUFFERS"))
            return missing();
        return buffers = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
    }
    if (!there || strcmp(path, there))
        return missing();
    if (setting("SHIM_OPEN_ERRNO")) {
        errno = (int)setting("SHIM_OPEN_ERRNO");
        return -1;
    }
    if (!(flags & O_CLOEXEC) || (flags & O_ACCMODE) != O_RDWR)
        return complain("opened with wrong flags");
    faults = (int)setting("SHIM_FAULTS");
    return device = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", flags, 0);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    if (!strncmp(path, "/dev/xen/", 9) || !strncmp(path, "/proc/xen/", 10))
        return device_open(path, flags);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int fd)
{
    if (fd >= 0 && fd == device)
        device = -1;
    if (fd >= 0 && fd == buffers)
        buffers = -1;
    return (int)syscall(SYS_close, fd);
}

void *mmap(void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
    void *mapped;
    if (fd < 0 || fd != buffers)
        return (void *)syscall(SYS_mmap, where, size, protection, flags, fd, offset);
    if (!(flags & MAP_SHARED)) {
        errno = EINVAL;
        return MAP_FAILED;
    }
    mapped = (void *)syscall(SYS_mmap, NULL, size, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped != MAP_FAILED) {
        bounce = mapped;
        bounce_size = size;
    }
    return mapped;
}

void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));

static uint32_t word(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static char *handle(const char *at)
{
    char *value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int all(const char *at, size_t count, char byte)
{
    for (size_t i = 0; i < count; i++)
        if (at[i] != byte)
            return 0;
    return 1;
}

/* Two nodes into buffers for more, as Xen 4.17 does. */
static int numainfo(char *op)
{
    static const uint64_t sizes[4] = { 1ull << 30, 1ull << 29, 2ull << 30, 1ull << 28 };
    static const uint32_t ways[4] = { 10, 21, 31, 10 };
    char *meminfo = handle(op + 16), *distance = handle(op + 24);
    uint32_t nodes = word(op + 8), two = 2;
    if (!meminfo || !distance || !all(op + 32, 104, 0))
        return complain("numainfo: a handle is missing, or the rest is not zero");
    if (!all(meminfo, 16 * nodes, (char)0xff) || !all(distance, 4 * nodes * nodes, (char)0xff))
        return complain("numainfo: a buffer does not hold what it was given");
    if ((meminfo < op + 136 && meminfo + 16 * nodes > op) || (distance < op + 136 && distance + 4 * nodes * nodes > op))
        return complain("numainfo: a buffer overlaps the operation");
    memcpy(meminfo, sizes, sizeof sizes);
    memcpy(distance, ways, sizeof ways);
    memcpy(op + 8, &two, sizeof two);
    return 0;
}

/* Leaves a mark in the operation, waits, and looks whether somebody else has been there. */
static int changeset(char *op)
{
    char mark[64] = "";
    snprintf(mark, sizeof mark, "%d", (int)getpid());
    memcpy(op, mark, sizeof mark);
    usleep((useconds_t)setting("SHIM_SLEEP_US"));
    if (memcmp(op, mark, sizeof mark))
        return complain("another process or thread wrote over the operation");
    return 0;
}

static int answer(struct hypercall *call)
{
    char *op = (char *)(uintptr_t)(call->op == 12 || call->op == 17 ? call->arg[1] : call->arg[0]);
    uint64_t address = (uint64_t)(uintptr_t)op;
    if (call->arg[2] || call->arg[3] || call->arg[4])
        return complain("arguments that are not zero");
    if (setting("SHIM_BUFFERS") && op && (op < bounce || op >= bounce + bounce_size))
        return complain("the operation is not in pages of the buffer device");
    if (atomic_fetch_sub(&faults, 1) > 0) {
        if (op)
            memset(op + 8, 0xee, 128);
        errno = EFAULT;
        return -1;
    }
    if (setting("SHIM_ERRNO")) {
        errno = (int)setting("SHIM_ERRNO");
        return -1;
    }
    if (call->op == 17 && call->arg[0] == 0)
        return op ? complain("version with a pointer") : 4 << 16 | 17;
    if (call->op == 17 && call->arg[0] == 4)
        return changeset(op);
    if (call->op == 17 && call->arg[0] == 6) {  /* hands out the address of the operation, for a look at its pages */
        memcpy(op, &address, sizeof address);
        return 0;
    }
    if (call->op == 12 && call->arg[0] == 2)
        return -2147483647;  /* what a page number above 2^31 becomes on its way through an int */
    if (call->op == 35 && word(op) == 17)
        return numainfo(op);
    errno = ENOSYS;
    return -1;
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (fd < 0 || fd != device)
        return (int)syscall(SYS_ioctl, fd, request, argument);
    if (request != 0x305000)
        return complain("another ioctl");
    if (owner != getpid()) {  /* a fork copies the count of a call that only the parent is making */
        owner = getpid();
        inside = 0;
    }
    if (atomic_fetch_add(&inside, 1))
        return complain("two threads at once");
    int result = answer(argument), error = errno;
    atomic_fetch_sub(&inside, 1);
    errno = error;
    return result;
}
