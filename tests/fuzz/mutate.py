"""Seeded mutations of bytes and of trees: what bit rot, bad copies, other kernels and bad intent make of them."""

from __future__ import annotations

import random

TOKENS = (
    b"0", b"-1", b"1", b"4095", b"4096", b"65535", b"2147483648", b"4294967295", b"9223372036854775807", b"1e400",
    b"18446744073709551615", b"18446744073709551616", b"99999999999999999999999", b"0-65535", b"0-4294967295", b"-", b",",
    b"\n", b"\0", b"\xff\xfe", b" ", b"\t", b"0x", b"ffffffff,", b"null", b"NaN", b"true", b"[]", b"{}", b'""', b"..",
    b"/", b"../../etc/passwd", b"Node 0", b" kB", b" MB", b"\xc3\xa9", b"\xe2\x80\xae", b"\x1b[31m",
)  # fmt: skip


def _digits(source: random.Random, content: bytes) -> bytes:
    """A number in it becomes another one."""
    starts = [i for i in range(len(content)) if content[i : i + 1].isdigit() and not content[i - 1 : i].isdigit()]
    if not starts:
        return content + source.choice(TOKENS)
    begin = source.choice(starts)
    end = begin
    while content[end : end + 1].isdigit():
        end += 1
    return content[:begin] + source.choice(TOKENS) + content[end:]


def _slice(source: random.Random, content: bytes) -> tuple[int, int]:
    begin = source.randrange(len(content) + 1)
    return begin, min(len(content), begin + source.choice((1, 2, 8, 64, 4096)))


def mutated(source: random.Random, content: bytes) -> bytes:
    """One to four changes of it."""
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        begin, end = _slice(source, content)
        how = source.randrange(10)
        if how == 0:
            content = content[:begin]
        elif how == 1:
            content = content[:begin] + content[end:]
        elif how == 2:
            content = content[:end] + content[begin:end] * source.choice((1, 2, 100)) + content[end:]
        elif how in (3, 4, 5):
            content = _digits(source, content)
        elif how == 6:
            content = content[:begin] + source.choice(TOKENS) + content[end:]
        elif how == 7 and content:
            at = source.randrange(len(content))
            content = content[:at] + bytes([content[at] ^ (1 << source.randrange(8))]) + content[at + 1 :]
        elif how == 8:
            lines = content.split(b"\n")
            source.shuffle(lines)
            content = b"\n".join(lines)
        else:
            content = source.choice((b"", b"\n", source.randbytes(source.randrange(64)), content.rstrip(b"\n")))
    return content


def spoiled(source: random.Random, tree: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """A tree in which one to eight files are mutated, lost, empty, or a directory."""
    tree = dict(tree)
    for path in source.sample(sorted(tree), source.choice((1, 1, 2, 3, 8))):
        how = source.randrange(8)
        content = tree[path]
        if how == 0:
            del tree[path]
        elif how == 1 and content is not None:
            tree[path] = source.choice((b"", b"\n", b"junk\n", b"-1\n", b"18446744073709551615\n"))
        elif content is not None:
            tree[path] = mutated(source, content)
    return tree
