"""A receipt: made with stock tools as the README says, taken when it is of this bag, and refused when it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensics import deeds
from forensics.casefile import LEDGER, Case
from forensics.errors import Refused, UsageError
from forensics.events import Action
from forensics.handoff.receipts import receive
from forensics.verify import DAMAGED, OK, Given, verify
from tests.authority import ssh_key
from tests.casework import check
from tests.forgery import rewritten
from tests.handing import handed, run


@pytest.fixture(scope="module")
def bag(root: Path) -> Path:
    return root / "reports" / "2026-0001-bag-0001"


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ssh_key(tmp_path_factory.mktemp("recipient"))


def case_of(root: Path) -> Case:
    return Case.load(root, "2026-0001")


def written(bag: Path, key: Path, namespace: str = "custody-receipt@forensics", **change: str) -> Path:
    """Make a receipt with the commands of the README, and sign it."""
    text = (bag / "README.txt").read_text()
    lines = [one.strip() for one in text.splitlines() if one.startswith("    ")]
    printf = next(one for one in lines if one.startswith("printf"))
    receipt = key.with_name("receipt.json")
    printf = printf.replace("../receipt.json", str(receipt))
    done = run("bash", "-c", f"WHO='Bob Recipient' WHERE=Basel; {printf}", cwd=bag)
    assert done.returncode == 0, done.stderr
    if change:
        told = json.loads(receipt.read_text())
        receipt.write_text(json.dumps({**told, **change}))
    receipt.with_name("receipt.json.sig").unlink(missing_ok=True)
    assert run("ssh-keygen", "-Y", "sign", "-f", key, "-n", namespace, receipt).returncode == 0
    return receipt


def take(root: Path, receipt: Path, key: Path | str) -> None:
    words = str(key) if isinstance(key, str) else str(key.with_suffix(".pub"))
    receive(case_of(root), root, receipt, receipt.with_name("receipt.json.sig"), words)


def test_a_receipt_of_another_case_bag_or_head_or_with_another_key_is_refused(
    root: Path, bag: Path, key: Path, tmp_path: Path
) -> None:
    before = (root / "cases" / "2026-0001" / LEDGER).read_bytes()
    nothing = "sha256:" + "0" * 64
    with pytest.raises(Refused, match="of another case: 1234"):
        take(root, written(bag, key, case="1234"), key)
    with pytest.raises(Refused, match="no bag of this case has the manifest"):
        take(root, written(bag, key, manifest=nothing), key)
    with pytest.raises(Refused, match="it names the head"):
        take(root, written(bag, key, head=nothing), key)
    with pytest.raises(Refused, match="does not say in words who"):
        take(root, written(bag, key, name=" "), key)
    with pytest.raises(Refused, match="no receipt of format"):
        take(root, written(bag, key, more="x"), key)
    with pytest.raises(Refused, match="was expected"):
        take(root, written(bag, key), ssh_key(tmp_path))
    with pytest.raises(Refused, match="its signature does not hold"):
        take(root, written(bag, key, namespace="file"), key)
    receipt = written(bag, key)
    receipt.write_bytes(receipt.read_bytes().replace(b"Bob", b"Eve"))
    with pytest.raises(Refused, match="its signature does not hold"):
        take(root, receipt, key)
    receipt.with_name("receipt.json.sig").write_text("nonsense")
    with pytest.raises(UsageError, match="not an SSH signature"):
        take(root, receipt, key)
    assert (root / "cases" / "2026-0001" / LEDGER).read_bytes() == before, "what is refused leaves no entry"


def test_a_receipt_becomes_an_entry_that_answers_the_hand_off_and_anchors_its_head(
    root: Path, bag: Path, key: Path, tmp_path: Path
) -> None:
    assert any("not acknowledged by Bob" in one for one in check(root / "cases" / "2026-0001").notes)
    take(root, written(bag, key), key)
    case = case_of(root)
    event = case.events()[-1]
    assert event.action is Action.RECEIVED
    assert (event.details["to"], event.details["place"]) == ("Bob Recipient", "Basel")
    result = check(case.folder)
    assert result.code == OK, result.problems
    assert not any("not acknowledged" in one for one in result.notes)
    assert any("was received by Bob Recipient, key SHA256:" in one for one in result.anchors)
    with pytest.raises(Refused, match="acknowledged already"):
        take(root, written(bag, key), key)
    mine = tmp_path / "signers"
    mine.write_text(f"bob {key.with_suffix('.pub').read_text()}ann {(root / 'id.pub').read_text()}")
    assert verify(case.folder, given=Given(signers=mine)).code == OK
    mine.write_text(f"ann {(root / 'id.pub').read_text()}")
    assert verify(case.folder, given=Given(signers=mine)).code == DAMAGED
    deeds.note(case, "going on")
    content = (case.folder / LEDGER).read_bytes()
    try:
        rewritten(case.folder / LEDGER, b"Bob Recipient", b"Eve Recipient")
        assert any("receipt's signature does not hold" in one.what for one in check(case.folder).problems)
    finally:
        (case.folder / LEDGER).write_bytes(content)


def test_a_receipts_fingerprint_is_enough_to_name_its_key_and_the_command_says_whose_it_is(
    root: Path, bag: Path, key: Path
) -> None:
    assert bag.is_dir()
    fingerprint = run("ssh-keygen", "-l", "-f", key.with_suffix(".pub")).stdout.split()[1]
    second = handed(case_of(root), to="Cy").path
    from tests.test_cli import run as command  # noqa: PLC0415

    receipt = written(second, key)
    done = command(root, "receive", "2026-0001", str(receipt), "--key", "SHA256:of-somebody-else")
    assert (done.returncode, "was expected" in done.stderr) == (7, True)
    done = command(root, "receive", "2026-0001", str(receipt), "--key", fingerprint, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["to"], told["bag"], told["fingerprint"]) == ("Bob Recipient", "2026-0001-bag-0002", fingerprint)
    assert command(root, "receive", "2026-0001", str(receipt), "--key", fingerprint).returncode == 7
