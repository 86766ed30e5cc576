from __future__ import annotations

import getpass
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.targets import label_of, parse_target, split
from tests.sshd import skip

CONFIG = """
Include more/*.conf

Host web
  HostName web01.example.net
  User responder
  Port 2222
  IdentityFile {folder}/web_key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known {folder}/known2
  GlobalKnownHostsFile /dev/null
  HostKeyAlias web-alias
  ProxyJump gate

Host gate
  HostName gate.example.net
  User guard
  ProxyJump none

Host chained
  ProxyJump gate,second@inner:2200

Host circle
  ProxyJump circle

Host command
  ProxyCommand nc %h %p

Match host web01.example.net user responder
  IdentityFile {folder}/match_key

Host *.example.net !web01.example.net
  User everyone
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    folder = tmp_path / ".ssh"
    (folder / "more").mkdir(parents=True)
    (folder / "more" / "one.conf").write_text("Host included\n  HostName 192.0.2.7\n  Port 2022\n")
    path = folder / "config"
    path.write_text(CONFIG.format(folder=folder))
    return path


def test_a_host_block_says_where_and_as_whom(config: Path) -> None:
    target = parse_target("web", config=config)
    folder = config.parent
    assert (target.label, target.address, target.port, target.user) == ("web", "web01.example.net", 2222, "responder")
    assert target.identities == (folder / "web_key", folder / "match_key")
    assert target.known_hosts == (folder / "known", folder / "known2")
    assert target.host_key_alias == "web-alias"
    assert target.agent is False
    assert target.jump is not None
    assert (target.jump.address, target.jump.user, target.jump.port) == ("gate.example.net", "guard", 22)


def test_the_words_win_over_the_configuration(config: Path) -> None:
    target = parse_target("root@web:22022", config=config)
    assert (target.address, target.port, target.user) == ("web01.example.net", 22022, "root")


def test_a_chain_of_jumps_is_kept_in_order(config: Path) -> None:
    target = parse_target("chained", config=config)
    assert target.jump is not None
    assert (target.jump.address, target.jump.user, target.jump.port) == ("inner", "second", 2200)
    assert target.jump.jump is not None
    assert target.jump.jump.address == "gate.example.net"
    assert target.jump.jump.jump is None


def test_included_files_are_read_and_the_rest_still_holds(config: Path) -> None:
    target = parse_target("included", config=config)
    assert (target.address, target.port) == ("192.0.2.7", 2022)
    assert parse_target("db.example.net", config=config).user == "everyone"


def test_an_unknown_name_gets_what_openssh_takes_by_default(config: Path) -> None:
    (config.parent / "id_ed25519").write_text("x")
    target = parse_target("Plain_Host.example.org", config=config)
    assert target.label == "plain-host-example-org"
    assert (target.address, target.port, target.user) == ("Plain_Host.example.org", 22, getpass.getuser())
    assert target.identities == (config.parent / "id_ed25519",)
    assert target.known_hosts[0] == config.parent / "known_hosts"


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("host", ("", "host", 0)),
        ("user@host:22", ("user", "host", 22)),
        ("user@realm@host", ("user@realm", "host", 0)),
        ("[2001:db8::1]:2222", ("", "2001:db8::1", 2222)),
        ("root@[2001:db8::1]", ("root", "2001:db8::1", 0)),
        ("2001:db8::1", ("", "2001:db8::1", 0)),
        ("ssh://root@host:2200", ("root", "host", 2200)),
    ],
)
def test_words_are_split(words: str, parts: tuple[str, str, int]) -> None:
    assert split(words) == parts


@pytest.mark.parametrize(
    "words",
    ["", "user@", "-oProxyCommand=x", "root@-x", "host:0", "host:99999", "host:ssh", "a b", "host/path", "circle"],
)
def test_what_is_no_target_is_refused(words: str, config: Path) -> None:
    with pytest.raises(UsageError):
        parse_target(words, config=config)


def test_a_proxy_command_is_refused_with_what_to_do_instead(config: Path) -> None:
    with pytest.raises(UsageError, match="ProxyJump"):
        parse_target("command", config=config)


def test_a_host_key_has_to_look_like_one(config: Path) -> None:
    shown = "SHA256:" + "a" * 43
    assert parse_target("web", config=config, host_key=shown).host_key == shown
    with pytest.raises(UsageError):
        parse_target("web", config=config, host_key="SHA256:short")


@given(st.text(min_size=1))
def test_a_label_is_made_of_small_letters_digits_and_hyphens(name: str) -> None:
    try:
        label = label_of(name)
    except UsageError:
        return
    assert label
    assert set(label) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(label) <= 40


@pytest.mark.parametrize("name", ["web", "gate", "included", "db.example.net", "other"])
def test_openssh_reads_the_same(name: str, config: Path) -> None:
    if shutil.which("ssh") is None:
        skip("ssh is missing: install openssh-client")
    config.write_text(config.read_text().replace("more/*.conf", f"{config.parent}/more/*.conf"))
    asked = subprocess.run(["ssh", "-G", "-F", str(config), name], check=True, capture_output=True, text=True)
    said: dict[str, list[str]] = {}
    for line in asked.stdout.splitlines():
        word, _, value = line.partition(" ")
        said.setdefault(word, []).append(value)
    target = parse_target(name, config=config)
    assert [target.address] == said["hostname"]
    assert [str(target.port)] == said["port"]
    assert [target.user] == said["user"]
    assert (target.jump.label if target.jump else "none") == said.get("proxyjump", ["none"])[0]
    if name == "web":
        assert [str(path) for path in target.identities] == said["identityfile"]
        assert [" ".join(map(str, target.known_hosts))] == said["userknownhostsfile"]
