"""Every domain of a hypervisor: ``sysctl getdomaininfolist``, and domctl and memory_op for each.

Domains are created and destroyed during that; one that Xen no longer knows by the end is left out.
"""

from __future__ import annotations

import os
from errno import EACCES, EINVAL, ENOBUFS, ENOSYS, EOPNOTSUPP, EPERM, ESRCH
from struct import unpack_from

from ...errors import FactError, SourceError
from ...wording import id_list
from .. import abi
from ..calls import REFUSED_BY, issue
from ..sysctl import bits
from . import abi as domain_abi
from .facts import DomainFacts, VcpuFacts, VnodeFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...ports import Hypercalls
    from ..facts import PhysInfo
    from ..sysctl import Sysctl

# Rows in one call; bytes that Xen does not write show that a row is as long as is thought.
_ROWS = 128
_UNWRITTEN = b"\xee"
_NOT_THERE = (ENOSYS, EOPNOTSUPP, EINVAL, EPERM, EACCES)
# What the errors of an operation that this Xen does not have are; others are refusals.
_MISSING = (ENOSYS, EOPNOTSUPP, EINVAL)
_CONTRADICTED = "vcpus that Xen counts as online cannot be queried"


class Domains:
    """Queries domains in the negotiated versions of sysctl and domctl. ``info`` is the machine's physinfo.

    ``refused`` are operations that are not to be requested again, by hypercall and command, with Xen's errno. Xen
    prints a line on its console for each that its policy (FLASK) refuses, so that one hypervisor's are kept as long as
    the process lives. ``notes`` are pairs of a hypercall and what was wrong with it.
    """

    def __init__(
        self,
        sysctl: Sysctl,
        domctl_version: int,
        info: PhysInfo,
        *,
        arm: bool = False,
        refused: dict[tuple[int, int], int] | None = None,
    ) -> None:
        self._sysctl = sysctl
        self._calls: Hypercalls = sysctl.calls
        self._version = domctl_version
        self._info = info
        self._layout = domain_abi.row_layout(domctl_version)
        self._stride = self._layout.size_arm if arm else self._layout.size
        self._refused = {} if refused is None else refused
        # Refusals of what Xen has, by call and errno: the domains that they were for.
        self._withheld: dict[tuple[str, int], list[int]] = {}

    def collect(self, *, each_vcpu: bool = True) -> tuple[DomainFacts, ...]:
        """Facts of every domain by number. ``each_vcpu`` makes two hypercalls for every vcpu.

        Raises ``SourceError`` or one of its kinds where Xen refuses the list, ``FactError`` for one that makes no
        sense; anything else that is missing or withheld is None.
        """
        found = []
        for row in self.rows():
            vcpus = self._vcpus(row) if each_vcpu else None
            vnodes = self._vnodes(row)
            pages = self._node_pages(row)
            try:
                affinity = self._node_affinity(row.id)
            except SourceError as error:
                if error.errno == ESRCH:
                    continue
                raise
            found.append(row._replace(vcpus=vcpus, vnodes=vnodes, node_pages=pages, node_affinity=affinity))
        return tuple(found)

    @property
    def notes(self) -> list[tuple[str, str]]:
        """Refusals that leave something unknown, and of which domains."""
        found = [
            (where, f"{os.strerror(errno)}: {why}, for domain {id_list(sorted(set(domains)))}")
            for (where, errno), domains in self._withheld.items()
            for why in [REFUSED_BY.get(errno, _CONTRADICTED)]
        ]
        errno = self._refused.get((abi.DOMCTL, abi.DOMCTL_NUMA_OP))
        if errno is not None and errno not in _MISSING:
            text = f"{os.strerror(errno)}: refused by Xen's policy, or by a filter of the control domain's kernel"
            found.append(("domctl numa_op", text))
        return found

    def _withhold(self, error: SourceError, domain: int) -> None:
        """Remember a refusal; one for want of the operation is none."""
        if error.errno in REFUSED_BY:
            self._withheld.setdefault((error.where, error.errno), []).append(domain)

    def rows(self) -> list[DomainFacts]:
        """The list alone, page by page, in the order of the numbers."""
        where = "sysctl getdomaininfolist"
        rows: list[DomainFacts] = []
        first = 0
        while first < domain_abi.FIRST_RESERVED:
            payload = domain_abi.LIST.pack(first, _ROWS, 0, 0)
            op = abi.OPERATION_HEADER.pack(abi.SYSCTL_GETDOMAININFOLIST, self._sysctl.version) + payload
            buffers = ((domain_abi.LIST_HANDLE_AT, _UNWRITTEN * (_ROWS * self._stride)),)
            reply, (written,) = issue(
                self._calls, abi.SYSCTL, abi.SYSCTL_GETDOMAININFOLIST, op.ljust(abi.SYSCTL_BYTES, b"\0"), buffers
            )[1:]
            count = domain_abi.LIST.unpack_from(reply, domain_abi.LIST_AT)[3]
            if count > _ROWS or written[count * self._stride :].strip(_UNWRITTEN):
                raise FactError(where, str(count), f"rows are not of {self._stride} bytes")
            for position in range(count):
                row = self._row(written, position * self._stride)
                if row.id < first or row.id >= domain_abi.FIRST_RESERVED:
                    raise FactError(where, str(row.id), f"domains out of order in rows of {self._stride} bytes")
                rows.append(row)
                first = row.id + 1
            if count < _ROWS:
                break
        return rows

    def _row(self, written: bytes, at: int) -> DomainFacts:
        fields = dict(zip(self._layout.names, self._layout.row.unpack_from(written, at), strict=True))
        if fields["max_vcpu_id"] == abi.ALL_ONES_32:
            fields["max_vcpu_id"] = None
        return DomainFacts(**{"outstanding_pages": None, "paged_pages": None, **fields})

    def _query(
        self, command: int, domain: int, payload: bytes, buffers: tuple[tuple[int, bytes], ...] = ()
    ) -> tuple[bytes, tuple[bytes, ...]]:
        op = (domain_abi.HEADER.pack(command, self._version, domain) + payload).ljust(abi.DOMCTL_BYTES, b"\0")
        return issue(self._calls, abi.DOMCTL, command, op, buffers)[1:]

    def _node_affinity(self, domain: int) -> tuple[int, ...] | None:
        """None before 4.3 and where it is withheld; ``SourceError`` with ESRCH for a domain that no longer exists."""
        if self._version < domain_abi.NODE_AFFINITY_SINCE:
            self._query(abi.DOMCTL_GETDOMAININFO, domain, b"")
            return None
        # Xen 4.21 and later spoils a bitmap that is narrower than its own.
        width = self._info.max_node_id + 1
        buffers = ((domain_abi.NODE_AFFINITY_HANDLE_AT, bytes((width + 7) // 8)),)
        try:
            _, (bitmap,) = self._query(abi.DOMCTL_GETNODEAFFINITY, domain, domain_abi.BITMAP.pack(0, width), buffers)
        except SourceError as error:
            if error.errno in _NOT_THERE:
                self._withhold(error, domain)
                return None
            raise
        return bits(bitmap, width)

    def _vcpus(self, row: DomainFacts) -> tuple[VcpuFacts, ...] | None:
        """None where Xen withholds any of them."""
        found = []
        invalid = None
        for vcpu in range(0 if row.max_vcpu_id is None else row.max_vcpu_id + 1):
            payload = domain_abi.VCPU_INFO.pack(vcpu, False, False, False, 0, 0)
            try:
                reply, _ = self._query(abi.DOMCTL_GETVCPUINFO, row.id, payload)
                hard, soft = self._affinity(row.id, vcpu)
            except SourceError as error:
                # A number without a vcpu, or a domain that no longer exists, which is found out in the end.
                if error.errno in (ESRCH, EINVAL):
                    invalid = error if error.errno == EINVAL else invalid
                    continue
                if error.errno in (EPERM, EACCES):
                    self._withhold(error, row.id)
                    return None
                raise
            _, online, blocked, running, _, cpu = domain_abi.VCPU_INFO.unpack_from(reply, domain_abi.PAYLOAD_AT)
            found.append(
                VcpuFacts(id=vcpu, online=online, blocked=blocked, running=running, cpu=cpu, hard=hard, soft=soft)
            )
        if invalid is not None and sum(one.online for one in found) < row.online_vcpus:
            # Xen counts vcpus that it does not know.
            self._withheld.setdefault((invalid.where, EINVAL), []).append(row.id)
            return None
        return tuple(found)

    def _affinity(self, domain: int, vcpu: int) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        width = self._info.max_cpu_id + 1
        bitmap = bytes((width + 7) // 8)
        written = domain_abi.BITMAP.pack(0, width)
        if self._version < domain_abi.SOFT_AFFINITY_SINCE:
            payload = domain_abi.VCPU_AND_FLAGS.pack(vcpu, 0) + written
            _, (hard,) = self._query(
                abi.DOMCTL_GETVCPUAFFINITY, domain, payload, ((domain_abi.HARD_HANDLE_AT, bitmap),)
            )
            return bits(hard, width), None
        payload = domain_abi.VCPU_AND_FLAGS.pack(vcpu, domain_abi.HARD_AND_SOFT) + written + written
        buffers = ((domain_abi.HARD_HANDLE_AT, bitmap), (domain_abi.SOFT_HANDLE_AT, bitmap))
        _, (hard, soft) = self._query(abi.DOMCTL_GETVCPUAFFINITY, domain, payload, buffers)
        return bits(hard, width), bits(soft, width)

    def _node_pages(self, row: DomainFacts) -> dict[int, int] | None:
        """Pages by node, where the hypervisor counts them (numa_op of XenServer and XCP-ng); None elsewhere.

        The operation belongs to no interface version, so its answer is believed only if it is of the requested size,
        complete, and sums up to the domain's pages.
        """
        key = (abi.DOMCTL, abi.DOMCTL_NUMA_OP)
        if key in self._refused:
            return None
        nodes = self._info.max_node_id + 1
        payload = domain_abi.NUMA_OP.pack(domain_abi.NUMA_OP_GET_NODE_PAGES, nodes, 0)
        buffers = ((domain_abi.NUMA_OP_HANDLE_AT, b"\xff" * (8 * nodes)),)
        try:
            _, (counts,) = self._query(abi.DOMCTL_NUMA_OP, row.id, payload, buffers)
        except SourceError as error:
            if error.errno in _NOT_THERE:
                self._refused[key] = error.errno or 0
            return None
        pages = unpack_from(f"<{nodes}Q", counts)
        counted = {node: count for node, count in enumerate(pages) if count not in (0, abi.ALL_ONES_64)}
        total = sum(counted.values())
        if total == row.tot_pages:
            return counted
        # The domain's memory may have changed between the two questions.
        again = next((other for other in self.rows() if other.id == row.id), None)
        if again is None or not min(row.tot_pages, again.tot_pages) <= total <= max(row.tot_pages, again.tot_pages):
            return None
        return counted

    def _vnodes(self, row: DomainFacts) -> tuple[VnodeFacts, ...] | None:
        key = (abi.MEMORY_OP, abi.MEMORY_GET_VNUMAINFO)
        if key in self._refused or self._version < domain_abi.SOFT_AFFINITY_SINCE or row.max_vcpu_id is None:
            return None
        vcpus = row.max_vcpu_id + 1
        vnodes, ranges = domain_abi.MAX_VNODES, domain_abi.MAX_VMEMRANGES
        op = domain_abi.VNUMA.pack(row.id, vnodes, vcpus, ranges, 0, 0, 0)
        sizes = (4 * vnodes * vnodes, 4 * vcpus, domain_abi.VMEMRANGE.size * ranges)
        buffers = tuple([(at, bytes(size)) for at, size in zip(domain_abi.VNUMA_HANDLES_AT, sizes, strict=True)])
        try:
            _, reply, outs = issue(self._calls, abi.MEMORY_OP, abi.MEMORY_GET_VNUMAINFO, op, buffers)
        except SourceError as error:
            # EOPNOTSUPP is a domain without virtual nodes, ENOSYS a Xen without the operation.
            if error.errno == ENOSYS:
                self._refused[key] = ENOSYS
            if error.errno in (ENOBUFS, ESRCH, *_NOT_THERE):
                self._withhold(error, row.id)
                return None
            raise
        _, vnodes, placed, ranges, *_ = domain_abi.VNUMA.unpack(reply)
        if vnodes > domain_abi.MAX_VNODES or placed > vcpus or ranges > domain_abi.MAX_VMEMRANGES:
            raise FactError("memory_op get_vnumainfo", str(vnodes), "more than there was room for")
        node_of = unpack_from(f"<{placed}I", outs[1])
        size = dict.fromkeys(range(vnodes), 0)
        for start, end, _, node in domain_abi.VMEMRANGE.iter_unpack(outs[2][: ranges * domain_abi.VMEMRANGE.size]):
            size[node] = size.get(node, 0) + end - start
        return tuple(
            [
                VnodeFacts(node, size[node], tuple([vcpu for vcpu, at in enumerate(node_of) if at == node]))
                for node in sorted(size)
            ]
        )
