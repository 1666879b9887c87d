"""Following symbolic links inside a recorded tree, where nothing may lead out of it."""

from __future__ import annotations

from errno import ELOOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# As many as the kernel follows in one look-up (MAXSYMLINKS of Linux's include/linux/namei.h).
MAX_LINKS = 40


def resolve(path: str, target_of: Callable[[str], str | None], known: dict[str, str]) -> str | int:
    """The path without links, relative to the root; or ELOOP.

    ``target_of`` gives a link's target, None for what is no link. ``..`` stops at the root, and an absolute target
    begins there. ``known`` keeps directories already resolved, for the next call.
    """
    links = 0
    done = ""
    todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    while todo:
        part = todo.pop()
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{part}" if done else part
        if todo and here in known:
            done = known[here]
            continue
        target = target_of(here)
        if target is None:
            if todo:
                known[here] = here
            done = here
            continue
        links += 1
        if links > MAX_LINKS:
            return ELOOP
        if target.startswith("/"):
            done = ""
        todo.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
    return done
