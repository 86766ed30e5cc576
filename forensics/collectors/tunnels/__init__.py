"""Tunnels of stunnel: configuration, jail, log, digests of certificates. No private key is ever copied."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from forensics import records
from forensics.collectors import Bench, Bounds, Collector, Command, Output, Reading
from forensics.collectors.tunnels import certificates, settings
from forensics.collectors.tunnels.settings import Settings
from forensics.tables import Absent, Cell, Column, Table

_FOLDERS = ("/etc/stunnel", "/etc/stunnel4", "/usr/local/etc/stunnel", "/opt/stunnel/etc", "/etc/pki/stunnel")
_RUNNING = r"""
for comm in /proc/[0-9]*/comm; do
  case $(cat "$comm" 2>/dev/null) in stunnel*) ;; *) continue;; esac
  p=${comm%/comm}
  printf '%s\t%s\t%s\t%s\t' "$p" "$(readlink "$p/root")" "$(readlink "$p/cwd")" "$(readlink "$p/exe")"
  tr '\0\t' '\n ' <"$p/cmdline"; printf '\0'
done
exit 0
"""
_CERTIFICATES = r"""
for f; do
  [ -f "$f" ] || continue
  sed -n '/-BEGIN [A-Z0-9 ]*CERTIFICATE-/,/-END [A-Z0-9 ]*CERTIFICATE-/p' "$f" | grep -aHZ --label="$f" ''
done
exit 0
"""
_KEYS = r"""
for f; do
  [ -f "$f" ] || continue
  stat --printf '%n\t%a\t%U\t%s\t' -- "$f" && sha256sum -b <"$f" | cut -d' ' -f1 | tr -d '\n'
  printf '\0'
done
exit 0
"""
_LOG = r"""for f; do [ -f "$f" ] && tail -c 65536 -- "$f" | grep -aHZ --label="$f" ''; done; exit 0"""
_MOST = 100
_OPTIONS = ("client", "accept", "connect", "cert", "key", "cafile", "verify", "verifypeer", "checkhost", "sslversion",
            "sslversionmin", "ciphers", "protocol", "exec", "pskSecrets")  # fmt: skip
_WHOLE = ("chroot", "setuid", "setgid", "output", "pid", "syslog", "debug")
_TUNNELS = (
    Column("file"),
    Column("service"),
    *(Column(name.lower()) for name in _OPTIONS),
    *(Column(name) for name in _WHOLE),
    Column("pid_running", "integer"),
)
_PROCESSES = (Column("pid", "integer"), Column("jail"), Column("folder"), Column("exe"), Column("args"))
_KEY_FILES = (Column("path"), Column("mode"), Column("owner"), Column("size", "bytes"), Column("sha256"))
_LOGGED = (Column("path"), Column("text"))
_UNSET = Absent("not set")


class Tunnels(Collector[Bounds]):
    """What stunnel is set to do, and what runs of it."""

    name = "tunnels"
    title = "Tunnels"
    volatility = 44
    settings = Bounds

    @contextmanager
    def capture(self, bench: Bench, settings: Bounds) -> Iterator[Callable[[], None]]:
        """Find running ones and configurations; then the certificates, keys (by digest) and logs that these name."""
        limits = settings.limits

        def work() -> None:
            bench.run(Command("running", ("sh", "-c", _RUNNING), limits))
            more = _named_by(_running((bench.folder / "running").read_bytes())[0])
            files = ("grep", "-rsHZI", "-D", "skip", "--include=*.conf", "", *_FOLDERS, *more)
            bench.run(Command("configurations", files, limits, accepts=(0, 1, 2)))
            found, _ = _settings((bench.folder / "configurations").read_bytes())
            asked = (
                ("certificates", _CERTIFICATES, ("cert", "cafile", "capath")),
                ("keys", _KEYS, ("key", "cert")),
                ("logs", _LOG, ("output",)),
            )
            for part, script, names in asked:
                paths = list(dict.fromkeys(path for one in found for path in one.paths(*names)))[:_MOST]
                if paths:
                    bench.run(Command(part, ("sh", "-c", script, "sh", *paths), limits, optional=True))

        yield work

    def read(self, output: Output) -> Reading:
        """Make `tunnels`, `tunnel_processes`, `tunnel_certificates`, `tunnel_keys` and `tunnel_log`."""
        running, bad_running = _running(output.part("running"))
        found, bad_found = _settings(output.part("configurations"))
        lines, bad_lines = records.grepped(output.part("certificates"))
        by_path: dict[str, list[str]] = {}
        for path, line in lines:
            by_path.setdefault(path, []).append(line)
        table, bad_certificates = certificates.read(by_path)
        keys, bad_keys = _keys(output.part("keys"))
        logged, bad_logged = records.grepped(output.part("logs"))
        rows = tuple(row for one in found for row in _services(one, running))
        return Reading(
            (
                Table("tunnels", "Tunnels that are set up", _TUNNELS, rows),
                Table("tunnel_processes", "Tunnels that run", _PROCESSES, tuple(tuple(one) for one in running)),
                table,
                Table("tunnel_keys", "Private keys of tunnels (never copied)", _KEY_FILES, tuple(keys)),
                Table("tunnel_log", "Last lines of the tunnels' logs", _LOGGED, tuple(logged)),
            ),
            {
                "running": bad_running,
                "configurations": bad_found,
                "certificates": bad_lines + bad_certificates,
                "keys": bad_keys,
                "logs": bad_logged,
            },
        )


def _running(raw: bytes) -> tuple[list[tuple[int, str, str, str, str]], int]:
    found, bad = records.fields(raw, 5)
    rows: list[tuple[int, str, str, str, str]] = []
    for path, root, folder, exe, args in found:
        pid = records.pid_of(path)
        if pid is None:
            bad += 1
        else:
            rows.append((pid, root, folder, exe, args.rstrip("\n").replace("\n", " ")))
    return rows, bad


def _named_by(running: list[tuple[int, str, str, str, str]]) -> list[str]:
    """Give the files that a running stunnel was started with, seen from its own folder."""
    paths = []
    for pid, _, _, _, args in running:
        words = [word for word in args.split(" ")[1:] if word and not word.startswith("-")]
        paths += [word if word.startswith("/") else f"/proc/{pid}/cwd/{word}" for word in words]
    return list(dict.fromkeys(paths))[:_MOST]


def _settings(raw: bytes) -> tuple[list[Settings], int]:
    lines, bad = records.grepped(raw)
    by_path: dict[str, list[str]] = {}
    for path, line in lines:
        by_path.setdefault(path, []).append(line)
    read = [settings.read(path, texts) for path, texts in by_path.items()]
    return [one for one, _ in read], bad + sum(count for _, count in read)


def _services(one: Settings, running: list[tuple[int, str, str, str, str]]) -> Iterator[tuple[Cell, ...]]:
    """Give a row a service; a file without services is inetd's, and is one itself."""
    pid: Cell = next(
        (pid for pid, *_, args in running if one.path in args.split(" ")), Absent("none runs from this file")
    )
    for name, section in (one.services or {"(inetd)": one.whole}).items():
        options = (section.get(option.lower()) or _UNSET for option in _OPTIONS)
        yield one.path, name, *options, *(one.whole.get(option) or _UNSET for option in _WHOLE), pid


def _keys(raw: bytes) -> tuple[list[tuple[Cell, ...]], int]:
    rows: list[tuple[Cell, ...]] = []
    found, bad = records.fields(raw, 5)
    for path, mode, owner, size, digest in found:
        if not re.fullmatch(r"\d{1,18}", size, re.ASCII):
            bad += 1
            continue
        rows.append((path, mode, owner, int(size), digest))
    return rows, bad


COLLECTOR = Tunnels()
