"""Check a case, a bag of one or a report of it: read-only, offline, standard library only, nothing of ours imported.

    python3 verify.py CASE-OR-BAG-OR-PDF [--head sha256:…] [--signers FILE] [--tsa-roots FILE] [--since DATE] [--pieces]
            [--identity FILE] [--json]

1. The ledger: every line's own digest, its link to the line before, sequence, fields.
2. The exhibits: each is a plain file, read-only, with recorded size and digest; `exhibits/` holds nothing else.
3. The seals: each names an entry that is in the ledger, and exhibits as the ledger has them; each signature (checked by
   ssh-keygen) and each time stamp (checked by openssl) is the one on record, and good. Recipients' receipts likewise.
4. Reports: the entry that each names is in the ledger. What was begun has an end.
5. A bag (BagIt 1.0, RFC 8493): it holds what its manifests list, and nothing else; both algorithms agree; the case in
   it is checked as above; what was left out is on record there; its reports are those of this ledger, at this length.
6. A report (PDF): its attachments are those that it names; the ledger in it is checked as in 1 and ends with the entry
   that the report is as of; the list of exhibits agrees with it. A signature covers the whole file as it stands, and
   the digest in it is that of the signed bytes; whether it is good, pdfsig tells.

Every problem is listed, not the first alone. Exit codes: 0 ok, 4 damaged, 5 incomplete, 6 cannot check.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

OK, DAMAGED, INCOMPLETE, UNREADABLE = 0, 4, 5, 6
WORDS = {OK: "ok", DAMAGED: "damaged", INCOMPLETE: "incomplete", UNREADABLE: "cannot check"}
LIMIT = 1 << 20  # bytes of a ledger line
SMALL = 1 << 26  # bytes of a file that is read whole: a seal, a signature, a manifest
BUFFER = 1 << 18  # bytes that are read at once to be hashed
ALGORITHMS = {"sha256", "sha512", "sha3_256", "blake2b"}
FIRST = "sha256:" + "0" * 64
SCHEMA = "forensics-custody-1"
NAMESPACE = "custody-seal@forensics"
RECEIPT = "custody-receipt@forensics"
BAG = "custody-bag@forensics"
SEAM = b',"digest":"'
NAMES = re.findall(
    r"\w+",
    "schema case sequence previous time zone monotonic boot actor action reason target stage attempt "
    "materials products tool outcome details deviation digest",
)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(NAMES, (str,)),
    **dict.fromkeys(("sequence", "monotonic", "attempt"), (int,)),
    **dict.fromkeys(("actor", "tool", "details"), (dict,)),
    **dict.fromkeys(("materials", "products"), (list,)),
    "outcome": (str, type(None)),
    "deviation": (dict, type(None)),
}
SHAPES = set(itertools.product(*KINDS.values()))
"""Every combination of types that the fields of a line may have."""
Event = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SINCE = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?")
PLACE = re.compile(r"exhibits/[EID]\d{4,}-[A-Za-z0-9._@+-]+")
BESIDE = re.compile(r"\d{4,}(\.\d+)?\.(sig|tsr|pem)")
PARTS = {"custody.jsonl", "exhibits", "seals", "work"}
CASE_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DECLARED = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
TAGS = {"bagit.txt", "bag-info.txt"} | {f"{part}manifest-sha{n}.txt" for part in ("", "tag") for n in (256, 512)}
HANDED = "data/handoff.json"
LAYOUT = re.compile(
    r"(bagit|bag-info|README|(tag)?manifest-sha(256|512))\.txt|manifest-sha256\.txt\.sig|check\.sh|verify\.py|"
    r"data/(handoff\.json|redactions\.json|case-uco\.jsonld|allowed_signers|authority_roots\.pem|"
    r"(report|results|seals)/[\w.@+-]+|[\w.-]+/(custody\.jsonl|(exhibits|seals)/[\w.@+-]+))",
    re.ASCII,
)
SIGNED = "manifest-sha256.txt"  # what a bag's signature is over
COMPARED = {"exhibit entered", "stage started", "accessed", "transferred", "handed off", "disposed"}  # hash them first
SILENT = {"command", "connected", "note", "host key accepted", "clock warning"}  # nothing later is held against them
_CONFUSED = (OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, zlib.error)
"""What reading goes wrong with, when what is read is not what it should be."""
NOT_EXCLUDED = (
    "Nothing in this folder alone can exclude that entries were cut from the ledger's end, or that whoever holds the "
    "folder wrote all of it anew. Compare the head with one kept elsewhere (a signed seal, a time stamp, a printed "
    "report, a receipt): --head sha256:…"
)


@dataclass(frozen=True)
class Problem:
    """One thing that is not as recorded."""

    code: int  # DAMAGED, INCOMPLETE or UNREADABLE
    where: str
    what: str
    expected: str = ""
    found: str = ""


@dataclass(frozen=True)
class Given:
    """What the auditor has from elsewhere, and asks for."""

    head: str = ""  # digest of an entry
    signers: Path | None = None  # an allowed-signers file
    roots: Path | None = None  # certificates of time stamp authorities, PEM
    since: str = ""  # exhibits with a check on record since then are not hashed again
    identity: Path | None = None  # age's, which opens encrypted exhibits
    bagged: bool = False  # the case stands in a bag: exhibits may be left out on record, and permissions be lost
    hashed: dict[Path, str] = field(default_factory=dict)  # SHA-256 of files that were hashed just before
    pieces: bool = False  # large exhibits are checked by their pieces, side by side, instead of whole


@dataclass
class Result:
    """What was looked at, and every problem; false when there is any."""

    case: str  # name of the folder
    kind: str = "case"
    entries: int = 0
    head: str = ""  # digest of the last whole entry
    last: str = ""  # its time
    exhibits: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)  # signatures and stamps that are good, in words
    stamped: int = -1  # the last entry on which an outside time was put
    anchored: bool = False  # a head kept elsewhere was found

    @property
    def code(self) -> int:
        """Exit code: damage before what could not be checked, before what is incomplete."""
        codes = {one.code for one in self.problems}
        return next((code for code in (DAMAGED, UNREADABLE, INCOMPLETE) if code in codes), OK)

    def __bool__(self) -> bool:
        return self.code == OK

    def add(self, code: int, where: str, what: str, expected: object = "", found: object = "") -> None:
        """Put down a problem; what was found is made safe to show."""
        self.problems.append(Problem(code, _safe(where), _safe(what), _safe(expected), _safe(found)))


@dataclass
class Ledger:
    """What of the ledger later checks need."""

    case: str = ""
    next: int = 0  # the sequence number that comes next
    heads: list[str] = field(default_factory=list)  # digest of each line, "" of one that cannot be read or is withheld
    events: list[Event] = field(default_factory=list)  # without those that nothing is held against
    entered: dict[str, Event] = field(default_factory=dict)  # by number
    counts: dict[str, int] = field(default_factory=dict)  # of each role
    seen: dict[str, str] = field(default_factory=dict)  # when each exhibit's digest was last compared, as recorded


def verify(path: Path, head: str = "", given: Given | None = None) -> Result:
    """Check a case folder, a bag or a report's PDF; `head` is the digest of an entry, as kept elsewhere."""
    path = path.resolve()
    result = Result(_safe(path.name))
    try:
        _verify(path, given or Given(head), result)
    except _CONFUSED as error:  # by what nobody thought of: it is said, and is never taken for sound
        words = "what stands in it put an end to this check: not everything was looked at"
        result.add(UNREADABLE, result.case, words, found=f"{type(error).__name__}: {error}"[:200])
    return result


def _verify(path: Path, given: Given, result: Result) -> None:
    if path.is_file():
        _verify_pdf(path, given, result)  # 6
    elif any(os.path.lexists(path / name) for name in ("bagit.txt", "manifest-sha256.txt")):
        _verify_bag(path, given, result)  # 5
    else:
        _verify_case(path, replace(given, bagged=(path.parent.parent / "bagit.txt").is_file()), result)


def _verify_case(folder: Path, given: Given, result: Result) -> Ledger:
    ledger = _read_ledger(folder / "custody.jsonl", result)  # 1
    if result.entries:
        _check_exhibits(folder, ledger, given, result)  # 2
        _check_seals(folder, ledger, given, result)  # 3
        _check_receipts(ledger, given, result)
        _check_reports(ledger, result)  # 4
        _check_ends(ledger.events, result)
        _check_head(ledger, given.head, result)
        strangers = sorted(one for one in os.listdir(folder) if one not in PARTS)  # noqa: PTH208 - names alone
        result.notes += [f"not part of a case, and not checked: {_safe(one)}" for one in strangers]
    return ledger


# 1. The ledger


def _read_ledger(path: Path, result: Result) -> Ledger:
    try:
        descriptor = _open(path)
    except OSError as error:
        result.add(UNREADABLE, path.name, "there is no ledger to check", found=error.strerror or error)
        return Ledger()
    with os.fdopen(descriptor, "rb") as file:
        return _read_lines(file, result)


def _read_lines(file: IO[bytes], result: Result) -> Ledger:
    ledger = Ledger()
    previous = FIRST
    while line := file.readline(LIMIT + 1):
        where = f"custody.jsonl, line {result.entries + 1}"
        if not line.endswith(b"\n") and not _check_tail(line, where, result):
            break
        result.entries += 1
        previous = _check_line(line.rstrip(b"\n"), where, previous, ledger, result)
    if not result.entries and not result.problems:
        result.add(DAMAGED, "custody.jsonl", "the ledger is empty")
    return ledger


def _check_tail(line: bytes, where: str, result: Result) -> bool:
    """Look at a line without newline; true when it is to be checked like any other."""
    if len(line) > LIMIT:
        result.add(DAMAGED, where, "a line is too long; what follows was not read", f"at most {LIMIT} bytes")
        return False
    whole = line[: line.rfind(b"}") + 1]
    own, seam, rest = whole.rpartition(SEAM)
    if seam and rest == _digest(own).encode() + b'"}' and whole != line:
        result.add(DAMAGED, where, "the end of the last line was changed", "a newline", line[len(whole) :])
        return True
    result.add(INCOMPLETE, where, "the last line is torn: its writer was ended; the next run sets it aside")
    return False


def _check_line(line: bytes, where: str, previous: str, ledger: Ledger, result: Result) -> str:
    """Check one line and take up what it says; gives what the next line has to call `previous`."""
    own, seam, rest = line.rpartition(SEAM)
    hashed = hashlib.sha256(own)
    if not seam or rest != f'sha256:{hashed.hexdigest()}"}}'.encode():
        result.add(DAMAGED, where, "the line is not what its own digest says", rest[:71], _digest(own))
    try:
        event = _parse(line)
        _check_fields(event)
    except _CONFUSED as error:
        result.add(DAMAGED, where, "the line cannot be read", found=error)
        ledger.heads.append("")
        ledger.next += 1
        return _digest(line)
    first = not ledger.heads
    ledger.case = ledger.case or event["case"]
    wanted = (ledger.next, previous, ledger.case, SCHEMA, "case opened" if first else event["action"])
    found = (event["sequence"], event["previous"], event["case"], event["schema"], event["action"])
    if found != wanted:
        for name, one, other in zip(("sequence", "previous", "case", "schema", "action"), wanted, found, strict=True):
            if one != other:
                result.add(DAMAGED, where, f"{name} is off", one, other)
    ledger.heads.append(event["digest"])
    ledger.next = event["sequence"] + 1
    result.head, result.last = event["digest"], event["time"]
    if event["materials"] or event["products"]:
        _check_things(event, where, ledger, result)
    if event["action"] not in SILENT:
        ledger.events.append(event)
        _note_seal(event, ledger)
    if seam:
        hashed.update(seam + rest)
        return f"sha256:{hashed.hexdigest()}"
    return _digest(line)


def _check_fields(event: object) -> None:
    if not isinstance(event, dict) or list(event) != NAMES:
        raise ValueError(f"fields {list(event) if isinstance(event, dict) else type(event).__name__}")
    if tuple(map(type, event.values())) not in SHAPES:
        for (name, kinds), value in zip(KINDS.items(), event.values(), strict=True):
            if type(value) not in kinds:
                raise TypeError(f"{name} is a {type(value).__name__}")
    for thing in (*event["materials"], *event["products"]):
        if not isinstance(thing, dict) or sorted(thing) != ["digest", "exhibit", "size"]:
            raise ValueError("an exhibit is not named by number, digest and size")
        if type(thing["size"]) is not int or type(thing["digest"]) is not str or type(thing["exhibit"]) is not str:
            raise TypeError("an exhibit's number, digest or size is of another type")
    if not TIME.fullmatch(event["time"]):
        raise ValueError(f"time is {event['time']}")


def _check_things(event: Event, where: str, ledger: Ledger, result: Result) -> None:
    """Take up what was entered, and hold every later mention against it."""
    if event["action"] == "exhibit entered" and len(event["products"]) == 1:
        thing, path = event["products"][0], str(event["details"].get("path"))
        number = thing["exhibit"]
        expected = f"{number[:1]}{1 + ledger.counts.get(number[:1], 0):04d}"
        if number != expected or not PLACE.fullmatch(path) or not path.startswith(f"exhibits/{number}-"):
            result.add(DAMAGED, where, "an exhibit's number or name is off", expected, f"{number}, {path}")
        if PLACE.fullmatch(path):
            ledger.counts[number[:1]] = ledger.counts.get(number[:1], 0) + 1
            more = {"path": path, "details": event["details"], "sequence": event["sequence"]}
            ledger.entered[number] = thing | more
    elif event["action"] == "exhibit entered":
        result.add(DAMAGED, where, "an entry does not name one exhibit", 1, len(event["products"]))
    for thing in (*event["materials"], *event["products"]):
        known = ledger.entered.get(thing["exhibit"])
        if event["action"] in COMPARED:
            ledger.seen[thing["exhibit"]] = event["time"]
        if known is None or (known["digest"], known["size"]) != (thing["digest"], thing["size"]):
            expected = known["digest"] if known else "an exhibit entered before"
            result.add(DAMAGED, where, f"{thing['exhibit']} is named otherwise", expected, thing["digest"])


def _note_seal(event: Event, ledger: Ledger) -> None:
    """Take up when a seal was made: every exhibit entered before was hashed then."""
    facts = event["details"].get("facts") if event["stage"] == "seal" else event["details"]
    if event["action"] == "sealed" or (event["action"], event["stage"]) == ("item ended", "seal"):
        until = facts.get("sequence") if isinstance(facts, dict) else None
        for number, entry in ledger.entered.items():
            if type(until) is int and entry["sequence"] <= until:
                ledger.seen[number] = event["time"]


# 2. The exhibits


def _check_exhibits(folder: Path, ledger: Ledger, given: Given, result: Result) -> None:
    place = folder / "exhibits"
    if place.is_symlink() or not place.is_dir():
        result.add(DAMAGED, "exhibits/", "the folder is missing, or is none")
        return
    known = {one["path"].partition("/")[2] for one in ledger.entered.values()}
    for name in sorted(set(os.listdir(place)) - known):  # noqa: PTH208 - names alone
        if name == _entering(folder):
            result.add(INCOMPLETE, f"exhibits/{name}", "its entry was cut short; the next run completes it")
        else:
            result.add(DAMAGED, f"exhibits/{name}", "nobody entered this file")
    left = _disposed(folder, ledger, result) | (_withheld(folder, ledger, result) if given.bagged else set())
    here = {number: entry for number, entry in ledger.entered.items() if number not in left}
    unread = _checked_since(ledger, given.since, result) & here.keys()
    parts = {one: [] if one in unread else _parts(one, here[one], given, result) for one in here}
    todo = [(one, part) for one, listed in parts.items() for part in listed]
    todo.sort(key=lambda one: -one[1].length)  # the largest first, so that no processor waits for it at the end
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # hashing lets go of the interpreter's lock
        hashed = pool.map(lambda one: _hash_part(folder / here[one[0]]["path"], one[1], given), todo)
        found: dict[str, dict[Part, str | OSError]] = {one: {} for one in here}
        for (number, part), digest in zip(todo, hashed, strict=True):
            found[number][part] = digest
    for number, entry in here.items():
        _check_exhibit(folder, entry, found[number], given, result)
    for number in (one for one in here if one not in unread):
        if isinstance(here[number]["details"].get("plain"), dict):
            _check_plain(number, here[number], folder / here[number]["path"], given.identity, result)
        elif here[number]["details"].get("encryption"):
            result.notes.append(f"{number} is encrypted, and no entry tells what is in it: whoever took it was ended")
    result.exhibits = len(here) - len(unread)
    result.size = sum(int(one["size"]) for number, one in here.items() if number not in unread)


def _disposed(folder: Path, ledger: Ledger, result: Result) -> set[str]:
    """Tell which exhibits were disposed of and are gone; one that is still there is checked like any other."""
    gone = set()
    for event in (one for one in ledger.events if one["action"] == "disposed"):
        for number in (one["exhibit"] for one in event["materials"]):
            there = number in ledger.entered and os.path.lexists(folder / ledger.entered[number]["path"])
            gone |= set() if there else {number}
            words = "the file is still there" if there else "it cannot be checked any more"
            result.notes.append(f"line {event['sequence'] + 1}: {_safe(number)} was disposed of; {words}")
    return gone


def _withheld(folder: Path, ledger: Ledger, result: Result) -> set[str]:
    """Tell which exhibits the hand-off leaves out, as its entry says; one that is there is checked like any other."""
    gone = set()
    for number in sorted(_left_out(ledger) & ledger.entered.keys()):
        if not os.path.lexists(folder / ledger.entered[number]["path"]):
            gone.add(number)
            words = (
                f"{number} is left out of this bag on record, and was not checked: {ledger.entered[number]['digest']}"
            )
            result.notes.append(_safe(words))
    return gone


def _left_out(ledger: Ledger) -> set[str]:
    """Give what the last hand-off that was begun left out."""
    begun = [one["details"] for one in ledger.events if (one["action"], one["outcome"]) == ("handed off", "started")]
    named = begun[-1].get("withheld") if begun else None
    return {str(one) for one in named} if isinstance(named, list) else set()


def _checked_since(ledger: Ledger, since: str, result: Result) -> set[str]:
    """Tell which exhibits need no hashing again: their digest was compared, as recorded, since then."""
    if not since:
        return set()
    fresh = {number for number in ledger.entered if ledger.seen.get(number, "") >= since}
    for number in sorted(fresh):
        result.notes.append(f"{_safe(number)} was not hashed again: on record as compared at {ledger.seen[number]}")
    return fresh


@dataclass(frozen=True)
class Part:
    """Bytes of an exhibit that are hashed by themselves, and what was recorded of them."""

    algorithm: str
    begin: int
    length: int
    expected: str  # hex
    whole: bool = True  # all of the file, to its end wherever that is

    @property
    def words(self) -> str:
        """Name the bytes of a piece, the last included."""
        return f"bytes {self.begin} to {self.begin + self.length - 1}"


def _parts(number: str, entry: Event, given: Given, result: Result) -> list[Part]:
    """Tell what of an exhibit is to be hashed: all of it by each recorded algorithm, or its pieces."""
    size, where = int(entry["size"]), f"{number}: {entry['path']}"
    pieces = _pieces(entry)
    if entry["details"].get("pieces") and not pieces:
        result.add(DAMAGED, where, "its recorded pieces do not make up its size")
    if given.pieces and pieces:
        words = f"{number} was checked by its {len(pieces)} pieces; {entry['digest']} itself was not computed"
        result.notes.append(_safe(words))
        return pieces
    parts = []
    for digest in (entry["digest"], *([second] if (second := entry["details"].get("second_digest")) else [])):
        algorithm, _, value = str(digest).partition(":")
        if algorithm in ALGORITHMS:
            parts.append(Part(algorithm, 0, size, value))
        else:
            result.add(UNREADABLE, where, "its digest is by an algorithm that is not known here", found=algorithm)
    return parts


def _pieces(entry: Event) -> list[Part]:
    """Give the recorded pieces of a large exhibit; [] where there are none, or they leave bytes out."""
    size, step, recorded = int(entry["size"]), entry["details"].get("piece_size"), entry["details"].get("pieces")
    if type(step) is not int or step < 1 or not isinstance(recorded, list) or len(recorded) != -(-size // step):
        return []
    return [
        Part("sha256", at * step, min(step, size - at * step), str(one), whole=False) for at, one in enumerate(recorded)
    ]


def _check_exhibit(folder: Path, entry: Event, found: dict[Part, str | OSError], given: Given, result: Result) -> None:
    path, where = folder / entry["path"], f"{entry['exhibit']}: {entry['path']}"
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            result.add(DAMAGED, where, "it is no plain file", found="a symlink" if path.is_symlink() else "")
            return
        for error in (one for one in found.values() if isinstance(one, OSError)):
            raise error
    except OSError as error:
        code = DAMAGED if isinstance(error, FileNotFoundError) else UNREADABLE
        result.add(code, where, "it cannot be read", found=error.strerror or error)
        return
    if status.st_mode & 0o7377 and not given.bagged:
        result.add(DAMAGED, where, "its permissions were widened", "0400", f"{status.st_mode & 0o7777:04o}")
    if status.st_size != entry["size"]:
        result.add(DAMAGED, where, "its size is off", f"{entry['size']} bytes", f"{status.st_size} bytes")
    for part, digest in ((part, str(digest)) for part, digest in found.items() if digest != part.expected):
        words = f"its digest is off{_where_off(path, entry) if part.whole else f': {part.words}'}"
        result.add(DAMAGED, where, words, f"{part.algorithm}:{part.expected}", f"{part.algorithm}:{digest}")


def _check_plain(number: str, entry: Event, path: Path, identity: Path | None, result: Result) -> None:
    """Have age open an encrypted exhibit, and hash what comes out; without an identity that is left open, and said."""
    where, expected = f"{number}: {entry['path']}", str(entry["details"]["plain"].get("digest"))
    if identity is None or shutil.which("age") is None:
        needed = "an identity (--identity FILE)" if identity is None else "age, which is not installed"
        result.notes.append(_safe(f"{number} is encrypted: checking what is in it, {expected}, needs {needed}"))
        return
    made = hashlib.sha256()
    command = ["age", "-d", "-i", str(identity), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        while child.stdout and (chunk := child.stdout.read(BUFFER)):
            made.update(chunk)
    if child.returncode:
        result.add(UNREADABLE, where, "this identity does not open it, or it is no age file any more")
    elif f"sha256:{made.hexdigest()}" != expected:
        result.add(DAMAGED, where, "what is encrypted in it is off", expected, f"sha256:{made.hexdigest()}")


def _where_off(path: Path, entry: Event) -> str:
    """Name the pieces that are not as recorded, where pieces were."""
    pieces = _pieces(entry)
    off = [part.words for part in pieces if _hash_part(path, part, Given()) != part.expected]
    if pieces and not off:
        return ", though every piece is as recorded: its entry contradicts itself, or bytes stand behind the last"
    return f" in {len(off)} of {len(pieces)} pieces: {', '.join(off)}" if off else ""


# 3. The seals


def _check_seals(folder: Path, ledger: Ledger, given: Given, result: Result) -> None:
    place = folder / "seals"
    on_record = _recorded_seals(ledger.events)
    found = {path.name for path in place.glob("*.json")} if place.is_dir() else set()
    covered: dict[str, int] = {}
    for name in sorted(on_record.keys() | found):
        sequence = _check_seal(place, name, on_record.get(name, ""), ledger, result)
        if sequence is not None:
            covered[name] = sequence
    beside = _check_signatures(place, ledger, given, covered, result)
    beside |= _check_stamps(place, ledger, given, covered, result)
    there = set(os.listdir(place)) if place.is_dir() else set()  # noqa: PTH208 - names alone
    for name in sorted(there - found - beside):
        if BESIDE.fullmatch(name) or name == "allowed_signers":
            words = "no entry tells of it: the ledger was cut behind its seal, or someone put it there"
            result.add(DAMAGED, f"seals/{name}", words)
        else:
            result.notes.append(f"not part of a case, and not checked: seals/{_safe(name)}")


def _recorded_seals(events: list[Event]) -> dict[str, str]:
    """Give the seals that the ledger tells of, each with its digest ("" where none was recorded)."""
    named: dict[str, str] = {}
    for event in events:
        facts = event["details"].get("facts") if event["action"] == "item ended" else event["details"]
        of_stage = (event["stage"], event["action"]) == ("seal", "item ended")
        if isinstance(facts, dict) and (of_stage or event["action"] == "sealed"):
            named[Path(str(facts.get("file"))).name] = str(facts.get("digest") or "")
    return named


def _check_seal(place: Path, name: str, digest: str, ledger: Ledger, result: Result) -> int | None:
    """Check a seal against ledger and exhibits; gives the entry that it covers, when it does."""
    where = f"seals/{name}"
    try:
        content = _small(place / name)
        seal = _parse(content)
        sequence, head, listed, case = (seal[one] for one in ("sequence", "head", "exhibits", "case"))
        digests = {number: one["digest"] for number, one in ledger.entered.items()}
        off = [one["exhibit"] for one in listed if digests.get(one["exhibit"]) != one["digest"]]
        known = ledger.heads[sequence] if 0 <= sequence < len(ledger.heads) else "no such entry"
    except _CONFUSED as error:
        result.add(DAMAGED, where, "the seal cannot be read", found=error)
        return None
    if digest and digest != _digest(content):
        result.add(DAMAGED, where, "the seal is not the one on record", digest, _digest(content))
    if known != head or ledger.case != case:
        result.add(DAMAGED, where, f"entry {sequence} is not the one that was sealed", head, known)
        return None
    for number in off:
        result.add(DAMAGED, where, f"{number} was sealed with another digest")
    return int(sequence)


def _check_signatures(place: Path, ledger: Ledger, given: Given, covered: dict[str, int], result: Result) -> set[str]:
    """Check every signature on record; gives the names of their files."""
    signed = [one for one in ledger.events if (one["action"], one["outcome"]) == ("signed", "finished")]
    names = {"allowed_signers"} if signed else set()
    listed = _check_signers(place, signed, result) or given.signers is not None
    for event in signed:
        facts = event["details"]
        name, where = str(facts.get("file")), f"seals/{facts.get('file')}"
        names.add(name)
        recorded = str(facts.get("signature")).encode("ascii", "replace")
        if not _same_file(place, name, recorded, str(facts.get("digest")), result) or not listed:
            continue
        try:
            seal = _small(place / Path(str(facts.get("seal"))).name)
        except (OSError, ValueError) as error:
            result.add(DAMAGED, where, "what it signs cannot be read", found=error)
            continue
        signers = (str(place / "allowed_signers"), given.signers)
        why, code = _signature(str(place / name), seal, str(facts.get("principal")), signers, NAMESPACE)
        if why:
            result.add(code, where, "the signature does not hold", f"{facts.get('fingerprint')}", why)
        elif str(facts.get("seal")) in covered:
            entry = covered[str(facts.get("seal"))]
            by = f"{facts.get('principal')} ({facts.get('role')}), key {facts.get('fingerprint')}"
            result.anchors.append(_safe(f"entry {entry} was signed by {by}"))
    return names


def _check_signers(place: Path, signed: list[Event], result: Result) -> bool:
    """Hold the list of signers against the ledger; without it no signature is taken."""
    people = {str(one["details"].get("public")): str(one["details"].get("principal")) for one in signed}
    text = "".join(_allow(principal, public) for public, principal in people.items()).encode("ascii", "replace")
    try:
        found = _small(place / "allowed_signers")
    except (OSError, ValueError):
        found = text  # what is the matter with it is said below
    if found != text and found.endswith(b"\n") and text.startswith(found):
        words = "signers on record are missing in it; `forensics seal` writes it again"
        result.add(INCOMPLETE, "seals/allowed_signers", words)
        return False
    return not signed or _same_file(place, "allowed_signers", text, "", result)


def _allow(principal: str, public: str) -> str:
    return f'{principal} namespaces="{NAMESPACE},{RECEIPT}" {" ".join(public.split()[:2])}\n'


def _same_file(place: Path, name: str, content: bytes, digest: str, result: Result) -> bool:
    """Hold a file beside a seal against the bytes in its entry."""
    where = f"seals/{name}"
    if digest and digest != _digest(content):
        result.add(DAMAGED, where, "its entry contradicts itself", digest, _digest(content))
        return False
    try:
        found = _small(place / Path(name).name)
    except FileNotFoundError:
        result.add(INCOMPLETE, where, "it is on record, and its file is missing; `forensics seal` writes it again")
        return False
    except (OSError, ValueError) as error:
        result.add(UNREADABLE, where, "it cannot be read", found=error)
        return False
    if found != content:
        result.add(DAMAGED, where, "it is not the one on record", _digest(content), _digest(found))
    return found == content


def _signature(  # noqa: PLR0917 - all that ssh-keygen is told
    signature: str,
    content: bytes,
    principal: str,
    allowed: tuple[str, Path | None],  # the case's own list, and the auditor's
    namespace: str,
    held: tuple[int, ...] = (),
) -> tuple[str, int]:
    """Ask ssh-keygen whether a signature holds; gives why not, and what that is worth."""
    own, theirs = allowed
    signers = str(theirs or own)
    if theirs:
        code, said = _tool(["ssh-keygen", "-Y", "find-principals", "-s", signature, "-f", signers], held=held)
        if code:
            return (said or "none of the signers that you gave"), UNREADABLE if code < 0 else DAMAGED
        principal = said.splitlines()[0]
    words = ["ssh-keygen", "-Y", "verify", "-f", signers, "-I", principal, "-n", namespace, "-s", signature]
    code, said = _tool(words, content, held)
    return ("" if code == 0 else said or "no reason told"), UNREADABLE if code < 0 else DAMAGED


def _check_stamps(place: Path, ledger: Ledger, given: Given, covered: dict[str, int], result: Result) -> set[str]:
    """Check every time stamp on record; gives the names of their files."""
    names = set()
    for event in (one for one in ledger.events if (one["action"], one["outcome"]) == ("time stamped", "finished")):
        facts = event["details"]
        name, roots = str(facts.get("file")), str(facts.get("roots_file"))
        names |= {name, roots}
        try:
            response = base64.b64decode(str(facts.get("response")), validate=True)
        except ValueError as error:
            result.add(DAMAGED, _line(event), "a time stamp cannot be read", found=error)
            continue
        same = _same_file(place, name, response, str(facts.get("digest")), result)
        held = str(facts.get("roots")).encode("ascii", "replace")
        if not _same_file(place, roots, held, str(facts.get("roots_digest")), result) or not same:
            continue
        seal = place / Path(str(facts.get("seal"))).name
        _judge_stamp(seal, place / name, given.roots or place / roots, str(facts.get("time")), result, f"seals/{name}")
        if seal.name in covered and not any(one.where == f"seals/{name}" for one in result.problems):
            result.stamped = max(result.stamped, covered[seal.name])
            whose = "roots that you gave" if given.roots else f"roots in the case, seals/{roots}"
            at = f"entry {covered[seal.name]} existed at {facts.get('time')}"
            result.anchors.append(_safe(f"{at}, says {facts.get('authority')} ({whose})"))
    return names


def _judge_stamp(data: Path, stamp: Path, roots: Path, said: str, result: Result, where: str) -> None:  # noqa: PLR0917
    """Ask openssl whether a time stamp holds for the moment that it names."""
    code, text = _tool(["openssl", "ts", "-reply", "-in", str(stamp), "-text"])
    found = re.search(r"Time stamp: (\w{3} +\d+ \d\d:\d\d:\d\d)(?:\.\d+)?( \d{4}) GMT", text)
    if code or not found:
        result.add(UNREADABLE if code < 0 else DAMAGED, where, "the time stamp cannot be read", found=text)
        return
    at = datetime.strptime(found[1] + found[2], "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
    moment = at.strftime("%Y-%m-%dT%H:%M:%SZ")
    if said != moment:
        result.add(DAMAGED, where, "the time stamp names another time than is on record", said, moment)
    words = ["openssl", "ts", "-verify", "-data", str(data), "-in", str(stamp), "-CAfile", str(roots)]
    code, text = _tool([*words, "-attime", str(int(at.timestamp()))])
    if code:
        lines = [one for one in text.splitlines() if "error" in one.lower()] or [text]
        result.add(UNREADABLE if code < 0 else DAMAGED, where, "the time stamp does not hold", found=lines[-1])


def _check_receipts(ledger: Ledger, given: Given, result: Result) -> None:
    """Check each recipient's receipt, which stands whole in its entry: whose it is, and which entry it names."""
    for event in (one for one in ledger.events if one["action"] == "received"):
        facts, where = event["details"], _line(event)
        content, who = str(facts.get("receipt")).encode("utf-8", "replace"), str(facts.get("to"))
        public = str(facts.get("public"))
        try:
            told = json.loads(content, object_pairs_hook=_once)
            same = (told["case"], told["head"], told["name"]) == (ledger.case, facts.get("head"), who)
        except _CONFUSED:
            same = False
        if not same or facts.get("head") not in ledger.heads:
            result.add(DAMAGED, where, "the receipt is not of this case, or of no entry of it", facts.get("head"))
            continue
        why, code = _receipt_signature(content, str(facts.get("signature")), public, given)
        if why:
            result.add(code, where, "the receipt's signature does not hold", who, why)
        else:
            at = ledger.heads.index(facts["head"])
            result.anchors.append(_safe(f"entry {at} was received by {who}, key {facts.get('fingerprint')}"))


def _receipt_signature(content: bytes, armoured: str, public: str, given: Given) -> tuple[str, int]:
    """Ask ssh-keygen about a signature that is no file; nothing is written for it, but in memory."""
    if not hasattr(os, "memfd_create"):
        return "this check needs Linux", UNREADABLE
    held = []
    for text in (armoured, _allow("recipient", public)):
        held.append(os.memfd_create("check"))
        os.write(held[-1], text.encode("ascii", "replace"))
    signature, own = (f"/proc/self/fd/{one}" for one in held)
    try:
        return _signature(signature, content, "recipient", (own, given.signers), RECEIPT, tuple(held))
    finally:
        for one in held:
            os.close(one)


# 4. Reports, and what was begun


def _check_reports(ledger: Ledger, result: Result) -> None:
    for number, entry in ledger.entered.items():
        facts = entry["details"].get("facts")
        if entry["details"].get("kind") != "report" or not isinstance(facts, dict):
            continue
        as_of, head = facts.get("as_of"), facts.get("head")
        known = ledger.heads[as_of] if type(as_of) is int and 0 <= as_of < len(ledger.heads) else "no such entry"
        if known != head:
            where = f"{number}: {entry['path']}"
            result.add(DAMAGED, where, f"it is as of entry {as_of}, which is another", head, known)


def _check_ends(events: list[Event], result: Result) -> None:
    begun: dict[tuple[str, str], int] = {}
    changes: dict[int, str] = {}
    for event in events:
        key = (event["target"], event["stage"])
        if event["action"] == "stage started":
            begun[key] = event["sequence"]
        elif event["action"] == "stage ended":
            begun.pop(key, None)
        elif event["action"] == "change intended":
            changes[event["sequence"]] = f"{event['details'].get('kind')} {event['details'].get('subject')}"
        elif event["action"] == "change restored" and event["details"].get("proven") is True:
            changes.pop(event["details"].get("intent"), None)
    for (target, stage), sequence in begun.items():
        words = f"{stage} of {target or 'the case'} was started and has no end: it runs, or was ended from outside"
        result.add(INCOMPLETE, f"custody.jsonl, line {sequence + 1}", words)
    for sequence, words in changes.items():
        result.notes.append(_safe(f"line {sequence + 1}: put on the target, and not proven gone: {words}"))
    result.notes += _unanswered(events)


def _unanswered(events: list[Event]) -> list[str]:
    given: dict[int, str] = {}
    for event in (one for one in events if one["action"] in {"transferred", "handed off", "received"}):
        facts = event["details"]
        if facts.get("side") == "given" or (event["action"], event["outcome"]) == ("handed off", "started"):
            given[event["sequence"]] = str(facts.get("to"))
        elif event["action"] != "handed off" or event["outcome"] not in {"finished", "recovered"}:
            given.pop(facts.get("answers"), None)  # it was acknowledged, or came to nothing
    return [_safe(f"line {at + 1}: handed over, and not acknowledged by {to}") for at, to in given.items()]


def _check_head(ledger: Ledger, head: str, result: Result) -> None:
    if head and head not in ledger.heads:
        result.add(DAMAGED, "custody.jsonl", "the entry kept elsewhere is not in the ledger", head, result.head)
    result.anchored = bool(head)
    behind = result.entries - 1 - result.stamped
    if result.stamped >= 0 and behind and not head:
        words = f"the last {behind} entries stand behind the last time stamp: that more stood there cannot be excluded"
        result.notes.append(words)


# 5. A bag


def _verify_bag(folder: Path, given: Given, result: Result) -> None:
    result.kind = "bag"
    there = _bagged_files(folder, result)
    digests = _check_manifests(folder, there, result)
    try:
        handed = _parse(_small(folder / HANDED))
        number, redacted = str(handed["number"]), {"whole": False, "redacted": True}[handed["variant"]]
    except _CONFUSED as error:
        result.add(DAMAGED, HANDED, "what this bag is cannot be read", found=error)
        return
    _check_bag_signature(folder, handed, given, result)
    if redacted:
        words = "a redacted variant: neither ledger nor exhibits are in it, so that nothing of them was checked"
        result.notes.append(words)
        _check_redactions(folder, digests, result)
        return
    if not CASE_NUMBER.fullmatch(number):
        result.add(DAMAGED, HANDED, "it names no case", found=number)
        return
    ledger = _verify_case(folder / "data" / number, replace(given, bagged=True, hashed=digests), result)
    if result.entries:
        _check_handed(folder, handed, ledger, digests, result)


def _bagged_files(folder: Path, result: Result) -> set[str]:
    """Give the plain files of a bag; anything else, and a folder with nothing in it, is a problem."""
    there: set[str] = set()
    for at, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(at, name)
            shown = path.relative_to(folder).as_posix()
            kind = path.lstat().st_mode
            if stat.S_ISLNK(kind) or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                found = "a symlink" if path.is_symlink() else ""
                result.add(DAMAGED, shown, "a bag holds plain files only", found=found)
            elif stat.S_ISREG(kind):
                there.add(shown)
            elif not any(path.iterdir()):
                result.add(DAMAGED, shown, "no manifest can list this folder: nothing is in it")
    return there


def _check_manifests(folder: Path, there: set[str], result: Result) -> dict[Path, str]:
    """Hold every file against both lists; gives the SHA-256 of each."""
    if "fetch.txt" in there:
        result.add(DAMAGED, "fetch.txt", "a bag of ours is whole, and fetches nothing")
    for name in sorted(TAGS - there):
        result.add(DAMAGED, name, "a bag has this file, and it is missing")
    hashed = _hash_both(folder, there, result)
    if "bagit.txt" in there and hashed["bagit.txt"][0] != hashlib.sha256(DECLARED).hexdigest():
        result.add(DAMAGED, "bagit.txt", "it does not declare BagIt 1.0 in UTF-8 and nothing else")
    listed: set[str] = {"fetch.txt", "tagmanifest-sha256.txt", "tagmanifest-sha512.txt"}
    for part, kind in (("", "payload"), ("tag", "tag")):
        short, long = (_manifest(folder, f"{part}manifest-sha{bits}.txt", there, result) for bits in (256, 512))
        listed |= _compare(f"{part}manifest-sha", short, long, hashed, result)
        for path in sorted(short.keys() | long.keys()):
            if path.startswith("data/") != (kind == "payload"):
                result.add(DAMAGED, _safe(path), f"it stands in a list of {kind} files, and is none")
    for path in sorted(there - listed):
        result.add(DAMAGED, path, "no manifest lists it: it was added")
    _check_names(there, result)
    return {folder / path: f"sha256:{one[0]}" for path, one in hashed.items() if one[0]}


def _check_names(there: set[str], result: Result) -> None:
    """Find what no bag of ours has, and names of which a disk that tells no case apart would keep one."""
    alike = Counter(path.lower() for path in there)
    for path in sorted(there):
        if not LAYOUT.fullmatch(path):
            result.add(DAMAGED, path, "nothing of this name belongs into a bag")
        if alike[path.lower()] > 1:
            result.add(DAMAGED, path, "another file has this name but for the case of letters: some disks keep one")


def _compare(
    name: str, short: dict[str, str], long: dict[str, str], hashed: dict[str, tuple[str, str]], result: Result
) -> set[str]:
    """Hold the two lists of one kind against each other and against the files; gives what either lists."""
    for path in sorted(short.keys() | long.keys()):
        if path not in short or path not in long:
            has, lacks = (256, 512) if path in short else (512, 256)
            result.add(DAMAGED, path, f"the manifests disagree: {name}{has}.txt lists it, {name}{lacks}.txt does not")
        if path not in hashed:
            result.add(DAMAGED, path, "it is listed, and missing")
        if not any(hashed.get(path, ())):
            continue  # missing, or said to be unreadable
        pairs = zip((short, long), hashed[path], strict=True)
        holds = [path not in one or one[path] == digest for one, digest in pairs]
        if not any(holds) or (False in holds and not (path in short and path in long)):
            expected, found = short.get(path) or long.get(path, ""), hashed[path][path not in short]
            result.add(DAMAGED, path, "its digest is off", expected, found)
        elif False in holds:
            good, bad = ("SHA-256", "SHA-512") if holds[0] else ("SHA-512", "SHA-256")
            result.add(DAMAGED, path, f"the manifests disagree: its {good} is as listed, its {bad} is not")
    return short.keys() | long.keys()


def _manifest(folder: Path, name: str, there: set[str], result: Result) -> dict[str, str]:
    found: dict[str, str] = {}
    if name not in there:
        return found
    digits = 128 if "512" in name else 64
    try:
        text = _small(folder / name).decode("utf-8", "backslashreplace")
    except _CONFUSED as error:
        result.add(UNREADABLE, name, "it cannot be read", found=error)
        return found
    for number, line in enumerate(text.removesuffix("\n").split("\n"), 1):
        match = re.fullmatch(rf"([0-9a-f]{{{digits}}})  (\S+)", line)
        if match is None or match[2] in found or ".." in match[2].split("/"):
            result.add(DAMAGED, f"{name}, line {number}", "it does not list one file, once, inside the bag", found=line)
        else:
            found[match[2]] = match[1]
    if list(found) != sorted(found) or not text.endswith("\n"):  # so that no byte of it can be another
        result.add(DAMAGED, name, "its lines are not in their order, or do not end")
    return found


def _hash_both(folder: Path, there: set[str], result: Result) -> dict[str, tuple[str, str]]:
    """Give SHA-256 and SHA-512 of each file, read once."""

    def both(name: str) -> tuple[str, str] | OSError:
        short, long = hashlib.sha256(), hashlib.sha512()
        try:
            with os.fdopen(_open(folder / name), "rb", buffering=0) as file:
                while chunk := file.read(1 << 20):
                    short.update(chunk)
                    long.update(chunk)
        except OSError as error:
            return error
        return short.hexdigest(), long.hexdigest()

    names = sorted(there, key=lambda name: -(folder / name).lstat().st_size)
    hashed: dict[str, tuple[str, str]] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for name, one in zip(names, pool.map(both, names), strict=True):
            if isinstance(one, OSError):
                result.add(UNREADABLE, name, "it cannot be read", found=one.strerror or one)
                hashed[name] = ("", "")
            else:
                hashed[name] = one
    return hashed


def _check_bag_signature(folder: Path, handed: Event, given: Given, result: Result) -> None:
    """Ask ssh-keygen whether the list of the payload is signed, as the bag says that it is."""
    name, who = f"{SIGNED}.sig", handed.get("principal")
    if not os.path.lexists(folder / name):
        if who:
            result.add(DAMAGED, name, "the bag was signed, and its signature is missing", f"by {who}")
        else:
            result.notes.append("the bag's own lists are not signed: whoever held it could have made them anew")
        return
    signers = (str(folder / "data" / "allowed_signers"), given.signers)
    try:
        why, code = _signature(str(folder / name), _small(folder / SIGNED), str(who), signers, BAG)
    except OSError as error:
        why, code = str(error), DAMAGED
    if why:
        result.add(code, name, "the signature over the payload does not hold", f"by {who}", why)
    else:
        result.anchors.append(_safe(f"the bag's payload was signed by {who}, key {handed.get('fingerprint')}"))


def _check_redactions(folder: Path, digests: dict[Path, str], result: Result) -> None:
    """Hold each file of a redacted variant against its line in the log."""
    where = "data/redactions.json"
    try:
        log = _parse(_small(folder / where))
        after = {str(one["path"]): str(one["after"]) for one in log["files"]}
    except _CONFUSED as error:
        result.add(DAMAGED, where, "the log of the redaction cannot be read", found=error)
        return
    for path, digest in sorted(after.items()):
        if digests.get(folder / path) != digest:
            found = digests.get(folder / path, "no file")
            result.add(DAMAGED, path, "it is not what the redaction left", digest, found)


def _check_handed(folder: Path, handed: Event, ledger: Ledger, digests: dict[Path, str], result: Result) -> None:
    """Hold what the bag says of itself against the ledger in it: case, length, what was left out, reports."""
    told = {name: handed.get(name) for name in ("case", "entries", "head")}
    found = {"case": ledger.case, "entries": result.entries, "head": result.head}
    if told["case"] != ledger.case:
        result.add(DAMAGED, HANDED, "the bag was made of another case than is in it", told["case"], ledger.case)
    elif told != found:
        result.add(DAMAGED, HANDED, "the ledger moved on since this bag was made, or was cut", told, found)
    at = handed.get("entry")
    entry = next((one for one in ledger.events if (one["sequence"], one["action"]) == (at, "handed off")), None)
    if entry is None or entry["digest"] != handed.get("entry_digest"):
        words = f"entry {at} is not the hand-off that this bag tells of"
        result.add(DAMAGED, HANDED, words, handed.get("entry_digest"))
    elif entry["details"].get("withheld") != handed.get("withheld"):
        words = "what it says was left out is not what stands in the ledger"
        result.add(DAMAGED, HANDED, words, entry["details"].get("withheld"), handed.get("withheld"))
    _check_copies(folder, handed, ledger, digests, result)


def _check_copies(folder: Path, handed: Event, ledger: Ledger, digests: dict[Path, str], result: Result) -> None:
    """Hold the reports beside the case against those that its ledger entered as of the same entry."""
    facts = {one["digest"]: one["details"].get("facts") for one in ledger.entered.values()
             if one["details"].get("kind") == "report"}  # fmt: skip
    told = {"as_of": handed.get("as_of"), "head": handed.get("as_of_head")}
    for path in sorted(one for one in digests if one.parent == folder / "data" / "report"):
        where = path.relative_to(folder).as_posix()
        known = facts.get(digests[path])
        if not isinstance(known, dict):
            words = "no entry of the ledger tells of this report: it is of another case, or another state of this one"
            result.add(DAMAGED, where, words, found=digests[path])
        elif {"as_of": known.get("as_of"), "head": known.get("head")} != told:
            result.add(DAMAGED, where, "this report is as of another entry than the bag says", told, known)


# 6. A report


class Reference(int):
    """The number of an object that stands elsewhere in the file."""


@dataclass
class Stream:
    """A dictionary with bytes behind it."""

    about: dict[str, Any]
    raw: bytes


@dataclass
class Pdf:
    """A PDF with cross-reference streams, as our printer and pyHanko write it; the newest revision of each object."""

    content: bytes
    places: dict[int, tuple[int, int, int]] = field(default_factory=dict)  # kind, offset or container, index
    trailer: dict[str, Any] = field(default_factory=dict)
    revisions: int = 0

    def find(self, *names: str) -> Any:
        """Follow names from the trailer on; None where one is missing."""
        value: Any = self.trailer
        for name in names:
            value = self.at(value.get(name)) if isinstance(value, dict) else None
        return value

    def at(self, value: Any) -> Any:
        """Give what a reference leads to; anything else is given as it is."""
        if not isinstance(value, Reference):
            return value
        kind, offset, index = self.places.get(value, (0, 0, 0))
        if kind == 1:
            return _pdf_object(self, offset, int(value))
        if kind == 2:
            container = _pdf_object(self, self.places[offset][1], offset)
            data = _pdf_bytes(self, container)
            heads = data[: container.about["First"]].split()
            return _pdf_value(data, container.about["First"] + int(heads[2 * index + 1]))[0]
        return None


_PDF_SPACE = re.compile(rb"(?:[\0\t\n\f\r ]|%[^\r\n]*)*")
_PDF_REFERENCE = re.compile(rb"(\d{1,9})[\0\t\n\f\r ]+\d{1,5}[\0\t\n\f\r ]+R(?![A-Za-z])")
_PDF_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)")
_PDF_NAME = re.compile(rb"/([^\0\t\n\f\r ()<>\[\]{}/%]*)")
_PDF_HEX = re.compile(rb"<([0-9A-Fa-f\0\t\n\f\r ]*)>")
_PDF_STRING = re.compile(rb"\(((?:[^()\\]|\\.)*)\)", re.DOTALL)
_PDF_ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_PDF_WORD = re.compile(rb"true|false|null")
_PDF_DEPTH = 60
UNPACKED = 1 << 29  # bytes of one stream


def _pdf_skip(data: bytes, at: int) -> int:
    found = _PDF_SPACE.match(data, at)
    return found.end() if found else at


def _pdf_value(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """Read one object of PDF's syntax (ISO 32000-1, 7.3), and where it ends."""
    at = _pdf_skip(data, at)
    if depth > _PDF_DEPTH:
        raise ValueError("objects are nested too deep")
    if data.startswith(b"<<", at):
        items, at = _pdf_items(data, at + 2, b">>", depth)
        return {name[1:]: value for name, value in zip(items[::2], items[1::2], strict=True)}, at
    if data.startswith(b"[", at):
        return _pdf_items(data, at + 1, b"]", depth)
    for shape, make in _PDF_ATOMS:
        if found := shape.match(data, at):
            return make(found), found.end()
    raise ValueError(f"no object stands at byte {at}")


def _pdf_hex(found: re.Match[bytes]) -> bytes:
    digits = b"".join(found[1].split()).decode("ascii")
    return bytes.fromhex(digits + "0" * (len(digits) % 2))


def _pdf_escaped(found: re.Match[bytes]) -> bytes:
    plain = found[1].isdigit()
    return bytes([int(found[1], 8) & 255]) if plain else {b"n": b"\n", b"r": b"\r", b"t": b"\t"}.get(found[1], found[1])


_PDF_ATOMS: tuple[tuple[re.Pattern[bytes], Callable[[re.Match[bytes]], Any]], ...] = (
    (_PDF_HEX, _pdf_hex),
    (_PDF_STRING, lambda one: _PDF_ESCAPED.sub(_pdf_escaped, one[1])),
    (_PDF_REFERENCE, lambda one: Reference(one[1])),
    (_PDF_NUMBER, lambda one: float(one[0]) if b"." in one[0] else int(one[0])),
    (_PDF_NAME, lambda one: "/" + one[1].decode("latin-1")),
    (_PDF_WORD, lambda one: {b"true": True, b"false": False}.get(one[0])),
)


def _pdf_items(data: bytes, at: int, end: bytes, depth: int) -> tuple[list[Any], int]:
    """Read objects until the mark that ends an array or a dictionary."""
    made: list[Any] = []
    while not data.startswith(end, at := _pdf_skip(data, at)):
        value, at = _pdf_value(data, at, depth + 1)
        made.append(value)
    return made, at + len(end)


def _pdf_object(pdf: Pdf, offset: int, number: int) -> Any:
    head = re.compile(rb"\s*(\d+)\s+\d+\s+obj\b").match(pdf.content, offset)
    if head is None or int(head[1]) != number:
        raise ValueError(f"object {number} is not where it is said to be")
    value, at = _pdf_value(pdf.content, head.end())
    begin = re.compile(rb"\s*stream\r?\n").match(pdf.content, at)
    if begin is None or not isinstance(value, dict):
        return value
    length = pdf.at(value.get("Length"))
    if type(length) is not int or not 0 <= length <= len(pdf.content) - begin.end():
        raise ValueError(f"the stream of object {number} has no length")
    return Stream(value, pdf.content[begin.end() : begin.end() + length])


def _pdf_bytes(pdf: Pdf, stream: Any) -> bytes:
    if not isinstance(stream, Stream):
        raise TypeError("there is no stream")
    packed = pdf.at(stream.about.get("Filter"))
    if packed in {None, "/Crypt"}:
        return stream.raw
    if packed not in ("/FlateDecode", ["/FlateDecode"]) or stream.about.get("DecodeParms"):
        raise ValueError(f"a stream is packed otherwise than this program packs: {packed}")
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(stream.raw, UNPACKED)
    if unpacker.unconsumed_tail or not unpacker.eof:
        raise ValueError("a stream cannot be unpacked whole")
    return data


def _pdf_open(content: bytes) -> Pdf:
    """Read the cross-reference streams from the newest revision back to the first."""
    pdf = Pdf(content)
    found = re.compile(rb"startxref\s+(\d+)\s").match(content, content.rfind(b"startxref"))
    offset: Any = int(found[1]) if found else None
    while type(offset) is int and pdf.revisions < 64:
        pdf.revisions += 1
        head = re.compile(rb"\s*(\d+)\s").match(content, offset)
        table = _pdf_object(pdf, offset, int(head[1]) if head else -1)
        if not isinstance(table, Stream):
            raise TypeError("its cross-references are not a stream, as this program writes them")
        pdf.trailer = pdf.trailer or table.about
        for number, place in _pdf_places(table.about, _pdf_bytes(pdf, table)):
            pdf.places.setdefault(number, place)
        offset = table.about.get("Prev")
    if not pdf.trailer:
        raise ValueError("it has no cross-references")
    return pdf


def _pdf_places(about: dict[str, Any], data: bytes) -> list[tuple[int, tuple[int, int, int]]]:
    widths = about["W"]
    spans = about.get("Index") or [0, about["Size"]]
    numbers = itertools.chain.from_iterable(range(a, a + n) for a, n in zip(spans[::2], spans[1::2], strict=True))
    ends = [0, *itertools.accumulate(widths)]
    places = []
    for number, at in zip(numbers, range(0, len(data) - ends[3] + 1, max(1, ends[3])), strict=False):
        parts = [data[at + begin : at + end] for begin, end in itertools.pairwise(ends)]
        first, second, third = (int.from_bytes(part, "big") if part else 1 for part in parts)
        places.append((number, (first, second, third)))
    return places


def _pdf_attachments(pdf: Pdf) -> dict[str, bytes]:
    listed = pdf.find("Root", "Names", "EmbeddedFiles", "Names")
    if not isinstance(listed, list):
        return {}
    files = {}
    for reference in listed[1::2]:
        about = pdf.at(reference)
        name = pdf.at(about["F"]).decode("utf-8", "backslashreplace")
        files[name] = _pdf_bytes(pdf, pdf.at(pdf.at(about["EF"])["F"]))
    return files


def _verify_pdf(path: Path, given: Given, result: Result) -> None:
    result.kind = "report"
    content = b""
    try:
        with os.fdopen(_open(path), "rb") as file:
            content = file.read(UNPACKED)
        pdf = _pdf_open(content)
        files = _pdf_attachments(pdf)
        _check_report(path, pdf, files, given, result)
        _check_signature(path, pdf, content, files, result)
    except _CONFUSED as error:
        result.add(UNREADABLE, path.name, "it cannot be read as a report of this program", found=error)
        for whole in _PDF_RANGE.finditer(content):  # a signature may still tell that its bytes were changed
            _check_digest(path, content, (int(whole[1]), int(whole[2]), int(whole[2]) + int(whole[3])), result)


def _check_report(path: Path, pdf: Pdf, files: dict[str, bytes], given: Given, result: Result) -> None:
    """Hold what is attached against what the report says of itself."""
    about = json.loads(files["report.json"])
    named, as_of, head = dict(about["attached"]), about["as_of"], str(about["head"])
    subject = str(pdf.find("Info", "Subject"), "latin-1")
    result.exhibits, result.size = len(files), sum(map(len, files.values()))
    _check_attached(files, named, result)
    ledger = _read_lines(io.BytesIO(files.get("custody.jsonl", b"")), result)
    known = ledger.heads[as_of] if type(as_of) is int and 0 <= as_of < len(ledger.heads) else "no such entry"
    if known != head or as_of != len(ledger.heads) - 1:
        result.add(DAMAGED, "custody.jsonl", f"the report is as of entry {as_of}, which is another", head, known)
    if subject != f"As of ledger entry {as_of}, {head}":
        result.add(DAMAGED, path.name, "it says of itself that it is as of another entry", head, subject)
    _check_manifest(files.get("exhibits.json", b""), ledger, result)
    _check_head(ledger, given.head, result)


def _check_attached(files: dict[str, bytes], named: dict[str, Any], result: Result) -> None:
    for name in sorted(named.keys() | files.keys() - {"report.json"}):
        where = f"attachment {name}"
        if name not in files:
            result.add(DAMAGED, where, "it is not in the report any more", named[name]["digest"])
        elif name not in named:
            result.add(DAMAGED, where, "nobody put it into the report", found=_digest(files[name]))
        elif _digest(files[name]) != named[name]["digest"]:
            result.add(DAMAGED, where, "it is another than was attached", named[name]["digest"], _digest(files[name]))


def _check_manifest(content: bytes, ledger: Ledger, result: Result) -> None:
    """Hold the list of exhibits against what the ledger entered."""
    try:
        listed = {one["number"]: (one["digest"], one["size"], one["path"]) for one in json.loads(content or b"[]")}
    except _CONFUSED as error:
        result.add(DAMAGED, "attachment exhibits.json", "the list of exhibits cannot be read", found=error)
        return
    entered = {number: (one["digest"], one["size"], one["path"]) for number, one in ledger.entered.items()}
    for number in sorted(listed.keys() | entered.keys()):
        one, other = entered.get(number, "not entered"), listed.get(number, "not listed")
        if one != other:
            result.add(DAMAGED, "attachment exhibits.json", f"{number} is listed otherwise than entered", one, other)


_PDF_DIGEST = re.compile(rb"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04\x31\x22\x04\x20(.{32})", re.DOTALL)


_PDF_RANGE = re.compile(rb"/ByteRange\s*\[\s*0\s+(\d+)\s+(\d+)\s+(\d+)\s*\]")


def _check_signature(path: Path, pdf: Pdf, content: bytes, files: dict[str, bytes], result: Result) -> None:
    """Look whether the signature covers the whole file as it stands; pdfsig tells whether it is good."""
    signatures = [pdf.at(pdf.at(one).get("V")) for one in pdf.find("Root", "AcroForm", "Fields") or ()]
    if len(signatures) > 1:
        result.add(DAMAGED, path.name, "it has several signatures; we put one on a report", 1, len(signatures))
    if not signatures:
        _check_unsigned(path, pdf, content, result)
        return
    whole = signatures[0].get("ByteRange") if isinstance(signatures[0], dict) else None
    if not isinstance(whole, list) or len(whole) != 4 or any(type(one) is not int for one in whole):
        result.add(DAMAGED, path.name, "the signature was removed: its field is empty")
        return
    _, gap, behind, length = whole
    end = behind + length
    if whole[0] != 0 or not 0 < gap < behind <= end or not _PDF_HEX.fullmatch(content[gap:behind]):
        words = "the signature does not begin with the file, or leaves out more than itself"
        result.add(DAMAGED, path.name, words, found=whole)
        return
    if end > len(content):
        words = "the file was cut short behind its signature"
        result.add(DAMAGED, path.name, words, f"{end} bytes", f"{len(content)} bytes")
    elif end < len(content):
        _check_behind(path, content, end, files, result)
    _check_digest(path, content, (gap, behind, end), result)
    _ask_pdfsig(path, result)


def _check_unsigned(path: Path, pdf: Pdf, content: bytes, result: Result) -> None:
    if path.stem.endswith("-signed"):
        result.add(DAMAGED, path.name, "the signature was removed: it is called signed, and there is none in it")
    if pdf.revisions > 1:
        result.add(DAMAGED, path.name, "a further revision was added after it was made", 1, pdf.revisions)
    if not re.search(rb"startxref\s+\d+\s+%%EOF\s?\Z", content):
        result.add(DAMAGED, path.name, "bytes were appended behind its end")
    words = "it is not signed: nothing in the file shows who made it; its own digest stands in the case's ledger"
    result.notes.append(words)


def _check_behind(path: Path, content: bytes, end: int, files: dict[str, bytes], result: Result) -> None:
    """Say what stands behind the signed bytes: a revision, and what it changes, or bytes that are nothing."""
    added = len(content) - end
    if b"startxref" not in content[end:]:
        result.add(DAMAGED, path.name, "bytes were appended behind what was signed", "none", f"{added} bytes")
        return
    result.add(DAMAGED, path.name, "a further revision was added after the signature", "none", f"{added} bytes")
    try:
        signed = _pdf_attachments(_pdf_open(content[:end]))
    except _CONFUSED as error:
        result.add(DAMAGED, path.name, "what was signed cannot be read", found=error)
        return
    for name in sorted(signed.keys() | files.keys()):
        if signed.get(name) != files.get(name):
            one, other = (_digest(held[name]) if name in held else "none" for held in (signed, files))
            result.add(DAMAGED, f"attachment {name}", "the further revision swapped it", one, other)


def _check_digest(path: Path, content: bytes, at: tuple[int, int, int], result: Result) -> None:
    """Compare the signed bytes with the digest that the signature holds (CMS, messageDigest)."""
    gap, behind, end = at
    place = _PDF_HEX.fullmatch(content, gap, behind)
    held = _pdf_hex(place) if place else b""
    found = _PDF_DIGEST.search(held)
    now = hashlib.sha256(content[:gap] + content[behind:end]).hexdigest()
    if found is None:
        result.add(UNREADABLE, path.name, "the signature names no SHA-256 of what it signs")
    elif found[1].hex() != now:
        result.add(DAMAGED, path.name, "the signed bytes were changed", f"sha256:{found[1].hex()}", f"sha256:{now}")
    whole = 4 + int.from_bytes(held[2:4], "big")  # a sequence in DER whose length has two bytes
    written = content[gap + 1 : behind - 1] == held.hex().upper().encode("ascii")
    if not written or held[:2] != b"\x30\x82" or held[whole:].strip(b"\0"):
        result.add(DAMAGED, path.name, "something stands in the signature's place that is none")


def _ask_pdfsig(path: Path, result: Result) -> None:
    """Have poppler judge: `Signature is Valid` alone is not enough, for it says so of a file that was added to."""
    code, text = _tool(["pdfsig", "-nocert", str(path)])
    if code < 0:
        result.add(UNREADABLE, path.name, "who signed was not checked", found=text)
        return
    if "Signature is Valid" not in text:
        told = re.search(r"Signature Validation: (.*)", text)
        result.add(DAMAGED, path.name, "pdfsig does not find the signature good", found=told[1] if told else text)
    if "Total document signed" not in text or "Not total document signed" in text:
        result.add(DAMAGED, path.name, "pdfsig does not find the whole document signed")
    who = re.search(r"Signer Certificate Common Name: (.*)", text)
    if result:
        result.anchors.append(
            _safe(f"the whole report is signed by {who[1] if who else 'someone without a name'}, says pdfsig")
        )
        words = "whose certificate that is, and its time stamp, were not checked here: compare with what you were given"
        result.notes.append(words)


def _entering(folder: Path) -> str:
    """Tell which file was being entered when its writer was ended."""
    try:
        return str(json.loads(_small(folder / "work" / "entering.json"))["details"]["path"]).partition("/")[2]
    except _CONFUSED:
        return ""


def _tool(command: list[str], content: bytes = b"", held: tuple[int, ...] = ()) -> tuple[int, str]:
    """Run a stock tool; a code below 0 says that it could not be run at all."""
    if shutil.which(command[0]) is None:
        return -1, f"this check needs {command[0]}, which is not installed"
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, input=content, capture_output=True, timeout=120, check=False, env=environment, pass_fds=held
        )
    except (OSError, subprocess.SubprocessError) as error:
        return -1, str(error)
    return abs(done.returncode), (done.stdout + done.stderr).decode("utf-8", "backslashreplace").strip()


def _hash_part(path: Path, part: Part, given: Given) -> str | OSError:
    """Hash a part of a file as it is on disk, unless that was done just before."""
    if part.whole and part.algorithm == "sha256" and path in given.hashed:
        return given.hashed[path].removeprefix("sha256:")
    made, left = hashlib.new(part.algorithm), -1 if part.whole else part.length
    buffer = memoryview(bytearray(BUFFER))
    try:
        with os.fdopen(_open(path), "rb", buffering=0) as file:
            file.seek(part.begin)
            while left and (count := file.readinto(buffer[: left if 0 < left < BUFFER else BUFFER])):
                made.update(buffer[:count])
                left -= count
    except OSError as error:
        return error
    return made.hexdigest()


def _small(path: Path) -> bytes:
    """Read a file whole, if it is a plain one of a reasonable size."""
    with os.fdopen(_open(path), "rb") as file:
        content = file.read(SMALL + 1)
    if len(content) > SMALL:
        raise ValueError(f"more than {SMALL} bytes")
    return content


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(22, "not a plain file", str(path))
    return descriptor


def _line(event: Event) -> str:
    return f"custody.jsonl, line {event['sequence'] + 1}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return made


def _refuse(text: str) -> None:
    raise ValueError(f"a number that is no integer: {text}")


_DECODE = json.JSONDecoder(object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse).decode


def _parse(line: bytes) -> Any:
    return _DECODE(line.decode("ascii"))


def _safe(value: object) -> str:
    text = value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else str(value)
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:400])
    return shown + ("…" if len(text) > 400 else "")


def _lines(result: Result) -> list[str]:
    lines = [
        f"{result.kind} {result.case}: {WORDS[result.code]}",
        f"  ledger    {result.entries} entries, the last of {result.last or 'no time'}, head {result.head or 'none'}",
        f"  {'attached ' if result.kind == 'report' else 'exhibits '} {result.exhibits} checked, {result.size} bytes",
    ]
    for one in result.problems:
        lines.append(f"  {WORDS[one.code].upper()}  {one.where}: {one.what}")
        lines += [
            f"      {name}  {words}" for name, words in (("expected", one.expected), ("found", one.found)) if words
        ]
    lines += [f"  anchor    {one}" for one in result.anchors]
    lines += [f"  note      {one}" for one in result.notes]
    return [*lines, *([] if result.anchored or result.stamped >= 0 else [f"  {NOT_EXCLUDED}"])]


def main(argv: list[str] | None = None) -> int:
    """Check a case, a bag or a report and say what was found; gives the exit code."""
    parser = argparse.ArgumentParser(description="Check a case, a bag or a report, read-only and offline.")
    parser.add_argument("path", type=Path, help="folder of the case or of the bag, or a report's PDF")
    parser.add_argument("--head", default="", help="digest of a ledger entry, as kept elsewhere")
    parser.add_argument("--signers", type=Path, help="allowed-signers file with the keys that you trust")
    parser.add_argument("--tsa-roots", type=Path, help="certificates of the authorities that you trust, PEM")
    parser.add_argument("--since", default="", help="hash only exhibits without a check on record since this UTC date")
    parser.add_argument("--identity", type=Path, help="age identity: what is encrypted is checked inside too")
    parser.add_argument("--pieces", action="store_true", help="check large exhibits by their pieces, side by side")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    words = parser.parse_args(argv)
    if words.since and not SINCE.fullmatch(words.since):
        parser.error("--since takes a UTC date, 2026-11-25 or 2026-11-25T10:00:00Z")
    given = Given(words.head, words.signers, words.tsa_roots, words.since, identity=words.identity, pieces=words.pieces)
    result = verify(words.path, given=given)
    if words.json:
        shown = {**asdict(result), "state": WORDS[result.code], "exit": result.code, "not_excluded": NOT_EXCLUDED}
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(result)) + "\n")
    return result.code


if __name__ == "__main__":
    sys.exit(main())
