"""An audit by Lynis, last, for it reads most: our own copy, on tmpfs, without network and without changes.

What was learned of Lynis 3.0.8 (its shell source): an installed copy would win over ours without `--usecwd`; tests that
write or use the network are switched off by the profile; the temporary files and the PID file have fixed places, which
are turned to the workplace in our copy, on the target, before it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from forensics.collectors import MIB, Bench, Collector, Judged, Output, Part, Reading, why
from forensics.collectors.lynis import log as log_file
from forensics.collectors.lynis import report as report_file
from forensics.collectors.lynis import tree
from forensics.host import Completed, Limits
from forensics.model import JSON, Outcome, Role

_WRITE_OR_CALL = (
    "DNS-1600",
    "NETW-2400",
    "NETW-2600",
    "NETW-2704",
    "NETW-2705",
    "NETW-2706",
    "NETW-3200",
    "PKGS-7390",
    "PKGS-7392",
    "PKGS-7393",
    "PKGS-7394",
    "PKGS-7395",
    "PKGS-7398",
)
"""Tests that Lynis declares with `--network YES`, and `apt-get check`, which writes /var/log/apt/eipp.log.xz."""
_GROUPS = {"DNS": "dns", "NETW": "networking", "PKGS": "ports_packages"}
_FETCHED = {"report": "report.dat", "log": "lynis.log"}


@dataclass(frozen=True, slots=True)
class Audited:
    """Which tests run, and for how long at most."""

    limit: int = 900  # seconds
    groups: tuple[str, ...] = ()  # default: all
    skip: tuple[str, ...] = ()  # ids of tests, beside those that write or use the network
    defaults: bool = (
        True  # read Lynis's own default profile too: a minute under emulation, and needed by kernel_hardening
    )
    bytes: int = 16 * MIB


class Lynis(Collector[Audited]):
    """Security audit by Lynis."""

    name = "lynis"
    title = "Lynis"
    volatility = 90
    settings = Audited

    @contextmanager
    def capture(self, bench: Bench, settings: Audited) -> Iterator[Callable[[], None]]:
        """Put our copy on tmpfs, run it there, fetch what it wrote; the folder goes with all that is in it."""
        archive = bench.folder / "lynis.tar.gz"
        origin = tree.pack(archive)
        with bench.host.workplace() as place:
            bench.host.put(archive, place / "lynis.tar.gz")
            ours = profile(settings.skip, settings.groups).encode()
            bench.host.put(ours, place / "custody.prf", mode=0o640)
            unpack = _UNPACK if settings.defaults else f"{_UNPACK} && {_ALONE}"
            unpacked = bench.host.run("sh", "-c", unpack, "sh", str(place), root=True, expect=True)
            part = bench.enter("lynis.tar.gz", archive, unpacked, optional=True, role=Role.INSTRUMENT)
            bench.parts["lynis.tar.gz"] = replace(part, facts=origin)
            bench.keep("profile", ours, unpacked, optional=True, role=Role.INSTRUMENT)
            yield lambda: _audit(bench, settings, place)

    def judge(self, parts: Mapping[str, Part]) -> Judged:
        """Judge by the report: `finish=true` and at least one test. Exit code 0 says neither."""
        report, screen = parts.get("report"), parts.get("screen")
        if report is None or screen is None:
            return Judged(Outcome.FAILED, "Lynis was not run")
        summary = report_file.read(report.path.read_bytes()).summary
        tests = len([test for test in summary.get("tests_executed", "").split("|") if test])
        facts: dict[str, JSON] = {"tests": tests, "finished": summary.get("finish") == "true"}
        facts["version"] = summary.get("lynis_version", "")
        facts["index"] = summary.get("hardening_index", "")
        if facts["finished"] and tests:
            return Judged(Outcome.DONE, "", facts)
        reason = "no test was run" if facts["finished"] else f"it did not finish: {why(screen)}"
        return Judged(Outcome.PARTIAL if report.size else Outcome.FAILED, reason, facts)

    def read(self, output: Output) -> Reading:
        """Make `lynis_summary`, `lynis_findings` and `lynis_details` of the report, and `lynis_tests` of the log."""
        report = report_file.read(output.part("report"))
        log = log_file.read(output.part("log"))
        return Reading((*report.tables, log.table), {"report": report.unread, "log": log.unread})


_UNPACK = (
    'cd "$1" && mkdir tree tree/plugins tmp && tar -xzpf lynis.tar.gz -C tree && '
    "sed -i 's|/var/run/lynis\\.pid|./lynis.pid|g' tree/lynis && "
    'sed -i "s|/tmp/lynis|$1/tmp/lynis|g" tree/include/functions'
)
_ALONE = "cp custody.prf tree/default.prf"
# The workplace may be mounted noexec, so the shell is given the program to read.
# apt-cache, which a test asks for the repositories, would write its caches to /var/cache/apt (apt.conf(5), Dir::Cache).
_RUN = (
    'cd "$1"/tree && TMPDIR="$1"/tmp && APT_CONFIG="$1"/apt.conf && export TMPDIR APT_CONFIG && '
    """echo 'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' > "$APT_CONFIG" && """
    'shift && exec /bin/sh ./lynis "$@"'
)


def profile(skip: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> str:
    """Write the profile with which Lynis changes nothing and calls nobody.

    Each line costs Lynis some time, so tests of a group that does not run are not named.
    """
    lines = ("skip-upgrade-test=yes", "refresh-repositories=no", "quick=yes", "colors=no", "skip-plugins=yes")
    ours = [test for test in _WRITE_OR_CALL if not groups or _GROUPS[test.partition("-")[0]] in groups]
    off = dict.fromkeys((*ours, *skip))
    return "".join(f"{line}\n" for line in (*lines, *(f"skip-test={test}" for test in off)))


def _audit(bench: Bench, settings: Audited, place: Path) -> None:
    files = ("--logfile", str(place / "lynis.log"), "--report-file", str(place / "report.dat"))
    how = (
        "--usecwd",
        "--cronjob",
        "--no-colors",
        "--no-plugins",
        "--plugindir",
        "./plugins",
        "--profile",
        str(place / "custody.prf"),
    )
    only = ("--tests-from-group", " ".join(settings.groups)) if settings.groups else ()
    argv = ("sh", "-c", _RUN, "sh", str(place), "audit", "system", *how, *only, *files)
    limits = Limits(seconds=settings.limit, bytes=settings.bytes)
    screen = bench.host.run(*argv, root=True, limits=limits)
    bench.keep("screen", screen.stdout, screen)
    bench.keep_words("screen", screen)
    for part, name in _FETCHED.items():
        fetched: Completed = bench.host.run("cat", str(place / name), root=True, limits=Limits(60, settings.bytes))
        bench.keep(part, fetched.stdout, fetched)


COLLECTOR = Lynis()
