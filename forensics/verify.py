"""Check a case: read-only, offline, standard library only, nothing of ours imported.

    python3 verify.py CASE-FOLDER [--head sha256:…] [--json]

1. The ledger: every line's own digest, its link to the line before, sequence, fields.
2. The exhibits: each is a plain file, read-only, with recorded size and digest; `exhibits/` holds nothing else.
3. The seals: each names an entry that is in the ledger, and exhibits as the ledger has them.
4. What was begun has an end.

Every problem is listed, not the first alone. Exit codes: 0 ok, 4 damaged, 5 incomplete, 6 cannot check.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

OK, DAMAGED, INCOMPLETE, UNREADABLE = 0, 4, 5, 6
WORDS = {OK: "ok", DAMAGED: "damaged", INCOMPLETE: "incomplete", UNREADABLE: "cannot check"}
LIMIT = 1 << 20  # bytes of a ledger line
FIRST = "sha256:" + "0" * 64
SCHEMA = "forensics-custody-1"
SEAM = b',"digest":"'
NAMES = re.findall(
    r"\w+",
    "schema case sequence previous time zone monotonic boot actor action reason target stage attempt "
    "materials products tool outcome details deviation digest",
)
KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(NAMES, str),
    **dict.fromkeys(("sequence", "monotonic", "attempt"), int),
    **dict.fromkeys(("actor", "tool", "details"), dict),
    **dict.fromkeys(("materials", "products"), list),
    "outcome": (str, type(None)),
    "deviation": (dict, type(None)),
}
Event = dict[str, Any]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
PLACE = re.compile(r"exhibits/[EID]\d{4,}-[A-Za-z0-9._@+-]+")
PARTS = {"custody.jsonl", "exhibits", "seals", "work"}
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


@dataclass
class Result:
    """What was looked at, and every problem; false when there is any."""

    case: str
    entries: int = 0
    head: str = ""  # digest of the last whole entry
    last: str = ""  # its time
    exhibits: int = 0
    size: int = 0
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
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


def verify(folder: Path, head: str = "") -> Result:
    """Check a case folder; `head` is the digest of an entry, as kept elsewhere. Writes nothing."""
    result = Result(_safe(folder.resolve().name))
    events = _read_ledger(folder / "custody.jsonl", result)  # 1
    if result.entries or events:
        entered = _entered(events, result)
        gone = _disposed(folder, events, entered, result)
        _check_exhibits(folder, entered, gone, result)  # 2
        _check_seals(folder, events, entered, result)  # 3
        _check_ends(events, result)  # 4
        _check_head(events, head, result)
        strangers = sorted(one for one in os.listdir(folder) if one not in PARTS)  # noqa: PTH208 - names alone
        result.notes += [f"not part of a case, and not checked: {_safe(one)}" for one in strangers]
    return result


def _read_ledger(path: Path, result: Result) -> list[Event]:
    events: list[Event] = []
    try:
        descriptor = _open(path)
    except OSError as error:
        result.add(UNREADABLE, path.name, "there is no ledger to check", found=error.strerror or error)
        return events
    previous = FIRST
    with os.fdopen(descriptor, "rb") as file:
        while line := file.readline(LIMIT + 1):
            where = f"custody.jsonl, line {result.entries + 1}"
            if not line.endswith(b"\n") and not _check_tail(line, where, result):
                break
            result.entries += 1
            event = _check_line(line.rstrip(b"\n"), where, previous, events, result)
            if event:
                events.append(event)
            previous = _digest(line.rstrip(b"\n"))
    if events:
        result.head, result.last = str(events[-1]["digest"]), str(events[-1]["time"])
    elif not result.problems:
        result.add(DAMAGED, path.name, "the ledger is empty")
    return events


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


def _check_line(line: bytes, where: str, previous: str, before: list[Event], result: Result) -> Event | None:
    own, seam, rest = line.rpartition(SEAM)
    if not seam or rest != _digest(own).encode() + b'"}':
        result.add(DAMAGED, where, "the line is not what its own digest says", rest[:71], _digest(own))
    try:
        event: Event = json.loads(
            line.decode("ascii"), object_pairs_hook=_once, parse_float=_refuse, parse_constant=_refuse
        )
        _check_fields(event)
    except (ValueError, TypeError, RecursionError) as error:
        result.add(DAMAGED, where, "the line cannot be read", found=error)
        return None
    last = before[-1] if before else None
    wanted = {
        "sequence": last["sequence"] + 1 if last else 0,
        "previous": previous,
        "case": before[0]["case"] if before else event["case"],
        "schema": SCHEMA,
        "action": event["action"] if last else "case opened",
    }
    for name, expected in wanted.items():
        if event[name] != expected:
            result.add(DAMAGED, where, f"{name} is off", expected, event[name])
    return event


def _check_fields(event: object) -> None:
    if not isinstance(event, dict) or list(event) != NAMES:
        raise ValueError(f"fields {list(event) if isinstance(event, dict) else type(event).__name__}")
    for name, kind in KINDS.items():
        if not isinstance(event[name], kind) or isinstance(event[name], bool):
            raise TypeError(f"{name} is a {type(event[name]).__name__}")
    for thing in (*event["materials"], *event["products"]):
        if not isinstance(thing, dict) or sorted(thing) != ["digest", "exhibit", "size"]:
            raise ValueError("an exhibit is not named by number, digest and size")
    if not TIME.fullmatch(event["time"]):
        raise ValueError(f"time is {event['time']}")


def _entered(events: list[Event], result: Result) -> dict[str, Event]:
    """Collect what was entered, by number, and hold every later mention against it."""
    entered: dict[str, Event] = {}
    for event in events:
        where = f"custody.jsonl, line {event['sequence'] + 1}"
        if event["action"] == "exhibit entered" and len(event["products"]) == 1:
            thing, path = event["products"][0], str(event["details"].get("path"))
            number = str(thing["exhibit"])
            expected = f"{number[:1]}{1 + sum(one[0] == number[:1] for one in entered):04d}"
            if number != expected or not PLACE.fullmatch(path) or not path.startswith(f"exhibits/{number}-"):
                result.add(DAMAGED, where, "an exhibit's number or name is off", expected, f"{number}, {path}")
            if PLACE.fullmatch(path):
                entered[number] = {**thing, "path": path, "details": event["details"]}
        elif event["action"] == "exhibit entered":
            result.add(DAMAGED, where, "an entry does not name one exhibit", 1, len(event["products"]))
        for thing in (*event["materials"], *event["products"]):
            known = entered.get(str(thing["exhibit"]))
            if known is None or (known["digest"], known["size"]) != (thing["digest"], thing["size"]):
                expected = known["digest"] if known else "an exhibit entered before"
                result.add(DAMAGED, where, f"{thing['exhibit']} is named otherwise", expected, thing["digest"])
    return entered


def _disposed(folder: Path, events: list[Event], entered: dict[str, Event], result: Result) -> set[str]:
    """Tell which exhibits were disposed of and are gone; one that is still there is checked like any other."""
    gone = set()
    for event in (one for one in events if one["action"] == "disposed"):
        for number in (str(one["exhibit"]) for one in event["materials"]):
            there = number in entered and os.path.lexists(folder / entered[number]["path"])
            gone |= set() if there else {number}
            words = "the file is still there" if there else "it cannot be checked any more"
            result.notes.append(f"line {event['sequence'] + 1}: {_safe(number)} was disposed of; {words}")
    return gone


def _check_exhibits(folder: Path, entered: dict[str, Event], gone: set[str], result: Result) -> None:
    place = folder / "exhibits"
    if place.is_symlink() or not place.is_dir():
        result.add(DAMAGED, "exhibits/", "the folder is missing, or is none")
        return
    known = {one["path"].partition("/")[2] for one in entered.values()}
    for name in sorted(set(os.listdir(place)) - known):  # noqa: PTH208 - names alone
        if name == _entering(folder):
            result.add(INCOMPLETE, f"exhibits/{name}", "its entry was cut short; the next run completes it")
        else:
            result.add(DAMAGED, f"exhibits/{name}", "nobody entered this file")
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # hashing lets go of the interpreter's lock
        here = {number: entry for number, entry in entered.items() if number not in gone}
        for problems in pool.map(lambda one: _check_exhibit(folder, *one), here.items()):
            result.problems += problems
    result.exhibits, result.size = len(entered), sum(int(one["size"]) for one in entered.values())


def _check_exhibit(folder: Path, number: str, entry: Event) -> list[Problem]:
    here = Result(number)
    path = folder / entry["path"]
    where = f"{number}: {entry['path']}"
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            here.add(DAMAGED, where, "it is no plain file", found="a symlink" if path.is_symlink() else "")
            return here.problems
        size, digest, pieces = _hash(path, int(entry["details"].get("piece_size") or 0))
    except OSError as error:
        code = DAMAGED if isinstance(error, FileNotFoundError) else UNREADABLE
        here.add(code, where, "it cannot be read", found=error.strerror or error)
        return here.problems
    if status.st_mode & 0o7377:
        here.add(DAMAGED, where, "its permissions were widened", "0400", f"{status.st_mode & 0o7777:04o}")
    if size != entry["size"]:
        here.add(DAMAGED, where, "its size is off", f"{entry['size']} bytes", f"{size} bytes")
    if digest != entry["digest"]:
        recorded = entry["details"].get("pieces") or []
        off = [str(n) for n, (a, b) in enumerate(zip(recorded, pieces, strict=False)) if a != b]
        step = f" in pieces {', '.join(off)} of {entry['details'].get('piece_size')} bytes" if off else ""
        here.add(DAMAGED, where, f"its digest is off{step}", entry["digest"], digest)
    return here.problems


def _check_seals(folder: Path, events: list[Event], entered: dict[str, Event], result: Result) -> None:
    heads = {event["sequence"]: event["digest"] for event in events}
    ended = [one["details"].get("facts") for one in events if (one["stage"], one["action"]) == ("seal", "item ended")]
    named = {str(one.get("file")) for one in ended if isinstance(one, dict)}
    for name in sorted(named | {path.name for path in (folder / "seals").glob("*.json")}):
        where = f"seals/{name}"
        try:
            with os.fdopen(_open(folder / "seals" / Path(name).name), encoding="ascii") as file:
                seal = json.load(file, object_pairs_hook=_once)
            sequence, head, listed, case = (seal[one] for one in ("sequence", "head", "exhibits", "case"))
            off = [one["exhibit"] for one in listed if entered.get(one["exhibit"], {}).get("digest") != one["digest"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            result.add(DAMAGED, where, "the seal cannot be read", found=error)
            continue
        if heads.get(sequence) != head or (events and events[0]["case"] != case):
            result.add(DAMAGED, where, f"entry {sequence} is not the one that was sealed", head, heads.get(sequence))
        for number in off:
            result.add(DAMAGED, where, f"{number} was sealed with another digest")


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
    for event in (one for one in events if one["action"] == "transferred"):
        if event["details"].get("side") == "given":
            given[event["sequence"]] = str(event["details"].get("to"))
        else:
            given.pop(event["details"].get("answers"), None)
    return [_safe(f"line {at + 1}: handed over, and not acknowledged by {to}") for at, to in given.items()]


def _check_head(events: list[Event], head: str, result: Result) -> None:
    if head and head not in {one["digest"] for one in events}:
        result.add(
            DAMAGED, "custody.jsonl", "the entry that was kept elsewhere is not in the ledger", head, result.head
        )
    result.anchored = bool(head)


def _entering(folder: Path) -> str:
    """Tell which file was being entered when its writer was ended."""
    try:
        with os.fdopen(_open(folder / "work" / "entering.json"), encoding="ascii") as file:
            return str(json.load(file)["details"]["path"]).partition("/")[2]
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _hash(path: Path, piece: int) -> tuple[int, str, list[str]]:
    """Read a file once; digests of pieces only where they were recorded."""
    whole, size = hashlib.sha256(), 0
    pieces: list[str] = []
    with os.fdopen(_open(path), "rb", buffering=0) as file:
        while True:
            part, begin = hashlib.sha256(), size
            while chunk := file.read(min(1 << 20, piece - (size - begin)) if piece else 1 << 20):
                whole.update(chunk)
                if piece:
                    part.update(chunk)
                size += len(chunk)
            if size == begin or not piece:
                return size, f"sha256:{whole.hexdigest()}", pieces
            pieces.append(part.hexdigest())


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(22, "not a plain file", str(path))
    return descriptor


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return dict(pairs)


def _refuse(text: str) -> None:
    raise ValueError(f"a number that is no integer: {text}")


def _safe(value: object) -> str:
    text = value.decode("ascii", "backslashreplace") if isinstance(value, bytes) else str(value)
    shown = "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text[:400])
    return shown + ("…" if len(text) > 400 else "")


def _lines(result: Result) -> list[str]:
    lines = [
        f"case {result.case}: {WORDS[result.code]}",
        f"  ledger    {result.entries} entries, the last of {result.last or 'no time'}, head {result.head or 'none'}",
        f"  exhibits  {result.exhibits} on record, {result.size} bytes",
    ]
    for one in result.problems:
        lines.append(f"  {WORDS[one.code].upper()}  {one.where}: {one.what}")
        lines += [
            f"      {name}  {words}" for name, words in (("expected", one.expected), ("found", one.found)) if words
        ]
    lines += [f"  note      {one}" for one in result.notes]
    return [*lines, *([] if result.anchored else [f"  {NOT_EXCLUDED}"])]


def main(argv: list[str] | None = None) -> int:
    """Check a case and say what was found; gives the exit code."""
    parser = argparse.ArgumentParser(description="Check a case, read-only and offline.")
    parser.add_argument("case", type=Path, help="folder of the case")
    parser.add_argument("--head", default="", help="digest of a ledger entry, as kept elsewhere")
    parser.add_argument("--json", action="store_true", help="say it as JSON")
    given = parser.parse_args(argv)
    result = verify(given.case, given.head)
    if given.json:
        shown = {**asdict(result), "state": WORDS[result.code], "exit": result.code, "not_excluded": NOT_EXCLUDED}
        sys.stdout.write(json.dumps(shown, indent=1) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(result)) + "\n")
    return result.code


if __name__ == "__main__":
    sys.exit(main())
