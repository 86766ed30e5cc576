"""Work a case on a target, and render its report again."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from forensics import course, plan, targets, terminal
from forensics.casefile import Case
from forensics.commands.options import HERE, AsJson, CaseNumber, Root
from forensics.course import Order, Summary
from forensics.errors import UsageError
from forensics.lab import labs
from forensics.model import JSON, Exhibit, Target
from forensics.progress import Progress, Silent
from forensics.ssh import Secret, Secrets
from forensics.terminal import TerminalProgress

app = typer.Typer()
GAPS = 3


@app.command()
def run(
    number: CaseNumber,
    target: Annotated[str, typer.Argument(help="[USER@]HOST[:PORT] as OpenSSH reads it, or lab, or lab:NAME.")],
    *,
    plan_name: Annotated[str, typer.Option("--plan", help="A plan by name, or a YAML file.")] = "triage",
    engine: Annotated[str, typer.Option(help="How memory is acquired: auto, or the name of an engine.")] = "auto",
    until: Annotated[str, typer.Option(help="Stop behind this stage: survey shows what will work.")] = "",
    host_key: Annotated[str, typer.Option(help="Accept this host key, SHA256:…, for this run.")] = "",
    identity: Annotated[
        list[Path] | None, typer.Option("--identity", "-i", help="A private key file.", exists=True, dir_okay=False)
    ] = None,
    sudo_password_fd: Annotated[int, typer.Option(help="Read sudo's password from this file descriptor.")] = -1,
    ask_sudo_password: Annotated[bool, typer.Option("--ask-sudo-password", help="Ask for sudo's password.")] = False,
    login_password_fd: Annotated[int, typer.Option(help="Read the account's password from this descriptor.")] = -1,
    ask_login_password: Annotated[bool, typer.Option("--ask-login-password", help="Ask for it.")] = False,
    passphrase_fd: Annotated[int, typer.Option(help="Read the private key's passphrase from this descriptor.")] = -1,
    new_attempt: Annotated[str, typer.Option(metavar="REASON", help="Touch the target again, and why.")] = "",
    target_gone: Annotated[
        str, typer.Option(metavar="REASON", help="Go on without the target, with what there is, and why.")
    ] = "",
    headers: Annotated[
        Path | None, typer.Option(help="Kernel headers of the target.", exists=True, file_okay=False)
    ] = None,
    lime_source: Annotated[Path | None, typer.Option(help="LiME's source.", exists=True, file_okay=False)] = None,
    package_source: Annotated[
        str, typer.Option(help="Where the target's packages are: an apt archive's URL, or a folder of .deb files.")
    ] = "",
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Work a case on a target, from where it stands to the report. Exits with 3 when something is short of complete."""
    signal.signal(signal.SIGTERM, stop)
    chosen = plan.load(plan_name)
    machine = _target(root, target, host_key, identity)
    secrets = Secrets(
        login=_secret(login_password_fd, ask_login_password, f"Password of {machine.user} on {machine.label}: "),
        sudo=_secret(sudo_password_fd, ask_sudo_password, f"sudo password on {machine.label}: "),
        passphrase=_secret(passphrase_fd, ask=False, prompt=""),
    )
    case = Case.load(root, number)
    order = Order(
        root=root,
        plan=chosen,
        engine=engine if engine != "auto" else chosen.engine,
        until=until,
        new_attempt=new_attempt,
        target_gone=target_gone,
        headers=headers,
        lime_source=lime_source,
        package_source=package_source or None,
    )
    progress: Progress = Silent() if as_json else TerminalProgress()
    summary = course.work(case, machine, secrets, order, progress)
    copies = publish(root, case, summary.report)
    _show(case, summary, copies, as_json=as_json)
    raise typer.Exit(0 if summary.complete else GAPS)


@app.command()
def report(number: CaseNumber, *, root: Root = HERE, as_json: AsJson = False) -> None:
    """Render the report of a case again, as of its last ledger entry."""
    case = Case.load(root, number)
    exhibits = course.render(case, Silent() if as_json else TerminalProgress())
    copies = publish(root, case, exhibits)
    if as_json:
        terminal.document({"case": case.number, "report": [str(one) for one in copies]})
        return
    for one in copies:
        terminal.line(str(one))


def publish(root: Path, case: Case, exhibits: tuple[Exhibit, ...]) -> list[Path]:
    """Copy a report's files to reports/, under the case's number."""
    copies = []
    for exhibit in exhibits:
        folder = root / "reports"
        folder.mkdir(exist_ok=True)
        copy = folder / f"{case.number}{exhibit.path.suffix}"
        fresh = copy.with_name(f".{copy.name}.new")
        shutil.copyfile(case.path(exhibit), fresh)
        fresh.replace(copy)
        copies.append(copy)
    return copies


def _target(root: Path, words: str, host_key: str, identity: list[Path] | None) -> Target:
    user, _, name = words.rpartition("@")
    if name == "lab" or name.startswith("lab:"):
        return labs.resolve(root, name, user or "root")
    machine = targets.parse_target(words, host_key=host_key)
    return replace(machine, identities=(*identity, *machine.identities)) if identity else machine


def _secret(descriptor: int, ask: bool, prompt: str) -> Secret | None:  # noqa: FBT001 - two ways to one secret
    if descriptor >= 0:
        try:
            with os.fdopen(descriptor, encoding="utf-8") as file:
                return Secret(file.readline().rstrip("\n"))
        except OSError as error:
            raise UsageError(
                f"no secret can be read from file descriptor {descriptor}", why=str(error.strerror)
            ) from None
    return Secret(getpass.getpass(prompt)) if ask else None


def stop(_number: int, _frame: FrameType | None) -> None:
    """End as Ctrl-C does."""
    raise KeyboardInterrupt


def _show(case: Case, summary: Summary, copies: list[Path], *, as_json: bool) -> None:
    steps: list[dict[str, JSON]] = [
        {"stage": one.stage, "state": one.state, "short": list(one.short)} for one in summary.steps
    ]
    if as_json:
        preflight: list[JSON] = [{"subject": p.subject, "works": p.works, "why": p.why} for p in summary.preflight]
        facts: dict[str, JSON] = {"case": case.number, "complete": summary.complete, "stages": list(steps)}
        facts["left_on_target"] = list(summary.left)
        terminal.document({**facts, "preflight": preflight, "report": [str(one) for one in copies]})
        return
    if summary.preflight and summary.stopped_early:
        words = {True: "yes", False: "no", None: "cannot be told"}
        rows = [(one.subject, words[one.works], one.why) for one in summary.preflight]
        terminal.grid("Preflight", ("what", "works", "why"), rows, empty="")
    shown = [(one.stage, one.state, "\n".join(one.short)) for one in summary.steps]
    terminal.grid("", ("stage", "state", "short of complete"), shown, empty="Nothing was done.")
    for one in summary.left:
        terminal.line(f"Put on the target, and not proven gone: {one}. Run again to have it taken away.")
    if summary.untouched:
        terminal.line(
            "The target was not touched: what this run does there was finished before. --new-attempt REASON asks again."
        )
    for copy in copies:
        terminal.line(f"Report: {copy}")
