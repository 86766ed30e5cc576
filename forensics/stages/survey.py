"""Survey: what the target is, and what will work there. Reads only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics import clock, text
from forensics.host import Host
from forensics.model import JSON, Draft, Facts, Outcome, Result, Role
from forensics.stage import Desk, Entered, stage
from forensics.survey import facts as facts_module
from forensics.survey import kernel_state, procfs, questions, transcript
from forensics.survey.facts import Derived
from forensics.survey.questions import Copied, Question
from forensics.survey.transcript import Answer

ITEM = "survey"
_NEEDED = ("ram", "btf", "kallsyms", "processes", "clock")
_DEEPEST = 5  # mapped devices on top of each other


def load_facts(entered: Entered) -> Facts:
    """Give the facts as they stand on record."""
    exhibit = entered.one("facts")
    if exhibit is None:
        raise ValueError("the survey left no facts")
    return facts_module.from_json(entered.path(exhibit).read_bytes(), entered)


@stage(gives=load_facts)
def survey(desk: Desk, host: Host) -> Iterator[Draft | Result]:
    """Learn what the target is, and what will work there."""
    answers: list[Answer] = []
    count = len(questions.FIRST) + len(questions.files("")) + 1
    with desk.progress.task("Asking the target", count, "questions") as asked:
        for question in questions.FIRST:
            answers.append(_ask(host, question))
            asked(1)
        small = procfs.marked_files(answers[4].said.stdout, questions.SMALL_FILES)
        answers += _root_device(host, small.get("/proc/self/mountinfo", b""))
        asked(1)
        for question in questions.files(_release(small)):
            answers += _copy(host, question)
            asked(1)
            if answers[-1].file:
                yield _keep(desk, questions.RUNNING_CONFIG if _is_running(answers[-1]) else question, answers[-1])
    yield from _conclude(desk, answers)


def _ask(host: Host, question: Question) -> Answer:
    said = host.run(*question.argv, root=question.root, limits=question.limits)
    return Answer(question.name, question.root, said)


def _release(small: dict[str, bytes]) -> str:
    """Give the release as a word that can stand in a path; "" when it is no such word."""
    release = text.decode(small.get(questions.KERNEL + "osrelease", b"")).strip()
    return release if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,63}", release) else ""


def _copy(host: Host, question: Copied) -> list[Answer]:
    """Read a file; what was cut, refused, empty or a mere note in its place is no exhibit."""
    answer = _ask(host, question)
    whole = answer.said.ok and answer.said.stdout
    if question.name == "kernel-config" and question != questions.RUNNING_CONFIG and not whole:
        return [answer, *_copy(host, questions.RUNNING_CONFIG)]
    if not whole or (question.kind == "system-map" and not kernel_state.real_system_map(answer.said.stdout)):
        return [answer]
    return [transcript.keep_apart(answer, question.file)]


def _is_running(answer: Answer) -> bool:
    return answer.file == questions.RUNNING_CONFIG.file


def _root_device(host: Host, mountinfo: bytes) -> list[Answer]:
    """Follow the device under / down to what it lies on."""
    root = kernel_state.root_mount(procfs.mounts(mountinfo))
    if root is None:
        return []
    answers: list[Answer] = []
    device = root.device
    if device.startswith("0:"):
        answers.append(_ask(host, questions.real_name(root)))
        device = _kernel_name(answers[-1].said.stdout.rpartition(b"/")[2])
    for _ in range(_DEEPEST):
        if not device:
            break
        answers.append(_ask(host, questions.place_of(device)))
        disk = kernel_state.whole_disk(text.decode(answers[-1].said.stdout))
        if not disk.startswith(("dm-", "md", "bcache")):
            break
        answers.append(_ask(host, questions.parts_of(disk)))
        names = answers[-1].said.stdout.split()
        device = _kernel_name(names[0]) if len(names) == 1 else ""
    return answers


def _kernel_name(word: bytes) -> str:
    name = text.decode(word).strip()
    return name if re.fullmatch(r"[A-Za-z0-9!_-][A-Za-z0-9!._-]{0,63}", name) else ""


def _keep(desk: Desk, question: Copied, answer: Answer) -> Draft:
    path = desk.work / question.file
    path.write_bytes(answer.said.stdout)
    title = f"{question.title} of the target"
    return Draft(path, Role.EVIDENCE, question.kind, title, name=question.file, item=ITEM, digest=answer.digest)


def _conclude(desk: Desk, answers: list[Answer]) -> Iterator[Draft | Result]:
    """Write the transcript and the facts made of it; say what later stages will miss."""
    record = desk.work / "survey.jsonl"
    record.write_bytes(transcript.write(answers))
    title = "Survey: every command and its answer"
    yield Draft(record, Role.EVIDENCE, "survey-transcript", title, name="survey.jsonl", item=ITEM)
    derived = facts_module.derive(answers)
    path = desk.work / "facts.json"
    path.write_bytes(facts_module.to_json(derived))
    yield Draft(path, Role.DERIVED, "facts", "Facts of the target, made of the survey", name="facts.json", item=ITEM)
    yield _result(derived)


def _result(derived: Derived) -> Result:
    told: dict[str, JSON] = {"examiner_clock": clock.keeping()}  # of this machine, so no fact of the target
    missing = [f"{name}: {derived.unknown[name]}" for name in _NEEDED if name in derived.unknown]
    if missing:
        return Result(ITEM, Outcome.PARTIAL, text.show("; ".join(missing)), told)
    return Result(ITEM, Outcome.DONE, "", told)
