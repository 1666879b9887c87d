"""Who may import whom: a layer knows those below it, and what it imports costs little."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numaprobe

PACKAGE = Path(numaprobe.__file__).parent

# What each folder or top-level module may import of ours, beside itself and the ground floor.
GROUND = {"_fast", "errors", "named", "ports", "version", "wording", "atomic_file", "plain_json"}
FACTS = {"linux", "linux.guests", "xen", "xen.domains"}
MAY_IMPORT: dict[str, set[str]] = {
    "linux": set(),
    "linux.guests": {"linux"},
    "xen": set(),
    "xen.domains": {"xen"},
    "model": set(),
    "sources": {"linux", "xen"},
    "normalise": {"model", *FACTS},
    "probing": {"model", "sources", "normalise", *FACTS},
    "sampling": {"model", "sources", "normalise", "probing", *FACTS},
    "recording": {"model", "sources", "normalise", "probing", "sampling", *FACTS},
    "placement": {"model"},
    "metrics": {"model", "sampling"},
    "drawing": {"model"},
    "export": {"model", "metrics"},
    "doctor": {"model", "sources", "probing", *FACTS},
    "": {"doctor", "model", "probing", "sampling", "recording", "normalise", "placement", "export", "pin"},
    "pin": {"", "model", "placement", "xen", "xen.domains"},
    "contrib": {"", "model", "metrics", "placement"},
    "cli": {"", "doctor", "model", "drawing", "metrics", "contrib", "pin", "placement", "sampling", "sources"},
    "__main__": {"cli"},
}

SLOW = {
    "psutil",
    "json",
    "argparse",
    "ctypes",
    "logging",
    "tarfile",
    "dataclasses",
    "typing",
    "re",
    "inspect",
    "subprocess",
    "asyncio",
    "collections",
    "functools",
}


@cache
def modules() -> dict[str, ast.Module]:
    """Syntax trees by name below the package; a package is named like its directory, the whole one by nothing."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text("utf-8"), str(path))
    return found


def layer_of(module: str) -> str | None:
    """The longest name of the table that a module is in; the ground floor is one layer."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in GROUND:
            return "ground"
        if name in MAY_IMPORT:
            return name
    return None


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


@cache
def is_package(module: str, known: frozenset[str]) -> bool:
    return not module or any(name.startswith(module + ".") for name in known)


def imports(module: str, tree: ast.AST, known: frozenset[str], *, late: bool = False) -> Iterator[tuple[str, bool]]:
    """Modules of ours that are imported at run time, and whether that waits for a call."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "numaprobe":
                    yield alias.name.partition(".")[2], late
        elif isinstance(node, ast.ImportFrom) and node.level:
            parts = module.split(".") if module else []
            up = node.level - (1 if is_package(module, known) else 0)
            base = ".".join([*parts[: len(parts) - up], *((node.module or "").split(".") if node.module else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}" if base else alias.name
                # A public name may be a module's too: numaprobe.probe is the function.
                yield (inner if inner in known and (base or inner not in numaprobe.__all__) else base), late
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "numaprobe":
            yield (node.module or "").partition(".")[2], late
        else:
            inside = late or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            yield from imports(module, node, known, late=inside)


@cache
def arrows() -> frozenset[tuple[str, str]]:
    """Who imports whom at run time, by name."""
    known = frozenset({*modules(), "_fast"})
    return frozenset((module, other) for module, tree in modules().items() for other, _ in imports(module, tree, known))


def test_every_module_belongs_to_a_layer() -> None:
    """The table has to assign a place to each new module."""
    assert [module for module in modules() if layer_of(module) is None] == []


def test_imports_lead_downwards_only() -> None:
    """Bytes, facts, model, sources, programs: the table is the folder names."""
    wrong = []
    for module, imported in sorted(arrows()):
        layer = layer_of(module)
        if layer is not None and layer_of(imported) not in {"ground", layer} | MAY_IMPORT.get(layer, set()):
            wrong.append(f"{module or 'numaprobe'} imports {imported or 'numaprobe'}")
    assert wrong == []


# A plan renders itself, and its formats are written with its parts.
CIRCLES = {frozenset(("placement.plan", "placement.formats"))}


def test_no_two_modules_import_each_other() -> None:
    """Neither of such a pair can be read, or moved, without the other."""
    pairs = {frozenset(arrow) for arrow in arrows() if arrow[::-1] in arrows() and arrow[0] != arrow[1]}
    # A package stands for its public names there: what is in it may ask for those when it is called.
    assert {pair for pair in pairs - CIRCLES if "" not in pair} == set()


def test_the_rule_itself_sees_an_import_upwards() -> None:
    """A check that cannot fail would be none."""
    code = "def f():\n    from ..probing.host import probe\nfrom .. import normalise, probe\nfrom .facts import X\n"
    known = frozenset({"probing.host", "probing", "normalise", "linux", "linux.facts", "linux.cpus", ""})
    found = list(imports("linux.cpus", ast.parse(code), known))
    assert found == [("probing.host", True), ("normalise", False), ("", False), ("linux.facts", False)]
    assert layer_of("linux.cpus") == "linux"
    assert layer_of("linux.guests.facts") == "linux.guests"
    assert layer_of("wording") == "ground"
    assert layer_of("unheard_of") is None


def test_facts_are_collected_through_a_port_that_somebody_else_opened() -> None:
    """Nothing in the two collectors or in what interprets them touches a file."""
    wrong = []
    for module, tree in modules().items():
        if layer_of(module) not in {*FACTS, "model", "normalise"}:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                if name == "open" or name in (
                    "os.open",
                    "os.listdir",
                    "os.scandir",
                    "os.stat",
                    "io.open",
                    "os.readlink",
                    "Path",
                ):
                    wrong.append(f"{module}: {name}")
    assert wrong == []


def test_live_sources_are_opened_in_one_place() -> None:
    """A recording can stand in for the machine only where nothing else opens it."""
    openers: dict[str, set[str]] = {}
    for module, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("Files", "Privcmd"):
                openers.setdefault(node.func.id, set()).add(module)
    assert openers == {"Files": {"sources.opening", "sources.tree"}, "Privcmd": {"sources.opening"}}


def imported_by(code: str) -> set[str]:
    """Modules that a statement adds to an interpreter without site-packages, whose own start-up may import anything."""
    lines = ["import sys", "before = set(sys.modules)", f"sys.path.insert(0, {str(PACKAGE.parent)!r})", code]
    lines.append("print(*set(sys.modules) - before)")
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


def test_importing_numaprobe_does_not_import_what_is_slow() -> None:
    """It is done by every program that uses it, however little."""
    found = imported_by("import numaprobe")
    assert "numaprobe._fast" in found
    assert found & SLOW == set()
    assert {
        name for name in found if name.startswith(("numaprobe.cli", "numaprobe.sources.archive", "numaprobe.recording"))
    } == set()


def test_an_unbuilt_checkout_says_what_to_run(tmp_path: Path) -> None:
    """The ImportError has the command in one sentence, in place of a missing module _fast."""
    shutil.copytree(PACKAGE, tmp_path / "numaprobe", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import numaprobe"
    run = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("ImportError")]
    assert "run `pip install -e .` in the checkout" in line


def test_probing_the_running_host_does_not_import_what_is_slow() -> None:
    """The first probe is part of what a program waits for."""
    probe = "numaprobe.probe(source='linux', allowed=True, devices=True, caches=True)"
    assert imported_by(f"import numaprobe; {probe}") & SLOW == set()


def test_no_module_is_longer_than_a_person_can_hold() -> None:
    """The maximum is 400 lines."""
    lengths = {
        str(path.relative_to(PACKAGE)): len(path.read_text("utf-8").splitlines()) for path in PACKAGE.rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 400} == {}
