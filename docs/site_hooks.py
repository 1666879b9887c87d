"""Hooks of MkDocs: pages outside docs/ become part of the site, and links between the two work in both places."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
# Where a file of the project is found on the site.
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "LICENSE.txt",
    **{str(path.relative_to(ROOT)): str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("benchmarks/*.md"))},
    **{str(path.relative_to(ROOT)): f"schemas/{path.name}" for path in sorted(ROOT.glob("numaprobe/schemas/*.json"))},
    **{str(path.relative_to(ROOT)): f"data/{path.name}" for path in sorted(ROOT.glob("numaprobe/contrib/data/*"))},
}


def on_files(files: Any, config: Any) -> Any:
    """Add the files that lie elsewhere."""
    from mkdocs.structure.files import File

    for source, target in MOVED.items():
        files.append(File.generated(config, target, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files of the project become links to where they are on the site."""
    here = {target: source for source, target in MOVED.items()}.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    depth = page.file.src_uri.count("/")

    def moved(match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if "://" in target or not target:
            return match[0]
        path = (ROOT / here).parent.joinpath(target).resolve().relative_to(ROOT).as_posix()
        on_site = MOVED.get(path, path.removeprefix("docs/"))
        return f"]({'../' * depth}{on_site}{anchor})"

    return re.sub(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", moved, markdown)
