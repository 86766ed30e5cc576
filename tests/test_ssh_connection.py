"""Who is on the other side is settled before anything secret is sent, and every refusal says why."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from forensics.errors import HostKeyRefused, LoginRefused, Refused, Unreachable
from forensics.ssh import Secret, Secrets, Timing, connect
from tests.proxy import Proxy
from tests.recorder import MemoryRecorder
from tests.sshd import Sshd, free_port, make_key

pytestmark = pytest.mark.root
CANARY = "canary-4f1d-not-to-be-seen"


def keygen_fingerprint(public: Path) -> str:
    said = subprocess.run(["ssh-keygen", "-lf", str(public)], check=True, capture_output=True, text=True)
    return said.stdout.split()[1]


def log(sshd: Sshd) -> str:
    return (sshd.folder / "sshd.log").read_text()


def test_nothing_connects_before_something_is_asked(idle_sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    connect(idle_sshd.target(), recorder, Secrets()).close()
    assert recorder.events == []


def test_the_connection_is_put_on_record_with_key_and_algorithms(sshd: Sshd) -> None:
    recorder = MemoryRecorder()
    host = connect(sshd.target(), recorder, Secrets())
    host.run("true", expect=True)
    host.run("true", expect=True)
    (facts,) = recorder.connections
    assert facts["host key"] == keygen_fingerprint(sshd.folder / "host.pub")
    assert facts["host key check"] == f"known: {sshd.known_hosts}:1"
    assert facts["cipher"] == "aes128-gcm@openssh.com"
    assert facts["strict key exchange"] == "yes"
    assert facts["account"] == "root"
    assert str(sshd.identity) in facts["login"]
    host.close()


def test_an_unknown_host_key_is_refused_with_the_words_that_accept_it(sshd: Sshd, tmp_path: Path) -> None:
    recorder = MemoryRecorder()
    target = sshd.target(known_hosts=tmp_path / "none")
    shown = keygen_fingerprint(sshd.folder / "host.pub")
    with pytest.raises(HostKeyRefused) as refusal:
        connect(target, recorder, Secrets(login=Secret(CANARY))).run("true")
    assert refusal.value.exit_code == 7
    assert f"--host-key {shown}" in refusal.value.remedy
    assert recorder.events == []
    assert "publickey" not in log(sshd)
    assert "password" not in log(sshd)

    host = connect(replace(target, host_key=shown), recorder, Secrets())
    host.run("true", expect=True)
    assert recorder.connections[0]["host key check"].startswith("named by the analyst")
    host.close()


@pytest.mark.parametrize("other", ["ed25519", "ecdsa"])
def test_a_changed_host_key_is_refused_with_both_fingerprints(sshd: Sshd, tmp_path: Path, other: str) -> None:
    make_key(tmp_path / "other", other)
    words = (tmp_path / "other.pub").read_text().split()
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {words[0]} {words[1]}\n")
    with pytest.raises(HostKeyRefused, match="has changed") as refusal:
        connect(sshd.target(), MemoryRecorder(), Secrets(login=Secret(CANARY))).run("true")
    assert keygen_fingerprint(tmp_path / "other.pub") in refusal.value.why
    assert keygen_fingerprint(sshd.folder / "host.pub") in refusal.value.why
    assert "publickey" not in log(sshd)


def test_the_key_that_the_analyst_names_has_to_be_the_one_that_is_shown(sshd: Sshd) -> None:
    target = replace(sshd.target(), host_key="SHA256:" + "A" * 43)
    with pytest.raises(HostKeyRefused, match="not the one that was named"):
        connect(target, MemoryRecorder(), Secrets()).run("true")


def test_a_revoked_key_is_refused_even_when_it_is_named(sshd: Sshd) -> None:
    shown = keygen_fingerprint(sshd.folder / "host.pub")
    sshd.known_hosts.write_text("@revoked " + sshd.known_hosts.read_text())
    with pytest.raises(HostKeyRefused, match="revoked"):
        connect(replace(sshd.target(), host_key=shown), MemoryRecorder(), Secrets()).run("true")


def test_hashed_names_patterns_and_aliases_are_understood(sshd: Sshd) -> None:
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(sshd.known_hosts)], check=True, capture_output=True)
    assert sshd.known_hosts.read_text().startswith("|1|")
    key = sshd.known_hosts.read_text().split(maxsplit=1)[1]
    for names, alias in ((None, ""), ("[127.0.0.*]:*", ""), ("elsewhere,my-alias", "my-alias")):
        if names:
            sshd.known_hosts.write_text(f"# a comment\n\nbroken\n{names} {key}")
        host = connect(replace(sshd.target(), host_key_alias=alias), MemoryRecorder(), Secrets())
        host.run("true", expect=True)
        host.close()
    sshd.known_hosts.write_text(f"[127.0.0.*]:*,![127.0.0.1]:{sshd.port} {key}")
    with pytest.raises(HostKeyRefused, match="unknown"):
        connect(sshd.target(), MemoryRecorder(), Secrets()).run("true")


class _Thief(paramiko.ServerInterface):
    """A server with its own key, which would take any login."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def check_auth_password(self, username: str, password: str) -> int:
        self.taken.append(f"{username}:{password}")
        return paramiko.common.AUTH_SUCCESSFUL

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.taken.append(f"{username}:{key.fingerprint}")
        return paramiko.common.AUTH_SUCCESSFUL

    def get_allowed_auths(self, username: str) -> str:
        self.taken.append(username)
        return "password,publickey"


def test_a_machine_in_the_middle_learns_nothing(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "thief")
    key = paramiko.PKey.from_path(str(tmp_path / "thief"))
    thief = _Thief()

    def serve(ours: object) -> None:
        transport = paramiko.Transport(ours)  # type: ignore[arg-type]
        transport.add_server_key(key)
        transport.start_server(event=threading.Event(), server=thief)

    with Proxy(sshd.port, instead=serve) as proxy:
        words = (sshd.folder / "host.pub").read_text().split()
        sshd.known_hosts.write_text(f"[127.0.0.1]:{proxy.port} {words[0]} {words[1]}\n")
        host = connect(sshd.target(port=proxy.port), MemoryRecorder(), Secrets(login=Secret(CANARY)))
        with pytest.raises(HostKeyRefused, match="has changed"):
            host.run("true")
    assert thief.taken == []


@pytest.mark.parametrize(
    ("settings", "sign"),
    [
        (("Ciphers aes128-cbc,3des-cbc",), "3des-cbc"),
        (("Ciphers aes128-ctr", "MACs hmac-md5,hmac-sha1"), "hmac-md5"),
        (("KexAlgorithms diffie-hellman-group14-sha1",), "diffie-hellman-group14-sha1"),
    ],
)
def test_weak_algorithms_are_refused_and_named(idle_sshd: Sshd, settings: tuple[str, ...], sign: str) -> None:
    idle_sshd.start(*settings)
    with pytest.raises(Refused, match="too weak") as refusal:
        connect(idle_sshd.target(), MemoryRecorder(), Secrets()).run("true")
    assert sign in refusal.value.why


def test_a_port_where_nothing_listens_is_unreachable(idle_sshd: Sshd) -> None:
    with pytest.raises(Unreachable, match="refused"):
        connect(idle_sshd.target(port=free_port()), MemoryRecorder(), Secrets()).run("true")


def test_a_server_that_says_nothing_is_given_up(idle_sshd: Sshd) -> None:
    with Proxy(free_port(), instead=lambda _socket: None) as proxy:
        timing = Timing(connect=1, banner=1)
        host = connect(idle_sshd.target(port=proxy.port), MemoryRecorder(), Secrets(), timing)
        with pytest.raises(Unreachable):
            host.run("true")


def test_only_the_configured_identity_is_offered(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    with pytest.raises(LoginRefused) as refusal:
        connect(replace(sshd.target(), identities=(other,)), MemoryRecorder(), Secrets()).run("true")
    assert f"{other} (ssh-ed25519): not accepted" in refusal.value.why
    assert "The target allows: publickey" in refusal.value.why


def test_an_encrypted_key_is_opened_with_its_passphrase_only(sshd: Sshd, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", passphrase=CANARY)
    with (sshd.folder / "authorized_keys").open("a") as file:
        file.write((tmp_path / "locked.pub").read_text())
    target = replace(sshd.target(), identities=(locked,))
    with pytest.raises(LoginRefused, match="no passphrase was given"):
        connect(target, MemoryRecorder(), Secrets(sudo=Secret(CANARY), login=None)).run("true")
    with pytest.raises(LoginRefused, match="does not open it"):
        connect(target, MemoryRecorder(), Secrets(passphrase=Secret("wrong"))).run("true")
    host = connect(target, MemoryRecorder(), Secrets(passphrase=Secret(CANARY)))
    assert host.run("echo", "in", expect=True).stdout == b"in\n"
    host.close()


def test_a_certificate_beside_the_key_is_used(idle_sshd: Sshd, tmp_path: Path) -> None:
    authority, key = make_key(tmp_path / "authority"), make_key(tmp_path / "key")
    sign = ["ssh-keygen", "-q", "-s", str(authority), "-I", "test", "-n", "root", str(key) + ".pub"]
    subprocess.run(sign, check=True, capture_output=True)
    idle_sshd.start(f"TrustedUserCAKeys {authority}.pub")
    host = connect(replace(idle_sshd.target(), identities=(key,)), MemoryRecorder(), Secrets())
    assert host.run("true").ok
    host.close()


def test_an_agent_signs_for_configured_identities_only(
    sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while not socket.exists():
            assert agent.poll() is None
        subprocess.run(["ssh-add", "-q", str(sshd.identity)], check=True, capture_output=True)
        stranger = make_key(tmp_path / "stranger")
        alone = replace(sshd.target(), identities=(stranger,), agent=True)
        with pytest.raises(LoginRefused) as refusal:
            connect(alone, MemoryRecorder(), Secrets()).run("true")
        assert str(sshd.identity) not in refusal.value.why
        sshd.identity.unlink()  # the agent has it; its public half names it
        recorder = MemoryRecorder()
        host = connect(replace(sshd.target(), agent=True), recorder, Secrets())
        said = host.run("sh", "-c", "env; ls /tmp/ssh-* 2>/dev/null")
        assert b"SSH_AUTH_SOCK" not in said.stdout
        assert recorder.connections[0]["login"].endswith("by the agent")
        host.close()
    finally:
        agent.terminate()
        agent.wait(10)


def test_a_jump_host_is_checked_and_passed_through(sshd: Sshd, tmp_path: Path) -> None:
    through = replace(sshd.target(), label="through", jump=sshd.target())
    recorder = MemoryRecorder()
    host = connect(through, recorder, Secrets())
    assert host.run("echo", "far", expect=True).stdout == b"far\n"
    assert recorder.connections[0]["through host key check"].startswith("known")
    host.close()
    unknown = replace(through, jump=sshd.target(known_hosts=tmp_path / "none"))
    with pytest.raises(HostKeyRefused):
        connect(unknown, MemoryRecorder(), Secrets(login=Secret(CANARY))).run("true")


def test_secrets_do_not_show() -> None:
    secrets = Secrets(login=Secret(CANARY), sudo=Secret(CANARY), passphrase=Secret(CANARY))
    assert CANARY not in repr(secrets) + str(secrets) + f"{secrets.login}"
