/* Opening files below a root, and what kind of file a descriptor is of. */
#ifndef NUMAPROBE_READING_H
#define NUMAPROBE_READING_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437 /* the same on every architecture: Linux 5.6, include/uapi/asm-generic/unistd.h */
#endif

/* Linux's struct open_how and its constants, which C libraries older than openat2 do not have. */
struct np_open_how { uint64_t flags, mode, resolve; };
#define NP_RESOLVE_NO_MAGICLINKS 0x02
#define NP_RESOLVE_BENEATH 0x08
#define NP_RESOLVE_IN_ROOT 0x10

static int np_openat2(int directory, const char *path, int flags, uint64_t resolve)
{
    struct np_open_how how = { (uint64_t)flags, 0, resolve | NP_RESOLVE_NO_MAGICLINKS };
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/* One name of getdents64(2). A stream of the C library makes three system calls more for each directory. */
struct np_dirent { uint64_t inode; int64_t offset; unsigned short length; unsigned char type; char name[]; };

static long np_getdents(int fd, void *room, size_t size)
{
    return syscall(SYS_getdents64, fd, room, size);
}

/* Whether a path names something; 0, or the errno that says why not. */
static int np_absent(int directory, const char *path, uint64_t resolve)
{
    struct stat st;
    int fd;
    if (!resolve)
        return fstatat(directory, path, &st, 0) == 0 ? 0 : errno;
    fd = np_openat2(directory, path, O_PATH | O_CLOEXEC, resolve);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int np_is_regular(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* 0 for a regular file of at most so many bytes, else the errno that says why not: a sparse file costs its maker nothing. */
static int np_not_regular(int fd, size_t most)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return EINVAL;
    return (unsigned long long)st.st_size > most ? EFBIG : 0;
}

#endif
