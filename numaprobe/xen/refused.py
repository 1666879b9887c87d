"""The operations that the running hypervisor has refused: each is requested once by a process.

Xen prints a line on its console for every call that its policy (FLASK) refuses, and an operation that Xen does not have
is one of them (avc_unknown_permission of Xen's xen/xsm/flask/hooks.c).
"""

from __future__ import annotations

# By hypercall and command, with the errno. Recordings keep theirs apart.
LIVE: dict[tuple[int, int], int] = {}
