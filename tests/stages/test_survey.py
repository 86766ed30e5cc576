"""The survey on the machine that runs the tests: real commands, real answers, nothing but reading."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from forensics.host import Change, Channel, Completed, Host, Identity, Limits, Stream
from forensics.model import Digest, Draft, Exhibit, Facts, Result, utc
from forensics.progress import Silent
from forensics.stage import Desk, Entered
from forensics.stages.survey import load_facts, survey
from forensics.survey import facts, transcript

WRITERS = {
    "rm",
    "mv",
    "cp",
    "tee",
    "mkdir",
    "mount",
    "insmod",
    "modprobe",
    "touch",
    "sh",
    "bash",
    "python3",
    "systemctl",
}


@dataclass
class ThisMachine:
    """A host that is the machine itself; it can only run commands."""

    label: str = "here"
    address: str = ""
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def run(
        self, *argv: str, root: bool = False, stdin: bytes = b"", limits: Limits | None = None, expect: bool = False
    ) -> Completed:
        del root, expect
        self.asked.append(argv)
        began, started = time.monotonic(), utc(datetime.now(UTC))
        clean = {"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C", "TZ": "UTC"}
        most = (limits or Limits()).seconds
        done = subprocess.run(argv, input=stdin, capture_output=True, env=clean, timeout=most, check=False)
        return Completed(argv, done.returncode, done.stdout, done.stderr, "", started, time.monotonic() - began)

    def identity(self) -> Identity:
        raise AssertionError

    def stream(
        self, *argv: str, root: bool = False, limits: Limits | None = None, stdin: bytes = b""
    ) -> AbstractContextManager[Stream]:
        raise AssertionError((argv, root, limits, stdin))

    def connect(self, port: int) -> AbstractContextManager[Channel]:
        raise AssertionError(port)

    @contextmanager
    def change(self, change: Change) -> Iterator[None]:
        raise AssertionError(change)
        yield

    def workplace(self, *, programs: bool = False) -> AbstractContextManager[Path]:
        raise AssertionError(programs)

    def put(self, content: bytes | Path, destination: Path, mode: int = 0o600) -> None:
        raise AssertionError((content, destination, mode))

    def beside(self) -> AbstractContextManager[Host]:
        raise AssertionError

    def restore(self) -> Iterator[tuple[Change, bool, str]]:
        raise AssertionError

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Ran:
    host: ThisMachine
    entered: Entered
    folder: Path
    known: Facts


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder, host = tmp_path_factory.mktemp("survey"), ThisMachine()
    desk = Desk(folder, folder, {}, "here", {}, (), Silent())
    yielded = list(survey.work(desk, host))
    drafts = [one for one in yielded if isinstance(one, Draft)]
    results = tuple(one for one in yielded if isinstance(one, Result))
    entered = Entered(tuple(enter(number, draft) for number, draft in enumerate(drafts, 1)), results, folder)
    return Ran(host, entered, folder, load_facts(entered))


def enter(number: int, draft: Draft) -> Exhibit:
    content = draft.path.read_bytes()
    digest = Digest("sha256", hashlib.sha256(content).hexdigest())
    assert draft.digest in (None, digest)
    name = Path(draft.path.name)
    return Exhibit(
        f"{draft.role}{number:04}", draft.kind, draft.title, name, len(content), digest, "here", "survey", ""
    )


def test_the_facts_are_this_machines(ran: Ran) -> None:
    assert ran.known.release == os.uname().release
    assert ran.known.version == os.uname().version
    assert ran.known.hostname == os.uname().nodename
    assert ran.known.memory_total == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), rel=0.01)
    assert ran.known.proc_version == Path("/proc/version").read_bytes()
    assert any(one.pid == os.getpid() for one in ran.known.processes)


def test_the_sudo_of_this_machine_is_its_packages(ran: Ran) -> None:
    (row,) = [row for row in ran.known.preflight if row.subject == "sudo"]
    own = hashlib.md5(Path("/usr/bin/sudo").read_bytes(), usedforsecurity=False).hexdigest()
    assert (row.works, own in row.why) == (True, True)


def test_the_clock_of_the_same_machine_is_not_off(ran: Ran) -> None:
    assert abs(ran.known.clock.seconds) <= ran.known.clock.uncertainty + 0.01


def test_few_commands_and_only_such_as_read(ran: Ran) -> None:
    assert len(ran.host.asked) < 40
    for argv in ran.host.asked:
        assert "/" not in argv[0], "the host looks it up: not every system has merged /bin and /usr/bin"
        assert not {Path(word).name for word in argv if word.startswith("/") and "{}" in argv} & WRITERS
        assert Path(argv[0]).name not in WRITERS
        assert not any(word in ("-delete", "-fprint", "-execdir") or word.startswith("of=") for word in argv)


def test_the_facts_can_be_made_again_from_the_record(ran: Ran) -> None:
    record = (ran.folder / "survey.jsonl").read_bytes()
    answers = transcript.read(record, lambda name: (ran.folder / name).read_bytes())
    assert facts.to_json(facts.derive(answers)) == (ran.folder / "facts.json").read_bytes()
    assert len(answers) == len(ran.host.asked)


def test_the_survey_ends_with_its_result(ran: Ran) -> None:
    (result,) = ran.entered.results
    assert result.item == "survey"
    assert bool(result.reason) == (result.outcome.value == "partial")
    assert {one.kind for one in ran.entered.exhibits} >= {"survey-transcript", "facts", "proc-version"}
