"""Files that a plugin writes: under names of ours, no more and no longer than its limits allow."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from volatility3.framework import interfaces

from forensics.model import JSON
from forensics.text import show

MOST = 500
"""Files of one plugin; one that would write more is stopped, and keeps what it has."""


class Written:
    """The files of one plugin, in a folder of its own."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._left = limit
        self.told: list[JSON] = []  # of each whole file: its place, and the name that the plugin gave it

    def method(self) -> type[Any]:
        """Give what a plugin opens files with."""
        return type("File", (_File,), {"owner": self})

    def new(self) -> tuple[Path, Any]:
        """Begin a file; OSError when there are too many."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        number = len(list(self._folder.iterdir())) + 1
        if number > MOST:
            raise OSError(f"the plugin would write more than {MOST} files")
        path = self._folder / f"{number:04}"
        return path, path.open("xb+")

    def take(self, size: int) -> None:
        """Count what is written; OSError when it is too much."""
        self._left -= size
        if self._left < 0:
            raise OSError("the plugin would write more into files than it may")

    def keep(self, path: Path, name: str) -> None:
        """Put a whole file on the list."""
        self.told.append({"file": f"{path.parent.name}/{path.name}", "named": show(name, 255)})


class _File(interfaces.plugins.FileHandlerInterface):  # type: ignore[misc]  # Volatility has no types
    """One file, as Volatility hands it to a plugin."""

    owner: Written

    def __init__(self, filename: str) -> None:
        super().__init__(filename)
        self.path, self._file = self.owner.new()

    def write(self, data: Any) -> int:
        self.owner.take(len(data))
        return int(self._file.write(data))

    def read(self, size: int = -1) -> bytes:
        return bytes(self._file.read(size))

    def readinto(self, buffer: Any) -> int:
        return int(self._file.readinto(buffer))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def truncate(self, size: int | None = None) -> int:
        return int(self._file.truncate(size))

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self.owner.keep(self.path, self.preferred_filename)
            io.RawIOBase.close(self)  # Volatility's own leaves it to its child
