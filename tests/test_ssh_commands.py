"""What a command says, how it ended and why it was cut are kept apart, and nothing of ours runs on unseen."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from forensics.errors import CommandFailed, Refused, TargetError, ToolMissing, Unreachable
from forensics.host import MIB, Limits, Stream
from forensics.ssh import Secrets, SshHost, Timing, connect, transport
from tests.proxy import Proxy
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, free_port

pytestmark = pytest.mark.root
QUICK = Timing(connect=1, banner=1, pulse=0.3, silence=1.5)


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    reached = connect(sshd.target(), MemoryRecorder(), Secrets())
    yield reached
    reached.close()


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def through_proxy(sshd: Sshd) -> Iterator[Proxy]:
    with Proxy(sshd.port) as proxy:
        words = sshd.known_hosts.read_text().split()
        sshd.known_hosts.write_text(f"[127.0.0.1]:{proxy.port} {words[1]} {words[2]}\n")
        yield proxy


def read_until_lost(stream: Stream, harm: Callable[[], None]) -> None:
    """Read to an end that must not come as a clean one."""
    stream.read(1)
    harm()
    while stream.read():
        pass
    stream.ended()


def test_streams_and_status_are_kept_apart(host: SshHost) -> None:
    said = host.run("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (said.stdout, said.stderr, said.status, said.cut, said.ok) == (b"out\n", b"err\n", 3, "", False)
    assert said.argv[0] == "/usr/sbin/sh" or said.argv[0] == "/usr/bin/sh"
    with pytest.raises(CommandFailed, match="status 3: err"):
        host.run("sh", "-c", "echo out; echo err >&2; exit 3", expect=True)


def test_arguments_arrive_as_they_were_given(host: SshHost) -> None:
    words = ["", "a b", "$(id)", "`id`", "'", '"', "\\", "*", "-n", "a\nb", "ü\udcff", "!x", "; id"]
    said = host.run("printf", r"%s\0", *words, expect=True)
    assert said.stdout == b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words)


def test_the_environment_is_clean(host: SshHost) -> None:
    lines = set(host.run("env", expect=True).stdout.decode().splitlines())
    assert lines == {
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL=C",
        "TZ=UTC",
        "HOME=/",
        f"PWD={Path('~').expanduser()}",
    }


def test_programs_are_taken_from_the_system_folders_only(host: SshHost) -> None:
    assert host.find("sh") in {"/usr/bin/sh", "/bin/sh"}
    assert host.find("no-such-program") is None
    with pytest.raises(ToolMissing, match="no-such-program is not on the target"):
        host.run("no-such-program")
    assert host.run("/no/such/program").status == 127
    for words in ((), ("./sh",), ("a\0b",), ("-x",)):
        with pytest.raises(ValueError, match=r"not a command|neither"):
            host.run(*words)


def test_every_command_is_on_record_before_it_runs(sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    host = connect(sshd.target(), recorder, Secrets())
    host.run("/bin/echo", "one")
    assert recorder.commands() == [("/bin/echo", "one")]
    host.close()


def test_stdin_and_stdout_flow_at_the_same_time(host: SshHost) -> None:
    sent = os.urandom(9 * MIB)
    assert host.run("cat", stdin=sent, limits=Limits(bytes=10 * MIB), expect=True).stdout == sent


def test_a_program_that_does_not_read_its_stdin_ends_as_it_ends(host: SshHost) -> None:
    assert host.run("sh", "-c", "exit 4", stdin=bytes(5 * MIB)).status == 4


def test_a_signal_is_no_status(host: SshHost) -> None:
    said = host.run("sh", "-c", "echo some; kill -9 $$")
    assert (said.stdout, said.status, said.cut, said.ok) == (b"some\n", None, "", False)


@pytest.mark.parametrize("stream", ["", " >&2"])
def test_a_flood_is_cut_at_the_limit_and_ended(host: SshHost, stream: str) -> None:
    said = host.run("sh", "-c", f"echo $$ >&2; exec yes{stream}", limits=Limits(bytes=200_000))
    assert said.cut == "bytes"
    assert len(said.stderr if stream else said.stdout) == 200_000
    assert not said.ok
    assert not lives(int(said.stderr.split()[0]))


def test_two_floods_do_not_block_each_other(host: SshHost) -> None:
    script = "head -c 20000000 /dev/zero >&2 & head -c 20000000 /dev/zero; wait"
    said = host.run("sh", "-c", script, limits=Limits(bytes=32 * MIB), expect=True)
    assert (len(said.stdout), len(said.stderr)) == (20_000_000, 20_000_000)


@pytest.mark.parametrize(("limits", "why"), [(Limits(seconds=0.5), "time"), (Limits(idle=0.5), "idle")])
def test_a_command_that_ignores_everything_is_ended(host: SshHost, limits: Limits, why: str) -> None:
    script = "trap '' HUP INT TERM; (trap '' HUP INT TERM; echo $$; exec sleep 60) & echo $!; wait; sleep 60"
    started = time.monotonic()
    said = host.run("sh", "-c", script, limits=limits)
    assert said.cut == why
    assert time.monotonic() - started < 15
    assert not any(lives(int(pid)) for pid in said.stdout.split())


def test_what_may_run_on_after_a_lost_connection_is_put_on_record(sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    with through_proxy(sshd) as proxy:
        host = connect(sshd.target(port=proxy.port), recorder, Secrets(), QUICK)
        with host.stream("sh", "-c", "trap '' HUP; echo; exec sleep 8") as stream, pytest.raises(Unreachable):
            read_until_lost(stream, lambda: proxy.cut_now("silence"))
        host.close()
    ((subject, proven),) = recorder.restorations()
    assert "sleep 8" in subject
    assert proven is False


def test_a_stream_gives_all_and_says_how_it_ended(host: SshHost) -> None:
    digest, count = hashlib.sha256(), 0
    with host.stream("sh", "-c", "head -c 30000000 /dev/zero; echo last words >&2; exit 7") as stream:
        while data := stream.read():
            assert len(data) <= MIB
            digest.update(data)
            count += len(data)
        ended = stream.ended()
    assert (count, ended.status, ended.stderr, ended.stdout) == (30_000_000, 7, b"last words\n", b"")
    assert digest.digest() == hashlib.sha256(bytes(30_000_000)).digest()


def test_a_stream_can_be_asked_to_stop(host: SshHost) -> None:
    script = "trap 'echo stopped; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    with host.stream("sh", "-c", script) as stream:
        assert stream.read() == b"ready\n"
        stream.stop()
        assert stream.read() == b"stopped\n"
        assert stream.read() == b""
        assert stream.ended().status == 5


def test_leaving_a_stream_early_ends_it(host: SshHost) -> None:
    with host.stream("sh", "-c", "echo $$; exec sleep 60") as stream:
        pid = int(stream.read())
    assert not lives(pid)


def test_an_interruption_ends_the_command(host: SshHost) -> None:
    pids = []

    def work() -> None:
        with host.stream("sh", "-c", "echo $$; exec sleep 60") as stream:
            pids.append(int(stream.read()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    assert not lives(pids[0])


@pytest.mark.parametrize("ours", [True, False])
def test_the_keys_are_renewed_in_the_middle_and_at_the_end(
    idle_sshd: Sshd, monkeypatch: pytest.MonkeyPatch, *, ours: bool
) -> None:
    """A renewal of ours that falls on the end of a command made paramiko wait for itself, for 30 s, and then break."""
    idle_sshd.start(*() if ours else ("RekeyLimit 128K",))
    if ours:
        monkeypatch.setattr(transport, "REKEY", 1 << 17)
    host = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    for _ in range(15):
        said = host.run("head", "-c", "132000", "/dev/zero", expect=True)
        assert len(said.stdout) == 132_000
    assert len(host.run("head", "-c", "3000000", "/dev/zero", expect=True).stdout) == 3_000_000
    host.close()


def test_the_end_of_our_data_that_comes_after_the_close_of_its_channel_breaks_nothing(
    host: SshHost, tmp_path: Path
) -> None:
    """Two threads speak for a channel; the one that has waited for new keys may come last."""
    link = host._linked()
    channel = link.session()
    goes_on = tmp_path / "goes-on"
    channel.exec_command(f"until [ -e {goes_on} ]; do sleep 0.1; done")
    with channel.lock:
        late = channel._send_eof()  # type: ignore[attr-defined]
    goes_on.touch()
    while not channel.closed:
        time.sleep(0.01)
    channel.get_transport()._send_user_message(late)  # type: ignore[attr-defined]
    assert host.run("echo", "goes on").stdout == b"goes on\n"
    assert host._linked() is link


def test_a_killed_producer_is_no_clean_end(host: SshHost) -> None:
    with host.stream("sh", "-c", "head -c 1000000 /dev/zero; kill -9 $$") as stream:
        count = sum(len(data) for data in iter(stream.read, b""))
        assert (count, stream.ended().status) == (1_000_000, None)


def test_a_killed_server_process_is_a_lost_connection(host: SshHost) -> None:
    with host.stream("sh", "-c", "echo $PPID; exec sleep 60") as stream:
        os.kill(int(stream.read()), 9)
        with pytest.raises(Unreachable, match="was lost"):
            stream.read()
    assert host.run("echo", "again").stdout == b"again\n"  # on a new connection


@pytest.mark.parametrize("way", ["rst", "fin", "silence", "flip"])
def test_a_cut_connection_is_never_a_clean_end(sshd: Sshd, way: str) -> None:
    with through_proxy(sshd) as proxy:
        host = connect(sshd.target(port=proxy.port), MemoryRecorder(), Secrets(), QUICK)
        started = time.monotonic()
        with (
            host.stream("head", "-c", "50000000", "/dev/zero") as stream,
            pytest.raises(Unreachable, match="was lost"),
        ):
            read_until_lost(stream, lambda: proxy.cut_now(way, after=5_000_000))
        assert time.monotonic() - started < 30
        host.close()


def test_a_stall_that_ends_is_no_loss(sshd: Sshd) -> None:
    with through_proxy(sshd) as proxy:
        host = connect(sshd.target(port=proxy.port), MemoryRecorder(), Secrets(), Timing(pulse=0.3, silence=10))
        with host.stream("head", "-c", "20000000", "/dev/zero") as stream:
            count = len(stream.read())
            proxy.open.clear()
            threading.Timer(2.0, proxy.open.set).start()
            count += sum(len(data) for data in iter(stream.read, b""))
            assert (count, stream.ended().status) == (20_000_000, 0)
        host.close()


NOISE = """echo rc says hello
echo rc complains >&2
alias ls=false
export PATH=/nowhere LC_ALL=xx ENV=/nowhere BASH_ENV=/nowhere
set -x
"""


def test_what_the_login_shell_prints_is_kept_apart(idle_sshd: Sshd, tmp_path: Path) -> None:
    """bash reads ~/.bashrc when sshd starts it; a home of our own is given through the server's SetEnv."""
    (tmp_path / ".bashrc").write_text(NOISE)
    (tmp_path / "banner").write_text("Authorised use only\x1b[31m\n")
    idle_sshd.start(f"Banner {tmp_path}/banner", f"SetEnv HOME={tmp_path}")
    recorder = MemoryRecorder()
    host = connect(idle_sshd.target(), recorder, Secrets())
    said = host.run("sh", "-c", "echo result; echo error >&2")
    assert (said.stdout, said.stderr, said.status) == (b"result\n", b"error\n", 0)
    if b"rc says" not in said.noise:
        pytest.skip("the account's shell does not read ~/.bashrc here")
    assert b"rc says hello\n" in said.noise
    assert b"rc complains" in said.noise
    assert recorder.connections[0]["banner"] == r"Authorised use only\x1b[31m\n"
    host.close()


def test_a_key_with_a_forced_command_is_explained(sshd: Sshd) -> None:
    keys = sshd.folder / "authorized_keys"
    keys.write_text('command="echo only backups" ' + keys.read_text())
    host = connect(sshd.target(), MemoryRecorder(), Secrets())
    with pytest.raises(CommandFailed, match="only backups"):
        host.run("true")
    host.close()


def test_a_port_of_the_loopback_is_read_to_its_end(host: SshHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.sendall(bytes(3_000_000))

        threading.Thread(target=serve, daemon=True).start()
        with host.connect(server.getsockname()[1]) as channel:
            assert sum(len(data) for data in iter(channel.read, b"")) == 3_000_000


def test_a_port_where_nothing_answers_and_one_that_is_forbidden_differ(idle_sshd: Sshd) -> None:
    idle_sshd.start()
    host = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    with pytest.raises(TargetError, match="nothing answers"), host.connect(free_port()):
        pass
    host.close()
    idle_sshd.stop()
    idle_sshd.start("AllowTcpForwarding no")
    host = connect(idle_sshd.target(), MemoryRecorder(), Secrets())
    with pytest.raises(Refused, match="does not allow forwarding"), host.connect(free_port()):
        pass
    host.close()
