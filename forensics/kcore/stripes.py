"""How memory is divided among readers, and the one command that each of them runs on the target.

Every piece is cut into stripes, which the readers take in turn: so they all stay busy, our side has to keep no more
than a stripe of each, and the stream is in the order of addresses. A reader is a shell with `dd`: POSIX operands only,
for dd of busybox has no others everywhere. Before each stripe it says which one comes, and at its end that it is over;
it counts what dd says it read, and stops at the first that came short: no byte is ever taken for another address's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forensics.kcore.headers import PAGE, Piece

STRIPE = 4 << 20
"""Bytes that a reader gives before it is the next one's turn."""

OVER = b"@over\n"

# $dd and $pack are words of ours with paths of the target's system folders: they are to be split. 256 pages a block.
_SCRIPT = """dd=$1 file=$2 stripe=$3 step=$4 pack=$5; shift 5
blocks() {
 [ "$2" -gt 0 ] || return 0
 said=$($dd bs="$1" count="$2" 2>&1 >&3) && [ "${said%%+*}" = "$2" ] && return 0
 printf '%s\\n' "$said" >&2; return 1
}
pages() {
 $dd bs=4096 skip="$1" count=0 2>/dev/null && blocks 1048576 $(($2/256)) && blocks 4096 $(($2%256))
}
give() {
 exec 3>&1
 while [ $# -gt 1 ]; do
  at=$1 end=$2; shift 2
  while [ "$at" -lt "$end" ]; do
   n=$((end-at)); [ "$n" -le "$stripe" ] || n=$stripe
   printf '@%d %d\\n' "$at" "$n"
   pages "$at" "$n" <"$file" || return 1
   at=$((at+step))
  done
 done
 printf '@over\\n'
}
if [ -n "$pack" ]; then give "$@" | $pack; else give "$@"; fi
"""


@dataclass(frozen=True, slots=True)
class Stripe:
    """Consecutive pages that one reader gives."""

    page: int  # of the file
    pages: int
    reader: int

    @property
    def size(self) -> int:
        """Count its bytes."""
        return self.pages * PAGE

    @property
    def mark(self) -> bytes:
        """Say what its reader prints before it."""
        return b"@%d %d\n" % (self.page, self.pages)


@dataclass(frozen=True, slots=True)
class Division:
    """Pieces, divided among this many readers."""

    pieces: tuple[Piece, ...]
    readers: int
    stripe: int = STRIPE  # bytes, whole pages

    def stripes(self) -> Iterator[tuple[Piece, tuple[Stripe, ...]]]:
        """Give each piece with its stripes, in the order of addresses."""
        turn = 0
        for piece in self.pieces:
            first, count, most = *_pages(piece), self.stripe // PAGE
            places = range(first, first + count, most)
            yield (
                piece,
                tuple(
                    Stripe(page, min(most, first + count - page), (turn + number) % self.readers)
                    for number, page in enumerate(places)
                ),
            )
            turn += len(places)

    def command(self, reader: int, dd: str, file: str, pack: str) -> tuple[str, ...]:
        """Give the command of a reader: numbered from 0, `dd` and `pack` as words with absolute paths."""
        spans: list[str] = []
        for piece, stripes in self.stripes():
            mine = next((one for one in stripes if one.reader == reader), None)
            if mine:
                spans += [str(mine.page), str(sum(_pages(piece)))]
        most = self.stripe // PAGE
        return ("/bin/sh", "-c", _SCRIPT, "sh", dd, file, str(most), str(most * self.readers), pack, *spans)


def _pages(piece: Piece) -> tuple[int, int]:
    """Give the first page in the file, and how many there are."""
    return piece.offset // PAGE, piece.range.size // PAGE


def count(pieces: Sequence[Piece]) -> int:
    """Count the bytes of pieces."""
    return sum(one.range.size for one in pieces)
