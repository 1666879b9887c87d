/* set_mempolicy(2), get_mempolicy(2) and move_pages(2), which have no wrappers outside libnuma. */
#ifndef NUMAPROBE_MEMPOLICY_H
#define NUMAPROBE_MEMPOLICY_H

#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* maxnode counts one more than is read (get_nodes of Linux's mm/mempolicy.c). */
static long np_set_mempolicy(int mode, const unsigned long *mask, unsigned long bits)
{
    return syscall(SYS_set_mempolicy, mode, mask, bits + 1);
}

/* maxnode is taken as it is here, unlike in set_mempolicy (kernel_get_mempolicy of mm/mempolicy.c). */
static long np_get_mempolicy(int *mode, unsigned long *mask, unsigned long bits)
{
    return syscall(SYS_get_mempolicy, mode, mask, bits, NULL, 0);
}

/* Without nodes nothing is moved: the status of each page is its node, or a negative errno (move_pages(2)). */
static long np_page_nodes(int pid, unsigned long count, void **addresses, int *status)
{
    return syscall(SYS_move_pages, pid, count, addresses, NULL, status, 0);
}

#endif
