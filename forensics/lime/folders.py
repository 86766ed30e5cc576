"""A folder on the target that the analyst names for LiME to write to: what it has to be, and a private one inside it.

Whoever may write in a folder can put a link where a file is to come, and whoever may read the file has all of memory.
So no part of the path is a link, none is open for others without the sticky bit, and LiME's file lies in a folder of
mode 0700, root's, with a name that nobody can guess.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path, PurePosixPath

from forensics import text
from forensics.errors import Refused
from forensics.host import Change, Host
from forensics.model import JSON

FILE = "memory.lime"
PAPER = "memory.lime.sha256"
"""The line of sha256sum that is put beside an image that stays there."""

_RESERVE = 64 << 20  # bytes that stay free there
_IN_MEMORY = ("tmpfs", "ramfs")
_PLAIN = re.compile(r"/[A-Za-z0-9._+@/-]{0,400}")  # insmod parts its words at blanks, and the kernel at more
_TAKE = 'set -- "$0"; [ -e "$1/memory.lime.sha256" ] || rm -rf -- "$1"'
_TAKEN = '[ ! -e "$0" ] || [ -e "$0/memory.lime.sha256" ]'


def inspect(host: Host, folder: str, needed: int) -> dict[str, JSON]:
    """Look at a folder, and give what is worth a record; Refused, with the reason, when LiME may not write there."""
    if not _PLAIN.fullmatch(folder) or ".." in PurePosixPath(folder).parts:
        raise _refused(host, folder, "its path has to be absolute, of letters, digits and . _ + @ - only, without ..")
    place = PurePosixPath(folder)
    real = text.decode(host.run("readlink", "-f", "--", str(place), root=True).stdout).rstrip("\n")
    if real != str(place):
        raise _refused(host, folder, f"it leads elsewhere: {text.show(real, 200) or 'it is not there'}; name that")
    owners = [_component(host, folder, part) for part in (*reversed(place.parents), place)]
    told = text.decode(host.run("stat", "-f", "-c", "%T %S %a", "--", str(place), root=True, expect=True).stdout)
    kind, *numbers = told.split()
    free = int(numbers[0]) * int(numbers[1]) if len(numbers) == 2 and all(one.isdecimal() for one in numbers) else 0
    if kind in _IN_MEMORY:
        raise _refused(host, folder, f"it is on a {kind}: that is the memory to be read")
    if free < needed + _RESERVE:
        raise _refused(host, folder, f"{needed + _RESERVE} bytes are needed there, {free} are free")
    others = [owner for owner in owners if owner]
    return {"folder": str(place), "file_system": text.show(kind, 40), "free": free, "owned_by_others": list(others)}


def change(place: Path, *, stays: bool) -> Change:
    """Describe a new private folder for LiME's file.

    With `stays` it is left there once the digest lies beside the image, and only then: what is unfinished goes.
    """
    undo = ("/bin/sh", "-c", _TAKE, str(place)) if stays else ("rm", "-rf", "--", str(place))
    gone = ("/bin/sh", "-c", _TAKEN, str(place)) if stays else ("test", "!", "-e", str(place))
    after = "left there, as asked, once its digest lies beside it" if stays else "removed once it was fetched"
    return Change(
        kind="folder on disk",
        subject=str(place),
        undo=undo,
        gone=gone,
        details=f"root's, mode 0700; LiME writes {FILE} there; {after}",
        deviation="memory is written to a folder on the target that the analyst named, not streamed past its disks",
    )


def name(folder: str) -> Path:
    """Choose a folder inside it that nobody can guess."""
    return Path(folder) / f"forensics-{secrets.token_hex(16)}"


def make(host: Host, place: Path) -> None:
    """Make the private folder; Refused when it does not come out as root's with mode 0700."""
    host.run("mkdir", "-m", "700", "--", str(place), root=True, expect=True)
    made = host.run("stat", "-c", "%u %a %F", "--", str(place), root=True, expect=True).stdout.strip()
    if made != b"0 700 directory":
        why = f"a new folder there is {text.show(made, 60)}, and has to be root's with mode 700"
        raise _refused(host, str(place), f"{why}: the file system keeps no owners or modes, or maps root to another")


def close(host: Host, file: Path) -> dict[str, JSON]:
    """Take LiME's file from all but root (LiME makes it readable for everyone), and say what it is now."""
    host.run("chmod", "600", "--", str(file), root=True, expect=True)
    said = text.decode(host.run("stat", "-c", "%u %a %s %F", "--", str(file), root=True, expect=True).stdout).strip()
    found = re.fullmatch(r"0 600 (\d{1,18}) regular(?: empty)? file", said)
    if not found:
        raise _refused(host, str(file), f"the file is {text.show(said, 80)}, and has to be root's own with mode 600")
    return {"bytes_there": int(found[1]), "mode_there": "0600"}


def _component(host: Host, folder: str, part: PurePosixPath) -> str:
    """Look at one part of the path; gives whose it is when it is not root's."""
    said = text.decode(host.run("stat", "-c", "%u %a %F", "--", str(part), root=True, expect=True).stdout).strip()
    found = re.fullmatch(r"(\d{1,10}) ([0-7]{3,4}) directory", said)
    if not found:
        raise _refused(host, folder, f"{part} is no folder: {text.show(said, 80)}")
    owner, mode = found[1], int(found[2], 8)
    if mode & 0o022 and not mode & 0o1000:
        raise _refused(host, folder, f"others may write in {part} (mode {mode:o}), without the sticky bit")
    return "" if owner == "0" else f"{part} (uid {owner})"


def _refused(host: Host, folder: str, why: str) -> Refused:
    return Refused(
        "LiME is not let write to that folder",
        where=f"{host.label}:{text.show(folder, 200)}",
        why=why,
        remedy="name a folder of root's on a disk with room, by its real path: --target-folder",
    )
