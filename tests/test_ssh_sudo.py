"""Commands as root for an account that is not root: the password is given once, to sudo alone, and is seen nowhere."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from forensics.errors import ForensicsError, SudoRefused
from forensics.guarding.shield import shielded
from forensics.host import Limits
from forensics.ssh import Secret, Secrets, SshHost, Timing, connect
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, skip, skip_without_namespaces

pytestmark = pytest.mark.root
CANARY = "canary 'pass\"word' ü 7d21"


@dataclass
class Account:
    """An account of this machine, for one test; `rule` writes what sudo allows it."""

    name: str
    sudoers: Path

    def rule(self, *lines: str) -> None:
        self.sudoers.write_text("".join(line.replace("USER", self.name) + "\n" for line in lines))
        self.sudoers.chmod(0o440)


@pytest.fixture
def account() -> Iterator[Account]:
    if os.geteuid() != 0 or not shutil.which("sudo") or not shutil.which("useradd"):
        skip("needs root, sudo and useradd: an account is made for the test, and removed")
    name = f"responder-{secrets.token_hex(3)}"
    made = Account(name, Path("/etc/sudoers.d") / name)
    subprocess.run(["useradd", "-M", "-d", "/nonexistent", "-s", "/bin/sh", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{CANARY}\n".encode(), check=True)
        made.rule("USER ALL=(ALL:ALL) ALL")
        yield made
    finally:
        made.sudoers.unlink(missing_ok=True)
        subprocess.run(["userdel", "-f", name], check=True, capture_output=True)


Reach = Callable[[Secrets], SshHost]


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()


@pytest.fixture
def reach(sshd: Sshd, account: Account, recorder: MemoryRecorder) -> Iterator[Reach]:
    hosts = []

    def give(known: Secrets) -> SshHost:
        hosts.append(connect(sshd.target(account.name), recorder, known))
        return hosts[-1]

    yield give
    for host in hosts:
        host.close()


def test_a_command_runs_as_root_with_the_password(reach: Reach, account: Account, recorder: MemoryRecorder) -> None:
    account.rule("Defaults:USER lecture=always", "USER ALL=(ALL:ALL) ALL")
    host = reach(Secrets(sudo=Secret(CANARY)))
    assert host.run("id", "-u", expect=True).stdout != b"0\n"
    said = host.run("sh", "-c", "id -u; cat; echo problem >&2", root=True, stdin=b"data\n", expect=True)
    assert (said.stdout, said.stderr) == (b"0\ndata\n", b"problem\n")
    assert CANARY.encode() not in said.noise
    assert CANARY not in repr(recorder.events)
    assert host.run("env", root=True, expect=True).stdout.count(b"SUDO_") == 0


def test_no_password_is_needed_where_sudo_asks_for_none(reach: Reach, account: Account) -> None:
    account.rule("USER ALL=(ALL:ALL) NOPASSWD: ALL")
    for known in (Secrets(), Secrets(sudo=Secret(CANARY))):
        said = reach(known).run("cat", root=True, stdin=b"only this", expect=True)
        assert said.stdout == b"only this"


def test_a_wrong_password_is_given_once(reach: Reach) -> None:
    host = reach(Secrets(sudo=Secret("not-" + CANARY)))
    with pytest.raises(SudoRefused, match="was not accepted") as refusal:
        host.run("id", root=True)
    assert "1 incorrect password attempt" in refusal.value.why
    started = time.monotonic()
    with pytest.raises(SudoRefused, match="not tried again"):
        host.run("id", root=True)
    assert time.monotonic() - started < 0.5


def test_a_missing_password_is_said(reach: Reach) -> None:
    with pytest.raises(SudoRefused, match="none was given"):
        reach(Secrets(login=Secret(CANARY))).run("id", root=True)


def test_an_account_without_rights_is_told_so(reach: Reach, account: Account) -> None:
    account.rule("# nothing")
    with pytest.raises(SudoRefused, match="not in the sudoers"):
        reach(Secrets(sudo=Secret(CANARY))).run("id", root=True)


def test_a_sudo_that_wants_a_terminal_is_told_so(reach: Reach, account: Account) -> None:
    account.rule("Defaults:USER requiretty", "USER ALL=(ALL:ALL) ALL")
    with pytest.raises(SudoRefused, match="requiretty"):
        reach(Secrets(sudo=Secret(CANARY))).run("id", root=True)


def test_a_command_as_root_is_ended_as_root(reach: Reach) -> None:
    host = reach(Secrets(sudo=Secret(CANARY)))
    said = host.run("sh", "-c", "trap '' TERM HUP; echo $$; sleep 60", root=True, limits=Limits(seconds=1))
    assert said.cut == "time"
    assert not Path(f"/proc/{int(said.stdout)}").exists()


def test_the_password_is_in_no_process_list(reach: Reach) -> None:
    host = reach(Secrets(sudo=Secret(CANARY)))
    with host.stream("sh", "-c", "echo; exec sleep 30", root=True) as stream:
        stream.read()
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    assert CANARY.encode() not in (process / name).read_bytes()
                except OSError:
                    continue


def test_a_workplace_is_roots_and_gone_afterwards(reach: Reach, recorder: MemoryRecorder) -> None:
    host = reach(Secrets(sudo=Secret(CANARY)))
    with host.workplace() as place:
        host.put(b"content", place / "file", 0o640)
        assert (place / "file").read_bytes() == b"content"
        assert (place / "file").stat().st_mode & 0o7777 == 0o640
        assert (place.stat().st_uid, place.stat().st_mode & 0o7777) == (0, 0o700)
    assert not place.exists()
    assert recorder.restorations() == [(str(place), True), (str(place / "file"), True)]


def fake_sudo(folder: Path, script: str) -> list[str]:
    """Words that start a server for which /usr/bin/sudo is this script."""
    fake = folder / "sudo"
    fake.write_text("#!/bin/sh\n" + script)
    fake.chmod(0o755)
    words = ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /usr/bin/sudo && exec "$@"', str(fake)]
    if subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        skip_without_namespaces("needs a mount namespace of its own")
    return words


def test_a_hostile_sudo_cannot_bring_the_password_into_what_is_kept(
    idle_sshd: Sshd, account: Account, recorder: MemoryRecorder
) -> None:
    tell = 'echo "$word" >&2; echo "$word"\n'
    script = f'printf "%s" "$4" >&2\nread -r word\n{tell}shift 5\n"$@"\n{tell}'
    idle_sshd.start(within=fake_sudo(idle_sshd.folder, script))
    host = connect(idle_sshd.target(account.name), recorder, Secrets(sudo=Secret(CANARY)))
    said = host.run("echo", "result", root=True)
    assert said.stdout.startswith(b"result\n")
    assert CANARY not in repr(said)
    assert CANARY.encode() not in said.stdout + said.stderr + said.noise
    assert b"[withheld]" in said.stderr
    assert CANARY not in repr(recorder.events)
    host.close()


def test_a_sudo_that_asks_in_other_words_gets_nothing(
    idle_sshd: Sshd, account: Account, recorder: MemoryRecorder
) -> None:
    script = f'echo "Password:" >&2\nread -r word\necho "$word" >{idle_sshd.folder}/taken\n'
    idle_sshd.start(within=fake_sudo(idle_sshd.folder, script))
    (idle_sshd.folder / "taken").touch(0o666)
    (idle_sshd.folder / "taken").chmod(0o666)
    known = Secrets(sudo=Secret(CANARY))
    host = connect(idle_sshd.target(account.name), recorder, known, Timing(opening=3))
    host.run("true")
    with pytest.raises(SudoRefused, match="Password:"):
        host.run("id", root=True)
    assert CANARY not in (idle_sshd.folder / "taken").read_text()
    host.close()


def test_no_traceback_shows_a_secret(sshd: Sshd, account: Account) -> None:
    """Also with every local variable of every frame, as crash reports print them."""
    known = Secrets(login=Secret(CANARY), sudo=Secret(CANARY + "x"), passphrase=Secret(CANARY + "y"))
    unknown = sshd.target("no-such-account")
    for target, root in ((unknown, False), (sshd.target(account.name), True)):
        host = connect(target, MemoryRecorder(), known)
        with pytest.raises(ForensicsError) as caught:
            host.run("id", root=root, expect=True)
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        printed = "".join(shown.format())
        assert "host.run" in printed
        assert CANARY not in printed
        host.close()


def test_both_processes_of_our_sshd_are_shielded_above_sudo(
    reach: Reach, account: Account, recorder: MemoryRecorder
) -> None:
    """One of them is root's ("[priv]"), one the account's; sudo and the shell between them and us are left alone."""
    account.rule("Defaults:USER use_pty", "USER ALL=(ALL:ALL) ALL")
    host = reach(Secrets(sudo=Secret(CANARY)))
    with shielded(host, never={"oom_score_adj": 300, "oom_adj": 9}) as shield:
        assert shield.problem == ""
        pids = [one["pid"] for one in shield.protected if isinstance(one, dict)]
        titles = [Path(f"/proc/{pid}/cmdline").read_text() for pid in pids]
        assert [account.name in title for title in titles] == [True, True]
        assert [Path(f"/proc/{pid}/oom_score_adj").read_text() for pid in pids] == ["300\n", "300\n"]
    assert [proven for _, proven in recorder.restorations()] == [True, True]
