/* Stands in for Linux's privcmd when preloaded: answers open, mmap and ioctl for its devices and passes on the rest.
 *
 * It checks what Xen would trip over and answers EIO where a check fails, after saying so on standard error.
 * Environment:
 *   SHIM_DEVICE      the path that is there; every other device path is missing
 *   SHIM_OPEN_ERRNO  opening that path fails with this
 *   SHIM_BUFFERS     1 if /dev/xen/hypercall is there
 *   SHIM_FAULTS      so many hypercalls fail with EFAULT first, after spoiling the operation
 *   SHIM_ERRNO       hypercalls fail with this
 *   SHIM_RESULT      hypercalls succeed with this
 *   SHIM_SLEEP_US    a hypercall takes this long
 *   SHIM_NODES       so many nodes are there, of at most 4 (unset: 2)
 *   SHIM_SPAN        the last node spans so many bytes (unset: those of the table below)
 *   SHIM_CPUS        so many cpus are online (unset: 8)
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

static const uint64_t spans[4] = { 1ull << 30, 2ull << 30, 3ull << 30, 4ull << 30 };
static const uint64_t unused[4] = { 1ull << 29, 1ull << 28, 0, 5 };

/* Nodes into buffers for more, as Xen 4.17 does; the distances may be left out. */
static int numainfo(char *op)
{
    char *meminfo = handle(op + 16), *distance = handle(op + 24);
    uint32_t room = word(op + 8), nodes = getenv("SHIM_NODES") ? (uint32_t)setting("SHIM_NODES") : 2;
    if (!meminfo || !all(op + 32, 104, 0))
        return complain("numainfo: a handle is missing, or the rest is not zero");
    if (!all(meminfo, 16 * room, (char)0xff) || (distance && !all(distance, 4 * room * room, (char)0xff)))
        return complain("numainfo: a buffer does not hold what it was given");
    if (meminfo < op + 136 && meminfo + 16 * room > op)
        return complain("numainfo: the rows overlap the operation");
    if (distance && distance < op + 136 && distance + 4 * room * room > op)
        return complain("numainfo: the distances overlap the operation");
    if (setting("SHIM_SLEEP_US"))
        usleep((useconds_t)setting("SHIM_SLEEP_US"));
    if (nodes > room)
        nodes = room;
    for (uint32_t i = 0; i < nodes; i++) {
        uint64_t span = i + 1 == nodes && getenv("SHIM_SPAN") ? (uint64_t)setting("SHIM_SPAN") : spans[i];
        memcpy(meminfo + 16 * i, &span, 8);
        memcpy(meminfo + 16 * i + 8, &unused[i], 8);
        for (uint32_t j = 0; distance && j < nodes; j++) {
            uint32_t way = i == j ? 10 : i < j ? 21 : 31;
            memcpy(distance + 4 * (nodes * i + j), &way, 4);
        }
    }
    memcpy(op + 8, &nodes, sizeof nodes);
    return 0;
}

/* Size, free and claimed of each node, as XenServer 9 has them. */
static int numa_meminfo(char *op)
{
    char *rows = handle(op + 16);
    uint32_t room = word(op + 8), nodes = 2;
    if (!rows || !all(op + 12, 4, 0) || !all(op + 24, 112, 0))
        return complain("numa_meminfo: a handle is missing, or the rest is not zero");
    if (!all(rows, 24 * room, (char)0xff))
        return complain("numa_meminfo: the buffer does not hold what it was given");
    for (uint32_t i = 0; i < nodes && i < room; i++) {
        uint64_t claimed = i + 1;
        memcpy(rows + 24 * i, &spans[i], 8);
        memcpy(rows + 24 * i + 8, &unused[i], 8);
        memcpy(rows + 24 * i + 16, &claimed, 8);
    }
    memcpy(op + 8, &nodes, sizeof nodes);
    return 0;
}

/* Of physinfo the third payload word is how many cpus are online; some of the rest is never twice the same. */
static int physinfo(char *op)
{
    static uint32_t calls;
    uint32_t cpus = getenv("SHIM_CPUS") ? (uint32_t)setting("SHIM_CPUS") : 8;
    if (!all(op + 8, 128, 0))
        return complain("physinfo: the operation is not zero");
    calls++;
    memcpy(op + 16, &cpus, sizeof cpus);
    memcpy(op + 56, &calls, sizeof calls);
    return 0;
}

/* Free bytes that tell which node and width were asked for; there is no node 9. */
static int availheap(char *op)
{
    uint32_t width = word(op + 12), node = word(op + 16);
    uint64_t available = (uint64_t)node << 32 | width;
    if (node == 9) {
        errno = EINVAL;
        return -1;
    }
    memcpy(op + 24, &available, sizeof available);
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
    if (getenv("SHIM_RESULT"))
        return (int)setting("SHIM_RESULT");
    if (call->op == 17 && call->arg[0] == 0)
        return op ? complain("version with a pointer") : 4 << 16 | 17;
    if (call->op == 17 && call->arg[0] == 4)
        return changeset(op);
    if (call->op == 17 && call->arg[0] == 3) {  /* hands out the address of the operation, for a look at its pages */
        memcpy(op, &address, sizeof address);
        return 0;
    }
    if (call->op == 35 && word(op) == 17)
        return numainfo(op);
    if (call->op == 35 && word(op) == 1117)
        return numa_meminfo(op);
    if (call->op == 35 && word(op) == 3)
        return physinfo(op);
    if (call->op == 35 && word(op) == 9)
        return availheap(op);
    errno = ENOSYS;
    return -1;
}

/* How many calls are being answered. */
int shim_inside(void)
{
    return atomic_load(&inside);
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
