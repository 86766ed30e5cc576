"""Ways to damage a bag, each with words of the message that it has to be met with."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.handing import edited, flip, remade, run

Bags = dict[str, Path]
"""Bags by name: "bag" and "later" are of one case, "other" is of another one."""
Damage = Callable[[Path, Bags], None]
DAMAGES: dict[str, tuple[Damage, str]] = {}
LEDGER = "data/2026-0001/custody.jsonl"


def damage(words: str) -> Callable[[Damage], Damage]:
    def keep(change: Damage) -> Damage:
        DAMAGES[change.__name__.replace("_", " ")] = (change, words)
        return change

    return keep


def first(bag: Path, pattern: str) -> Path:
    return min(bag.glob(pattern))


def lists_anew_for_tags(bag: Path) -> None:
    """Make the tag manifests anew, and leave the payload's as they are."""
    kept = {name: (bag / name).read_bytes() for name in ("manifest-sha256.txt", "manifest-sha512.txt")}
    remade(bag, signed=True)
    for name, content in kept.items():
        (bag / name).write_bytes(content)
    for tag, tool in (("tagmanifest-sha256.txt", "sha256sum"), ("tagmanifest-sha512.txt", "sha512sum")):
        lines = [one for one in (bag / tag).read_text().splitlines() if one.split()[1] not in kept]
        lines += [run(tool, name, cwd=bag).stdout.strip() for name in kept]
        (bag / tag).write_text("\n".join(lines) + "\n")


@damage("its digest is off")
def payload_changed(bag: Path, _bags: Bags) -> None:
    flip(first(bag, "data/*/exhibits/E0001*"))


@damage("its digest is off")
def result_changed(bag: Path, _bags: Bags) -> None:
    flip(first(bag, "data/results/*.csv"))


@damage("no manifest lists it")
def payload_added(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "more").write_text("x")


@damage("it is listed, and missing")
def payload_removed(bag: Path, _bags: Bags) -> None:
    first(bag, "data/*/exhibits/E0002*").unlink()


@damage("no manifest lists it")
def extra_root_file(bag: Path, _bags: Bags) -> None:
    (bag / "notes.txt").write_text("x")


@damage("no manifest lists it")
def hidden_root_file(bag: Path, _bags: Bags) -> None:
    (bag / ".hidden").write_text("x")


@damage("no manifest lists it")
def name_that_is_code(bag: Path, _bags: Bags) -> None:
    (bag / "$(touch planted)").write_text("x")
    (bag / "x[$(touch planted)]").write_text("x")


@damage("nothing is in it")
def empty_folder(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "empty").mkdir()


@damage("fetches nothing")
def fetch_list(bag: Path, _bags: Bags) -> None:
    (bag / "fetch.txt").write_text("")


@damage("fetches nothing")
def fetch_list_that_is_listed(bag: Path, _bags: Bags) -> None:
    (bag / "fetch.txt").write_text("https://example.org/x 1 data/x\n")
    remade(bag)


@damage("a bag holds plain files only")
def symlink(bag: Path, _bags: Bags) -> None:
    path = first(bag, "data/results/*.csv")
    path.rename(bag.parent / "aside.csv")
    path.symlink_to(bag.parent / "aside.csv")


@damage("a bag holds plain files only")
def symlinked_folder(bag: Path, _bags: Bags) -> None:
    (bag / "more").symlink_to("data")


@damage("a bag holds plain files only")
def fifo(bag: Path, _bags: Bags) -> None:
    os.mkfifo(bag / "data" / "pipe")


def _unlisted(bag: Path, name: str) -> None:
    edited(bag / name, lambda text: "".join(one for one in text.splitlines(keepends=True) if "E0001" not in one))
    lists_anew_for_tags(bag)


@damage("manifest-sha512.txt does not")
def one_list_lacks_a_file(bag: Path, _bags: Bags) -> None:
    _unlisted(bag, "manifest-sha512.txt")


@damage("manifest-sha256.txt does not")
def the_other_list_lacks_it(bag: Path, _bags: Bags) -> None:
    _unlisted(bag, "manifest-sha256.txt")


@damage("its SHA-256 is as listed, its SHA-512 is not")
def two_manifests_that_disagree(bag: Path, _bags: Bags) -> None:
    edited(bag / "manifest-sha512.txt", lambda text: re.sub("^.{8}", "0" * 8, text))
    lists_anew_for_tags(bag)


@damage("and it is missing")
def tag_manifest_missing(bag: Path, _bags: Bags) -> None:
    (bag / "tagmanifest-sha256.txt").unlink()


@damage("and it is missing")
def manifest_missing(bag: Path, _bags: Bags) -> None:
    (bag / "manifest-sha512.txt").unlink()


@damage("inside the bag")
def a_list_that_leads_out(bag: Path, _bags: Bags) -> None:
    (bag.parent / "outside").write_text("x")
    digest = run("sha256sum", bag.parent / "outside").stdout[:64]
    edited(bag / "manifest-sha256.txt", lambda text: f"{text}{digest}  data/../../outside\n")
    lists_anew_for_tags(bag)


@damage("its digest is off")
def tag_file_changed(bag: Path, _bags: Bags) -> None:
    flip(bag / "README.txt")


@damage("does not declare BagIt 1.0")
def older_declaration(bag: Path, _bags: Bags) -> None:
    edited(bag / "bagit.txt", lambda text: text.replace("1.0", "0.97"))
    remade(bag)


@damage("its signature is missing")
def signature_removed(bag: Path, _bags: Bags) -> None:
    (bag / "manifest-sha256.txt.sig").unlink()
    remade(bag, signed=True)


@damage("the signature over the payload does not hold")
def signed_for_another_payload(bag: Path, _bags: Bags) -> None:
    flip(first(bag, "data/results/*.csv"))
    remade(bag, signed=True)


def _put(bag: Path, theirs: Path, pattern: str) -> None:
    ours = first(bag, f"data/{pattern}")
    ours.unlink()
    shutil.copyfile(first(theirs, f"data/{pattern}"), ours)
    remade(bag)


@damage("no entry of the ledger tells of this report")
def report_of_another_case(bag: Path, bags: Bags) -> None:
    _put(bag, bags["other"], "report/*.html")


@damage("no entry of the ledger tells of this report")
def pdf_of_another_case(bag: Path, bags: Bags) -> None:
    _put(bag, bags["other"], "report/*.pdf")


@damage("this report is as of another entry than the bag says")
def report_of_an_earlier_state(bag: Path, bags: Bags) -> None:
    _put(bag, bags["bag"], "report/*.pdf")


@damage("no entry of the ledger tells of this report")
def pdf_with_bytes_behind_it(bag: Path, _bags: Bags) -> None:
    path = first(bag, "data/report/*.pdf")
    path.write_bytes(path.read_bytes() + b"%")
    remade(bag)


@damage("the ledger moved on since this bag was made, or was cut")
def ledger_of_a_later_state(bag: Path, bags: Bags) -> None:
    lines = (bags["case"] / "custody.jsonl").read_bytes().splitlines(keepends=True)
    count = (bag / LEDGER).read_bytes().count(b"\n")
    (bag / LEDGER).write_bytes(b"".join(lines[: count + 1]))
    remade(bag)


@damage("the ledger moved on since this bag was made, or was cut")
def ledger_cut(bag: Path, _bags: Bags) -> None:
    lines = (bag / LEDGER).read_bytes().splitlines(keepends=True)
    (bag / LEDGER).write_bytes(b"".join(lines[:-1]))
    remade(bag)


@damage("the bag was made of another case than is in it")
def another_case_inside(bag: Path, bags: Bags) -> None:
    shutil.rmtree(bag / "data" / "2026-0001")
    shutil.copytree(bags["other"] / "data" / "2026-0002", bag / "data" / "2026-0001")
    for path in (bag / "data" / "2026-0001").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    remade(bag)


@damage("what it says was left out is not what stands in the ledger")
def more_said_to_be_left_out(bag: Path, _bags: Bags) -> None:
    path = bag / "data" / "handoff.json"
    edited(path, lambda text: text.replace('"withheld": []', '"withheld": [\n  "E0001"\n ]'))
    remade(bag)


@damage("cannot be read")
def nothing_said_of_itself(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "handoff.json").write_text("{}\n")
    remade(bag, signed=True)


@damage("its digest is off")
def exhibit_changed_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    flip(first(bag, "data/*/exhibits/D0001*"))
    remade(bag)


@damage("the line is not what its own digest says")
def entry_changed_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    edited(bag / LEDGER, lambda text: text.replace("looks odd", "looks fine"))
    remade(bag)


@damage("the seal is not the one on record")
def seal_changed_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    edited(first(bag, "data/*/seals/0001.json"), lambda text: text.replace("  ", " "))
    remade(bag)


@damage("it is not the one on record")
def stamp_changed_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    flip(first(bag, "data/*/seals/0001.tsr"), 200)
    remade(bag)


@damage("no entry tells of it")
def signature_planted_beside_a_seal(bag: Path, _bags: Bags) -> None:
    shutil.copyfile(first(bag, "data/*/seals/0001.sig"), bag / "data" / "2026-0001" / "seals" / "0001.9.sig")
    remade(bag)


@damage("nobody entered this file")
def exhibit_planted(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "2026-0001" / "exhibits" / "E0009-x").write_text("x")
    remade(bag)


@damage("its lines are not in their order, or do not end")
def tag_manifest_without_its_last_byte(bag: Path, _bags: Bags) -> None:
    path = bag / "tagmanifest-sha256.txt"
    path.write_bytes(path.read_bytes()[:-1])


@damage("its lines are not in their order, or do not end")
def lines_of_a_tag_manifest_swapped(bag: Path, _bags: Bags) -> None:
    path = bag / "tagmanifest-sha256.txt"
    first_line, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join((second, first_line, *rest)))


@damage("it does not list one file, once, inside the bag")
def a_line_of_a_tag_manifest_ended_otherwise(bag: Path, _bags: Bags) -> None:
    path = bag / "tagmanifest-sha256.txt"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r", 1))


@damage("nothing of this name belongs into a bag")
def a_file_that_no_bag_has_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "2026-0001" / "more.sh").write_text("x")
    remade(bag)


@damage("another file has this name but for the case of letters")
def names_alike_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "results" / "a.csv").write_text("x")
    (bag / "data" / "results" / "A.csv").write_text("y")
    remade(bag)


@damage("it does not list one file, once, inside the bag")
def a_name_with_a_line_separator_and_lists_made_anew(bag: Path, _bags: Bags) -> None:
    (bag / "data" / "results" / "a\u2028b").write_text("x")
    remade(bag)
