/* Clocks, what shows that a directory changed, and the whole machine's memory. */
#ifndef NUMAPROBE_MOMENTS_H
#define NUMAPROBE_MOMENTS_H

#include <errno.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>

/* Shows that names were added to a directory or removed. kernfs gives the number of subdirectories
   (kernfs_refresh_inode of Linux's fs/kernfs/inode.c), other file systems the time of the change too. */
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

static int64_t np_load(int64_t *from) { return __atomic_load_n(from, __ATOMIC_RELAXED); }
static void np_store(int64_t *to, int64_t value) { __atomic_store_n(to, value, __ATOMIC_RELAXED); }

#endif
