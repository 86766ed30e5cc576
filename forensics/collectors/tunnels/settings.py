"""The configuration of stunnel (stunnel(8)): global options, then one section a service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from posixpath import join

_SECTION = re.compile(r"\[(.*)\]")


@dataclass(frozen=True, slots=True)
class Settings:
    """One configuration file: options that hold for all, and those of each service over them."""

    path: str
    whole: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def paths(self, *names: str) -> list[str]:
        """Give the files that options name, as they are and inside the jail."""
        named = [
            section[name] for section in (self.whole, *self.services.values()) for name in names if name in section
        ]
        jail = self.whole.get("chroot", "")
        inside = [join(jail, one.lstrip("/")) for one in named if jail]
        return [
            one
            for one in dict.fromkeys([*named, *inside])
            if one.startswith("/") and "\n" not in one and "\0" not in one
        ]


def read(path: str, lines: list[str]) -> tuple[Settings, int]:
    """Read a configuration; lines that are neither option, section nor comment are counted. Names have no case."""
    whole: dict[str, str] = {}
    services: dict[str, dict[str, str]] = {}
    section, bad = whole, 0
    for line in (one.strip() for one in lines):
        name, equals, value = line.partition("=")
        if match := _SECTION.fullmatch(line):
            section = services.setdefault(match[1], dict(whole))
        elif not line or line.startswith((";", "#")):
            continue
        elif equals:
            key = name.strip().lower()
            section[key] = (
                f"{section[key]}, {value.strip()}" if key in section and key in {"options", "socket"} else value.strip()
            )
        else:
            bad += 1
    return Settings(path, whole, services), bad
