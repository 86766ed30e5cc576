"""Records as the usual programs print them: paths with lines, fields between tabs, blocks of key=value. All total."""

from __future__ import annotations

from collections.abc import Iterator

from forensics.text import decode


def grepped(raw: bytes) -> tuple[list[tuple[str, str]], int]:
    r"""Read what `grep -HZ` printed, `path\0line`; gives the pairs, and how many lines had no path."""
    pairs: list[tuple[str, str]] = []
    bad = 0
    for line in raw.split(b"\n"):
        path, nul, rest = line.partition(b"\0")
        if nul:
            pairs.append((decode(path), decode(rest)))
        elif line:
            bad += 1
    return pairs, bad


def named(raw: bytes) -> tuple[list[tuple[str, str]], int]:
    """Read what `grep -H` printed of files of the kernel, `path:line`, whose paths have no colon."""
    pairs: list[tuple[str, str]] = []
    bad = 0
    for line in raw.splitlines():
        path, colon, rest = decode(line).partition(":")
        if colon and path.startswith("/"):
            pairs.append((path, rest))
        else:
            bad += 1
    return pairs, bad


def fields(raw: bytes, count: int) -> tuple[list[list[str]], int]:
    r"""Read what `find -printf '…\t…\0'` printed: records of `count` fields; the last may hold tabs."""
    records: list[list[str]] = []
    bad = 0
    for record in filter(None, raw.split(b"\0")):
        parts = [decode(part) for part in record.split(b"\t", count - 1)]
        if len(parts) == count:
            records.append(parts)
        else:
            bad += 1
    return records, bad


def blocks(raw: bytes) -> tuple[list[dict[str, str]], int]:
    """Read what `systemctl show` printed: blocks of key=value between empty lines; a key twice has both, by line."""
    found: list[dict[str, str]] = [{}]
    bad = 0
    for line in decode(raw).split("\n"):
        key, equals, value = line.partition("=")
        if not line.strip():
            found.append({})
        elif equals:
            known = found[-1]
            known[key] = f"{known[key]}\n{value}" if key in known else value
        else:
            bad += 1
    return [block for block in found if block], bad


def pid_of(path: str) -> int | None:
    """Give the process of a path below /proc."""
    parts = path.split("/", 3)
    if len(parts) > 2 and parts[1] == "proc" and parts[2].isascii() and parts[2].isdecimal() and len(parts[2]) < 11:
        return int(parts[2])
    return None


def alternating(raw: bytes) -> Iterator[tuple[str, bytes]]:
    r"""Give the pairs of what `grep -zHZ` printed, `path\0text\0`."""
    tokens = raw.split(b"\0")
    for at in range(0, len(tokens) - 1, 2):
        yield decode(tokens[at]), tokens[at + 1]
