/* Linux's privcmd: one ioctl for each hypercall, and pages that Xen can copy to and from. */
#ifndef NUMAPROBE_PRIVCMD_H
#define NUMAPROBE_PRIVCMD_H

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "hypercalls.h"

/* Linux's struct privcmd_hypercall and IOCTL_PRIVCMD_HYPERCALL, which C libraries do not have. */
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

static void np_unmap(char *base, size_t size)
{
    munmap(base, size);
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

/* The command is an argument of its own, or else the first word of the operation. */
static int np_takes_command(int number)
{
    return number == NP_MEMORY_OP || number == NP_XEN_VERSION;
}

static int np_hypercall(int fd, int number, int command, char *op)
{
    struct np_hypercall call = { (uint64_t)number, { 0, 0, 0, 0, 0 } };
    if (np_takes_command(number)) {
        call.arg[0] = (uint64_t)command;
        call.arg[1] = (uint64_t)(uintptr_t)op;
    } else {
        call.arg[0] = (uint64_t)(uintptr_t)op;
    }
    return ioctl(fd, NP_IOCTL_HYPERCALL, &call);
}

#endif
