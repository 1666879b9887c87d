# cython: language_level=3
"""Bytes in, bytes out: files under a root directory, scanners that turn kernel text into integers, and hypercalls.

Nothing here knows what a file or a reply means. Every system call runs without the GIL, and an error number is
returned as well as the contents instead of being raised: a missing file is an ordinary answer for a reader of sysfs.

One module, because its parts share C state and C functions: the growing buffer that every read fills, the figures that
files and hypercalls both give, the pages of the hypercall's device, the count of forks. Separate modules would have to
export these to each other. Each part is a file of its own in ``fast``; its C is in headers next to it.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.pythread cimport (
    WAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
    PyThread_type_lock,
)
from libc.errno cimport (
    EAGAIN,
    EBADF,
    EFAULT,
    EFBIG,
    EINTR,
    EINVAL,
    ENODATA,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENXIO,
    EXDEV,
    errno,
)
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcmp, memcpy, memmove, memset, strcpy, strlen, strncmp

import os


# How many forks lie between this process and the one that imported the module. Asking for the process id instead
# would be a second system call with every hypercall, and one of a PV domain is not cheap.
cdef unsigned long forks = 0


def _forked():
    global forks
    forks += 1


os.register_at_fork(after_in_child=_forked)


def fork_count():
    """How many forks lie between this process and the one that imported this module."""
    return forks


include "fast/reading.pxi"  # opening and draining one file; the buffer that all readers fill
include "fast/seen.pxi"  # Seen: what was read, to be compared with what the same files hold now
include "fast/files.pxi"  # Files: many files below one root, with contents or errno
include "fast/open_files.pxi"  # OpenFiles: the same, held open and read again and again
include "fast/scan.pxi"  # kernel text to integers: lists, masks, numbers, fields, zones
include "fast/zoneinfo.pxi"  # /proc/zoneinfo scanned in pieces
include "fast/groups.pxi"  # packages, cores and what lies between, read and scanned together
include "fast/numa_maps.pxi"  # /proc/PID/numa_maps, summed by node
include "fast/page_nodes.pxi"  # the nodes of single pages of a process
include "fast/rows.pxi"  # named tuples from columns
include "fast/missed.pxi"  # Missed: why there are no figures, with a constant for each reason
include "fast/meminfo.pxi"  # the figures of one moment; meminfo, buddyinfo and vmstat scanned
include "fast/meminfo_files.pxi"  # MeminfoFiles: every node's meminfo held open and read at once
include "fast/hypercalls.pxi"  # Privcmd: the hypercalls of the two tables in hypercalls.h, and no other
include "fast/numainfo.pxi"  # Numainfo: Xen's free memory, queried in C with the same arguments every time
include "fast/changes.pxi"  # what changes something: memory policy, and a Xen domain's affinities
include "fast/memory_policy.pxi"  # the calling thread's memory policy, read back
