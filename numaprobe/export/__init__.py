"""A host in the formats of other programs: ``numaprobe.export.libvirt(host)`` and so on give the text.

Each format is a function here, and a row of ``FORMATS`` for ``numaprobe export``. What writes it is a module of
``formats``, with ``render(host, **options)``, imported on first access: a module here would take the place of the
function of its name.
"""

from __future__ import annotations

from importlib import import_module

from ..named import namedtuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..model.host import Host


class Format(namedtuple("Format", "module help options caches", defaults=((), False))):
    """``module`` is below this package, ``help`` one line, ``options`` the keywords that ``render`` takes.

    ``caches`` says that the format has room for them, so that the host is best probed with ``caches=True``.
    """

    __slots__ = ()
    module: str
    help: str
    options: tuple[str, ...]
    caches: bool


FORMATS: dict[str, Format] = {
    "json": Format("formats.json", "the document of show --json, indented", caches=True),
    "libvirt": Format(
        "formats.libvirt",
        "libvirt's capabilities XML (virsh capabilities)",
        options=("version", "arch"),
        caches=True,
    ),
    "hwloc": Format("formats.hwloc", "hwloc's XML, for HWLOC_XMLFILE and lstopo -i", options=("arch",), caches=True),
    "nrt": Format("formats.nrt", "a Kubernetes NodeResourceTopology, as JSON", ("name",)),
    "dra": Format(
        "formats.dra",
        "ResourceSlices of Kubernetes' Dynamic Resource Allocation, as JSON",
        ("name", "driver", "numa_list"),
    ),
    "lscpu": Format("formats.lscpu", "the columns of lscpu -p", caches=True),
    "prometheus": Format("formats.prometheus", "Prometheus's text exposition (takes numaprobe[prometheus])"),
    "collectd": Format("formats.collectd", "PUTVAL lines, for collectd's exec plugin"),
    "telegraf": Format("formats.telegraf", "InfluxDB's line protocol, for telegraf's exec input"),
    "slurm": Format("formats.slurm", "a node's line of slurm.conf, as slurmd -C", ("name",)),
}


def render(host: Host, form: str, /, **options: Any) -> str:
    """A host in one of ``FORMATS``, ending with a newline.

    Raises ``ValueError`` for another form or an option that the format does not take, and for a host that it cannot
    express.
    """
    if form not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, not {form!r}")
    for option in options:
        if option not in FORMATS[form].options:
            raise ValueError(f"format {form} takes no {option}")
    text: str = import_module(f".{FORMATS[form].module}", __name__).render(host, **options)
    return text


def json(host: Host) -> str:
    """The document of ``numaprobe show --json`` (``schemas/show.json``), indented."""
    return render(host, "json")


def libvirt(host: Host, *, version: int = 9, arch: str | None = None) -> str:
    """The capabilities XML of libvirt, with the host's cpu and topology.

    ``version`` is 9, for a schema like that of libvirt 9.0, or 11, like that of 11.3: they differ in ``cluster_id``.
    ``arch`` is the architecture (``uname -m``) if the host has none: without it ``cpu``, which the schema requires, is
    left out. Sizes are in KiB; what is unknown is left out, and a cpu whose place is not wholly known has its ``id``
    alone.
    """
    return render(host, "libvirt", version=version, arch=arch)


def hwloc(host: Host, *, arch: str | None = None) -> str:
    """The XML 2.0 of hwloc. Raises ``ValueError`` for a host whose cpus are unknown."""
    return render(host, "hwloc", arch=arch)


def nrt(host: Host, *, name: str | None = None) -> str:
    """A Kubernetes NodeResourceTopology as JSON, one zone for each cell; memory and huge pages are in bytes.

    ``name`` is the Kubernetes node's, without which the object has none.
    """
    return render(host, "nrt", name=name)


def lscpu(host: Host) -> str:
    """The columns of ``lscpu -p``: cpu, core, socket, node and, with ``host.caches``, a number for each kind of cache.

    Online cpus only; empty is unknown.
    """
    return render(host, "lscpu")


def slurm(host: Host, *, name: str | None = None) -> str:
    """A node's line of slurm.conf, for ``name`` or, without one, ``DEFAULT``; ``RealMemory`` in MiB.

    Raises ``ValueError`` for a name that slurm.conf cannot hold and a host whose cpus are unknown.
    """
    return render(host, "slurm", name=name)
