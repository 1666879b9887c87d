/* Fails one system call of a process, by its number since it was armed.
 *
 * Preloaded, it stands before the C library's functions that read, list and write files, and before syscall() for
 * openat2. While armed it counts them, in every thread, and keeps the kind of each; the one whose number is asked for
 * fails with an errno, or for -1 gives half of what it would have given if it reads or writes (a call of another kind at
 * that number, for calls depend on time, is passed on: it has nothing to halve). Disarmed, it passes everything on.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KINDS = 1 << 16 };

static atomic_int armed, count;
static int wanted = -1, fault;
static char kinds[KINDS + 1], struck[512];

void shim_arm(int number, int error)
{
    wanted = number;
    fault = error;
    struck[0] = 0;
    atomic_store(&count, 0);
    atomic_store(&armed, 1);
}

/* How many calls there were. */
int shim_disarm(void)
{
    atomic_store(&armed, 0);
    return atomic_load(&count);
}

/* One letter for each call. */
const char *shim_kinds(void)
{
    int n = atomic_load(&count);
    kinds[n < KINDS ? n : KINDS] = 0;
    return kinds;
}

/* What failed: a call and a path; nothing if the number was not reached. */
const char *shim_struck(void) { return struck; }

/* Whether this call is the one: then errno is set, or for half an answer 2 is returned. */
static int strikes(char kind, const char *name, const char *path, int fd)
{
    char link[64], held[400];
    ssize_t length;
    int number;
    if (!atomic_load(&armed))
        return 0;
    number = atomic_fetch_add(&count, 1);
    if (number < KINDS)
        kinds[number] = kind;
    if (number != wanted || (fault < 0 && kind != 'r' && kind != 'w'))
        return 0;
    if (!path) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = syscall(SYS_readlink, link, held, sizeof held - 1);
        held[length < 0 ? 0 : length] = 0;
        path = held;
    }
    snprintf(struck, sizeof struck, "%s %s", name, path);
    if (fault < 0)
        return 2;
    errno = fault;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int flags_of(va_list *rest, int flags) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(*rest, int) : 0; }

#define OPENS(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags_of(&rest, flags); \
        va_end(rest); \
        return strikes('o', "open", path, -1) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name) \
    int name(int directory, const char *path, int flags, ...) \
    { \
        va_list rest; \
        va_start(rest, flags); \
        int mode = flags_of(&rest, flags); \
        va_end(rest); \
        return strikes('o', "openat", path, -1) ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

long syscall(long number, ...)
{
    static long (*real)(long, ...);
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(rest, long);
    va_end(rest);
    if (!real)
        real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    if (number == SYS_openat2 && strikes('o', "openat2", (const char *)a[1], -1))
        return -1;
    if (number == SYS_getdents64 && strikes('d', "getdents64", NULL, (int)a[0]))
        return -1;
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

DIR *opendir(const char *path) { return strikes('o', "opendir", path, -1) ? NULL : REAL(opendir)(path); }
DIR *fdopendir(int fd) { return strikes('s', "fdopendir", NULL, fd) ? NULL : REAL(fdopendir)(fd); }
struct dirent *readdir(DIR *from) { return strikes('d', "readdir", NULL, dirfd(from)) ? NULL : REAL(readdir)(from); }
struct dirent64 *readdir64(DIR *from) { return strikes('d', "readdir", NULL, dirfd(from)) ? NULL : REAL(readdir64)(from); }

/* Half of it, and the rest is there for the next read. */
ssize_t read(int fd, void *to, size_t size)
{
    switch (strikes('r', "read", NULL, fd)) {
    case 1: return -1;
    case 2: {
        off_t before = lseek(fd, 0, SEEK_CUR);
        ssize_t got = syscall(SYS_read, fd, to, size);
        if (got > 1 && before >= 0 && lseek(fd, before + got / 2, SEEK_SET) >= 0)
            got /= 2;
        return got;
    }
    }
    return syscall(SYS_read, fd, to, size);
}

#define READS_AT(name, type) \
    ssize_t name(int fd, void *to, size_t size, type offset) \
    { \
        int strike = strikes('r', "pread", NULL, fd); \
        ssize_t got; \
        if (strike == 1) \
            return -1; \
        got = syscall(SYS_pread64, fd, to, size, offset); \
        return strike == 2 && got > 1 ? got / 2 : got; \
    }
READS_AT(pread, off_t)
READS_AT(pread64, off64_t)

ssize_t write(int fd, const void *from, size_t size)
{
    int strike = strikes('w', "write", NULL, fd);
    if (strike == 1)
        return -1;
    return syscall(SYS_write, fd, from, strike == 2 && size > 1 ? size / 2 : size);
}

int fsync(int fd) { return strikes('w', "fsync", NULL, fd) ? -1 : REAL(fsync)(fd); }
int fchmod(int fd, mode_t mode) { return strikes('w', "fchmod", NULL, fd) ? -1 : REAL(fchmod)(fd, mode); }
int rename(const char *a, const char *b) { return strikes('w', "rename", b, -1) ? -1 : REAL(rename)(a, b); }
int renameat(int d, const char *a, int e, const char *b)
{
    return strikes('w', "renameat", b, -1) ? -1 : REAL(renameat)(d, a, e, b);
}
int linkat(int d, const char *a, int e, const char *b, int flags)
{
    return strikes('w', "linkat", b, -1) ? -1 : REAL(linkat)(d, a, e, b, flags);
}

int fstat(int fd, struct stat *to) { return strikes('s', "fstat", NULL, fd) ? -1 : REAL(fstat)(fd, to); }
int fstat64(int fd, struct stat64 *to) { return strikes('s', "fstat", NULL, fd) ? -1 : REAL(fstat64)(fd, to); }
int stat(const char *path, struct stat *to) { return strikes('s', "stat", path, -1) ? -1 : REAL(stat)(path, to); }
int stat64(const char *path, struct stat64 *to) { return strikes('s', "stat", path, -1) ? -1 : REAL(stat64)(path, to); }
int lstat(const char *path, struct stat *to) { return strikes('s', "lstat", path, -1) ? -1 : REAL(lstat)(path, to); }
int lstat64(const char *path, struct stat64 *to) { return strikes('s', "lstat", path, -1) ? -1 : REAL(lstat64)(path, to); }
int fstatat(int at, const char *path, struct stat *to, int flags)
{
    return strikes('s', "fstatat", path, -1) ? -1 : REAL(fstatat)(at, path, to, flags);
}
int fstatat64(int at, const char *path, struct stat64 *to, int flags)
{
    return strikes('s', "fstatat", path, -1) ? -1 : REAL(fstatat64)(at, path, to, flags);
}
ssize_t readlink(const char *path, char *to, size_t size)
{
    return strikes('s', "readlink", path, -1) ? -1 : REAL(readlink)(path, to, size);
}
ssize_t readlinkat(int at, const char *path, char *to, size_t size)
{
    return strikes('s', "readlinkat", path, -1) ? -1 : REAL(readlinkat)(at, path, to, size);
}
