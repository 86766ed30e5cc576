"""Seals: signed by people's keys, stamped by an authority, checked by stock tools; what could not be had is pending."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from forensics import deeds, sealing, seals, signing, stamping
from forensics.casefile import Case, Stamps, open_case
from forensics.errors import CaseError, IntegrityError, UsageError
from forensics.events import Action, State
from forensics.model import Digest, Examiner
from forensics.progress import Silent
from forensics.sealing import Wanted
from forensics.verify import Given, verify
from tests import authority
from tests.authority import Authority, ssh_key
from tests.casework import EXAMINER, check, enter_one, note, writable
from tests.test_cli import OPENING, run


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    with authority.serving(authority.make(tmp_path_factory.mktemp("tsa") / "one")) as one:
        yield one


@pytest.fixture
def case(tmp_path: Path, tsa: Authority) -> Case:
    tsa.fault = ""
    key = signing.signer(str(ssh_key(tmp_path)))
    stamps = Stamps((tsa.url,), tsa.roots)
    made = open_case(tmp_path, "2026-0001", "Suspect host", EXAMINER, "warrant 12", key=key, stamps=stamps)
    enter_one(made, "first.json", b"first")
    return made


def sealed(case: Case) -> Path:
    made = sealing.make(case, Silent())
    sealing.record(case, made)
    assert sealing.attest(case, made.path, sealing.wanted(case), Silent(), again=True) == ()
    return made.path


def stock(*words: str, stdin: Path | None = None) -> int:
    with open(stdin or os.devnull, "rb") as file:  # noqa: PTH123 - os.devnull
        return subprocess.run(words, stdin=file, capture_output=True, check=False).returncode


def test_a_seal_is_signed_and_stamped_and_stock_tools_agree(case: Case) -> None:
    path = sealed(case)
    folder = path.parent
    namespace = ("-n", "custody-seal@forensics")
    signers = ("-f", str(folder / "allowed_signers"), "-I", "Ann_Examiner")
    assert stock("ssh-keygen", "-Y", "verify", *signers, *namespace, "-s", str(folder / "0001.sig"), stdin=path) == 0
    token = ("-in", str(folder / "0001.tsr"), "-CAfile", str(folder / "0001.pem"))
    assert stock("openssl", "ts", "-verify", "-data", str(path), *token) == 0
    result = check(case.folder)
    assert (result.code, len(result.anchors), result.stamped) == (0, 2, 1), result.problems
    assert any("behind the last time stamp" in one for one in result.notes)
    assert {path.name for path in folder.iterdir()} == {
        "0001.json", "0001.sig", "0001.tsr", "0001.pem", "allowed_signers",
    }  # fmt: skip


def test_every_line_names_the_key_and_the_first_its_public_half(case: Case) -> None:
    fingerprint = subprocess.run(
        ["ssh-keygen", "-l", "-f", case.folder.parents[1] / "id.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert {one.actor.key for one in case.events()} == {fingerprint}
    assert str(case.facts["key_public"]) in (case.folder.parents[1] / "id.pub").read_text()


@pytest.mark.parametrize("name", ["0001.json", "0001.sig", "0001.tsr", "0001.pem", "allowed_signers"])
def test_a_changed_byte_in_any_file_of_a_seal_is_found_and_named(case: Case, name: str) -> None:
    path = sealed(case).parent / name
    whole = path.read_bytes()
    for place in sorted({*range(0, len(whole), max(1, len(whole) // 9)), len(whole) - 1}):
        changed = bytearray(whole)
        changed[place] ^= 1
        writable(path).write_bytes(changed)
        result = check(case.folder)
        assert result.code == 4, place
        assert any(name in one.where for one in result.problems), result.problems
    path.write_bytes(whole)
    assert check(case.folder)


def test_a_lost_copy_is_written_again_from_the_ledger(case: Case) -> None:
    folder = sealed(case).parent
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    for name in ("0001.sig", "0001.tsr", "allowed_signers"):
        (folder / name).unlink()
    assert check(case.folder).code == 5
    sealing.restore(case)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    (folder / "allowed_signers").unlink()
    alone = check(case.folder)
    assert (alone.code, len(alone.anchors)) == (5, 1), "a signature without a list of signers is not taken, nor refused"
    sealing.restore(case)
    assert check(case.folder)


def test_a_tail_cut_behind_a_seal_leaves_signatures_of_which_no_entry_tells(case: Case) -> None:
    path = sealed(case)
    ledger = case.folder / "custody.jsonl"
    lines = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(b"".join(lines[: json.loads(path.read_text())["sequence"] + 1]))
    result = check(case.folder)
    assert result.code == 4
    assert any("0001.sig" in one.where and "no entry tells of it" in one.what for one in result.problems)


def test_a_signature_by_another_key_is_refused(case: Case, tmp_path: Path) -> None:
    path = sealed(case)
    other = signing.signer(str(ssh_key(tmp_path, "other")))
    armoured = signing.sign(other, path.read_bytes())
    own = str(case.facts["key_public"])
    assert signing.refused(armoured, path.read_bytes(), own)
    assert signing.refused(armoured, path.read_bytes(), other.public) == ""
    receipt = signing.sign(other, path.read_bytes(), signing.RECEIPT)
    assert signing.refused(receipt, path.read_bytes(), other.public), "made for something else"


def test_an_auditors_own_signers_and_roots_decide(case: Case, tmp_path: Path, tsa: Authority) -> None:
    sealed(case)
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_text(f"ann {case.facts['key_public']}\n")
    bad.write_text(f"bob {signing.signer(str(ssh_key(tmp_path, 'other'))).public}\n")
    assert verify(case.folder, given=Given(signers=good, roots=tsa.roots))
    assert verify(case.folder, given=Given(signers=bad)).code == 4
    elsewhere = authority.make(tmp_path / "elsewhere")
    result = verify(case.folder, given=Given(roots=elsewhere.roots))
    assert [one.where for one in result.problems] == ["seals/0001.tsr"]


@pytest.mark.parametrize("fault", ["nonce", "hash", "short", "refuse", "status", "down", "slow"])
def test_an_authority_that_fails_leaves_the_stamp_pending_and_the_case_open(
    case: Case, tsa: Authority, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row A1."""
    if fault == "slow":
        monkeypatch.setattr(stamping, "PATIENCE", 0.5)
    if fault == "nonce":
        sealed(case)
    tsa.fault = fault
    ask_for = sealing.wanted(case)
    if fault == "down":
        ask_for = Wanted(ask_for.key, ("http://127.0.0.1:9/tsa",), ask_for.roots)
    made = sealing.make(case, Silent())
    sealing.record(case, made)
    left = sealing.attest(case, made.path, ask_for, Silent(), again=True)
    assert len(left) == 1
    assert left[0].startswith("time stamp of http://127.0.0.1")
    event = case.events()[-1]
    assert (event.action, event.outcome) == (Action.TIME_STAMPED, State.FAILED)
    assert check(case.folder), "pending is no damage"
    asked = tsa.asked
    assert sealing.attest(case, made.path, ask_for, Silent()) == ("time stamp of " + ask_for.authorities[0],)
    assert tsa.asked == asked, "a run does not ask again; `--pending` does"
    tsa.fault = ""
    monkeypatch.undo()
    assert sealing.attest(case, made.path, sealing.wanted(case), Silent(), again=True) == ()
    assert check(case.folder)


@pytest.mark.parametrize("kind", ["another root", "may not stamp", "expired"])
def test_a_stamp_by_whom_nobody_trusts_is_none(case: Case, tmp_path: Path, kind: str) -> None:
    usage = "other" if kind == "may not stamp" else "stamping"
    begin = "2020-01-01 00:00:00" if kind == "expired" else ""
    try:
        other = authority.make(tmp_path / "other", usage, "30", begin)
    except subprocess.CalledProcessError as error:
        pytest.fail(str(error.stderr))
    made = sealing.make(case, Silent())
    with authority.serving(other) as serving:
        roots = sealing.wanted(case).roots if kind == "another root" else other.roots
        ask_for = Wanted("", (serving.url,), roots)
        (left,) = sealing.attest(case, made.path, ask_for, Silent(), again=True)
    assert "the time stamp" in left
    assert not list(made.path.parent.glob("*.tsr"))


def test_a_second_person_countersigns_and_the_examiner_cannot(case: Case, tmp_path: Path) -> None:
    path = sealed(case)
    second = signing.signer(str(ssh_key(tmp_path, "second")))
    theirs = Case.load(tmp_path, case.number, Examiner("Bob Second", "reviewer"))
    event = sealing.countersign(theirs, path, second, ask=False)
    assert (event.actor.name, event.details["role"]) == ("Bob Second", "countersigner")
    assert (path.parent / "0001.2.sig").is_file()
    result = check(case.folder)
    assert [("Bob" in one, "Ann" in one) for one in result.anchors[:2]] == [(False, True), (True, False)]
    with pytest.raises(CaseError, match="another person"):
        sealing.countersign(theirs, path, second, ask=False)
    with pytest.raises(CaseError, match="another person"):
        sealing.countersign(theirs, path, signing.signer(str(tmp_path / "id")), ask=False)


def test_a_key_in_an_agent_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ssh_key(tmp_path, passphrase="a passphrase")
    told = subprocess.run(["ssh-agent", "-s", "-a", tmp_path / "agent"], capture_output=True, text=True, check=True)
    pid = told.stdout.partition("SSH_AGENT_PID=")[2].partition(";")[0]
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    try:
        helper = tmp_path / "answer"
        helper.write_text("#!/bin/sh\necho a passphrase\n")
        helper.chmod(0o700)
        environment = {**os.environ, "SSH_ASKPASS": str(helper), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":"}
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True, stdin=subprocess.DEVNULL)
        locked = signing.signer(str(key))
        agent = signing.signer(f"agent:{locked.fingerprint}")
        assert agent.public == locked.public
        assert signing.refused(signing.sign(agent, b"x"), b"x", locked.public) == ""
        with pytest.raises(UsageError, match="agent does not hold"):
            signing.signer("agent:SHA256:other")
    finally:
        subprocess.run(["kill", pid], check=True)
    with pytest.raises(CaseError, match="did not sign"):
        signing.sign(locked, b"x")


@pytest.mark.parametrize("kind", ["missing", "no key"])
def test_a_key_that_is_none_is_refused_in_words(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key"
    if kind == "no key":
        path.write_text("not a key")
    with pytest.raises(UsageError, match="key"):
        signing.signer(str(path))


@pytest.mark.parametrize("kind", ["missing", "locked", "wrong passphrase", "another's"])
def test_a_key_that_does_not_sign_leaves_the_signature_pending_and_no_seal_called_signed(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row A2, of seals."""
    path = ssh_key(tmp_path, passphrase="right" if kind in {"locked", "wrong passphrase"} else "")
    made = open_case(tmp_path, "2026-0001", "Suspect", EXAMINER, "warrant 12", key=signing.signer(str(path)))
    if kind == "missing":
        path.unlink()
    if kind == "another's":
        path.write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\nnot one\n")
    answer = tmp_path / "answer"
    answer.write_text("#!/bin/sh\necho wrong\n")
    answer.chmod(0o700)
    for name, value in {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":"}.items():
        monkeypatch.setenv(name, value)
    seal = sealing.make(made, Silent())
    sealing.record(made, seal)
    ask_for = sealing.wanted(made, ask=kind == "wrong passphrase")
    (left,) = sealing.attest(made, seal.path, ask_for, Silent(), again=True)
    assert left.startswith("signature")
    assert made.events()[-1].outcome is State.FAILED
    assert "right" not in (made.folder / "custody.jsonl").read_text()
    result = check(made.folder)
    assert (result.code, result.anchors) == (0, []), "pending is no damage, and no signature"
    assert not list(seal.path.parent.glob("*.sig"))


def test_a_seal_of_a_changed_exhibit_is_not_made(case: Case) -> None:
    writable(case.folder / "exhibits" / "E0001-web01-first.json").write_bytes(b"First")
    with pytest.raises(IntegrityError, match="not what was recorded"):
        sealing.make(case, Silent())
    assert seals.last(case.folder / "seals") is None


def test_a_signed_head_lets_nobody_rewrite_an_entry_before_it(case: Case) -> None:
    """Rewrite an entry, with every digest behind it made right again: only the seal can tell."""
    sealed(case)
    note(case, "later")
    from tests.forgery import rewritten  # noqa: PLC0415

    rewritten(case.folder / "custody.jsonl", b"warrant 12", b"warrant 13")
    result = check(case.folder)
    assert result.code == 4
    assert {one.where for one in result.problems} == {"seals/0001.json"}


def test_the_commands_seal_wait_and_countersign(tmp_path: Path, tsa: Authority) -> None:
    tsa.fault = "status"
    key, second = ssh_key(tmp_path), ssh_key(tmp_path, "second")
    signing_words = ("--key", str(key), "--tsa", tsa.url, "--tsa-roots", str(tsa.roots))
    assert run(tmp_path, "open", "2026-0042", *OPENING, *signing_words).returncode == 0
    waiting = run(tmp_path, "seal", "2026-0042")
    assert waiting.returncode == 3, waiting.stderr
    assert "pending: time stamp of" in waiting.stdout
    assert "no time stamp of an outside authority" in waiting.stdout
    tsa.fault = ""
    done = run(tmp_path, "seal", "2026-0042", "--pending", "--json")
    assert (done.returncode, json.loads(done.stdout)["pending"]) == (0, [])
    assert run(tmp_path, "countersign", "2026-0042", "--by", "Bob", "--key", str(second)).returncode == 0
    checked = run(tmp_path, "verify", "2026-0042")
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("anchor") == 3
    entries = (tmp_path / "cases" / "2026-0042" / "custody.jsonl").read_text()
    assert "PRIVATE KEY" not in entries
    response = json.loads(entries.splitlines()[-2])["details"]["response"]
    assert base64.b64decode(response) == (tmp_path / "cases" / "2026-0042" / "seals" / "0001.tsr").read_bytes()


def test_sealing_without_key_or_authority_says_what_it_is_worth(tmp_path: Path) -> None:
    assert run(tmp_path, "open", "2026-0042", *OPENING).returncode == 0
    done = run(tmp_path, "seal", "2026-0042")
    assert done.returncode == 0
    assert "could have cut or rewritten the ledger" in done.stdout
    assert run(tmp_path, "countersign", "2026-0041", "--by", "B", "--key", "x").returncode == 1


def test_a_note_that_names_an_exhibit_is_no_check_of_it(case: Case) -> None:
    """What is not hashed again must have been hashed then; who reads an exhibit has it hashed."""
    since = case.events()[-1].time
    deeds.note(case, "looks odd", ["E0001"])
    later = verify(case.folder, given=Given(since=_after(since)))
    assert not any("not hashed again" in one for one in later.notes)
    deeds.access(case, ["E0001"], "reading")
    later = verify(case.folder, given=Given(since=_after(since)))
    assert any("E0001 was not hashed again" in one for one in later.notes)


def _after(moment: str) -> str:
    return (datetime.fromisoformat(moment) + timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")


CUT = """
import resource, sys
from pathlib import Path
from forensics import seals
from forensics.model import Digest
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
seals.write(Path(sys.argv[1]), "case", 1, Digest("sha256", "0" * 64), ())
"""


def test_a_seal_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    cut = subprocess.run([sys.executable, "-c", CUT, str(tmp_path)], capture_output=True, check=False)
    assert b"File too large" in cut.stderr
    assert seals.last(tmp_path) is None
    path = seals.write(tmp_path, "case", 1, Digest("sha256", "0" * 64), ())
    assert [one.name for one in tmp_path.iterdir()] == [path.name] == ["0001.json"]
