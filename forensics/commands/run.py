"""Work a case on a target."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from forensics import course, imported, plan, reissue, targets, terminal, yararules
from forensics.casefile import Case
from forensics.commands import several
from forensics.commands.options import GAPS, HERE, AsJson, CaseNumber, Root, stop
from forensics.commands.reporting import publish
from forensics.commands.secrets import secret
from forensics.course import Order, Summary
from forensics.errors import UsageError
from forensics.guarding import pace
from forensics.guarding.watch import MOST_LOAD, Bounds
from forensics.kcore import packing
from forensics.lab import labs
from forensics.model import JSON, Target
from forensics.progress import Progress, Silent
from forensics.ssh import Secrets
from forensics.stages.acquire import AcquireSettings
from forensics.stages.interpret import interpret
from forensics.stages.report import report as report_stage
from forensics.terminal import TerminalProgress
from forensics.text import show

app = typer.Typer()


@app.command()
def run(
    context: typer.Context,
    number: CaseNumber,
    target: Annotated[
        list[str] | None,
        typer.Argument(metavar="TARGET…", help="[USER@]HOST[:PORT] as OpenSSH reads it, or lab, or lab:NAME."),
    ] = None,
    *,
    listed: Annotated[
        Path | None, typer.Option("--targets", help="A YAML file that lists targets.", exists=True, dir_okay=False)
    ] = None,
    parallel: Annotated[int, typer.Option(min=1, help="How many targets are worked at the same time.")] = 2,
    plan_name: Annotated[str, typer.Option("--plan", help="A plan by name, or a YAML file.")] = "triage",
    engine: Annotated[str, typer.Option(help="How memory is acquired: auto, lime, kcore, lime_disk or avml.")] = "auto",
    streams: Annotated[
        int, typer.Option(min=0, max=8, help="Connections at once, for kcore; 0: as many as serve it best.")
    ] = 0,
    compress: Annotated[
        str, typer.Option(help="What the target packs kcore's bytes with: none, auto, zstd, lz4 or gzip.")
    ] = "none",
    limit: Annotated[str, typer.Option(metavar="RATE", help="Memory's bytes a second at most, such as 50M.")] = "",
    min_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory that the target must have available; half ends a running one.")
    ] = "32M",
    max_load: Annotated[float, typer.Option(min=0, help="Load by processor that ends it; 0: none does.")] = MOST_LOAD,
    lime_digest: Annotated[bool, typer.Option("--lime-digest", help="LiME hashes too, and is compared.")] = False,
    tls: Annotated[bool, typer.Option("--tls", help="LiME's port over TLS, by the target's stunnel, not SSH.")] = False,
    target_folder: Annotated[
        str, typer.Option(metavar="DIR", help="For lime_disk: where on the target it writes.")
    ] = "",
    leave_there: Annotated[bool, typer.Option("--leave-there", help="lime_disk's image is not fetched.")] = False,
    avml: Annotated[Path | None, typer.Option(help="For avml: your binary of it.", exists=True, dir_okay=False)] = None,
    avml_digest: Annotated[str, typer.Option(metavar="sha256:…", help="That the binary has to have.")] = "",
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
    age_identity: Annotated[
        Path | None, typer.Option(help="The age identity that opens encrypted memory, to analyse it.", exists=True)
    ] = None,
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
    build_on_target: Annotated[
        bool, typer.Option("--build-on-target", help="Compile LiME there when it cannot be made here: a deviation.")
    ] = False,
    module_key: Annotated[
        Path | None,
        typer.Option(help="Sign the module with this private key, PEM: Secure Boot.", exists=True, dir_okay=False),
    ] = None,
    module_certificate: Annotated[
        Path | None, typer.Option(help="Its certificate, which the target trusts.", exists=True, dir_okay=False)
    ] = None,
    module_passphrase_fd: Annotated[int, typer.Option(help="Read that key's passphrase from this descriptor.")] = -1,
    symbols: Annotated[
        Path | None,
        typer.Option(help="The symbol table (ISF) of the target's or image's kernel.", exists=True, dir_okay=False),
    ] = None,
    yara: Annotated[
        Path | None,
        typer.Option(help="A folder of YARA rules for the memory of processes.", exists=True, file_okay=False),
    ] = None,
    cluster: Annotated[str, typer.Option(metavar="URL", help="Run plugins on a Dask cluster: tcp:// or tls://.")] = "",
    cluster_tls: Annotated[
        Path | None, typer.Option(help="Its ca.pem, cert.pem and key.pem.", exists=True, file_okay=False)
    ] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Work a case on a target or several, from where it stands to the report; without a target, on imported images.

    Exits with 3 when something is short of complete. Several targets are worked --parallel at a time, each with its own
    state; one that fails does not stop the others, and the report is rendered once for all.
    """
    signal.signal(signal.SIGTERM, stop)
    if bool(module_key) != bool(module_certificate):
        raise UsageError("a key and its certificate go together", remedy="--module-key FILE --module-certificate FILE")
    chosen = _plan(plan_name, yara, cluster, cluster_tls)
    asked = [*(several.Asked(target=one) for one in target or ()), *(several.load(listed) if listed else ())]
    case = _unlocked(Case.load(root, number), age_identity)
    if not asked and (labels := imported.labels(case)):
        _run_imported(case, labels, imported.Order(root, chosen, until, symbols), as_json=as_json)
    if listed or len(asked) != 1:
        _run_each(context, root, asked, parallel)
    machine = _target(root, asked[0].target, host_key, identity, gone=bool(target_gone))
    secrets = Secrets(
        login=secret(login_password_fd, ask_login_password, f"Password of {machine.user} on {machine.label}: "),
        sudo=secret(sudo_password_fd, ask_sudo_password, f"sudo password on {machine.label}: "),
        passphrase=secret(passphrase_fd, ask=False, prompt=""),
    )
    acquisition = AcquireSettings(
        engine if engine != "auto" else chosen.engine, streams, _compression(compress), "tls" if tls else "auto",
        lime_digest=lime_digest, target_folder=target_folder, leave_there=leave_there, avml_digest=avml_digest,
        avml=avml and avml.absolute(), limit=pace.rate(limit), bounds=Bounds(pace.rate(min_memory), max_load),
    )  # fmt: skip
    order = Order(
        root=root,
        plan=chosen,
        acquisition=acquisition,
        until=until,
        new_attempt=new_attempt,
        target_gone=target_gone,
        headers=headers,
        lime_source=lime_source,
        package_source=package_source or None,
        symbols=symbols.absolute() if symbols else None,
        module_key=module_key.absolute() if module_key else None,
        module_certificate=module_certificate.absolute() if module_certificate else None,
        module_passphrase=secret(module_passphrase_fd, ask=False, prompt=""),
        build_on_target=build_on_target,
    )
    _run_one(case, machine, secrets, order, as_json=as_json)


def _run_one(case: Case, machine: Target, secrets: Secrets, order: Order, *, as_json: bool) -> NoReturn:
    """Work on one target, and exit as it ended."""
    progress: Progress = Silent() if as_json else TerminalProgress()
    summary = course.work(case, machine, secrets, order, progress)
    _show(case, summary, publish(order.root, case, summary.report), as_json=as_json)
    raise typer.Exit(0 if summary.complete else GAPS)


def _plan(name: str, yara: Path | None, cluster: str, tls: Path | None) -> plan.Plan:
    """Give the plan, with what the command line says instead; rules that do not compile are said before any work."""
    chosen = plan.load(name)
    chosen = chosen.with_yara(yara) if yara else chosen
    chosen = chosen.with_cluster(cluster, tls) if cluster else chosen
    if chosen.yara:
        yararules.read(Path(chosen.yara))
    return chosen


def _unlocked(case: Case, identity: Path | None) -> Case:
    """Give a case the identity that opens what is encrypted in it; a file, or a descriptor as /dev/fd/N."""
    case.identity = identity.read_bytes() if identity else b""
    return case


def _run_imported(case: Case, labels: tuple[str, ...], order: imported.Order, *, as_json: bool) -> NoReturn:
    """Work on every image that was imported into a case, and exit as they ended."""
    progress: Progress = Silent() if as_json else TerminalProgress()
    complete = True
    for label in labels:
        summary = imported.work(case, label, order, progress)
        _show(case, summary, publish(order.root, case, summary.report), as_json=as_json)
        complete = complete and summary.complete
    raise typer.Exit(0 if complete else GAPS)


HERE_ONLY = {"number", "target", "listed", "parallel", "until", "as_json", "sudo_password_fd", "ask_sudo_password",
             "login_password_fd", "ask_login_password", "passphrase_fd", "module_passphrase_fd"}  # fmt: skip
"""Options of a run on several targets that are not handed on to each as they were given."""


def _run_each(context: typer.Context, root: Path, asked: list[several.Asked], parallel: int) -> NoReturn:
    """Work on several targets, render the report of all, and exit as they ended."""
    given = context.params
    if not asked:
        raise UsageError("no target was named", remedy="name one or several, give --targets FILE, or import an image")
    if given["host_key"]:
        raise UsageError("a host key is one target's", remedy="write it beside the target in the file of --targets")
    gone = bool(given["target_gone"])
    labels = [_target(root, one.target, one.host_key, None, gone=gone).label for one in asked]
    if len(set(labels)) != len(labels):
        twice = ", ".join(sorted({one for one in labels if labels.count(one) > 1}))
        raise UsageError("targets would be mixed up in the case", why=f"they have the same label: {twice}")
    case = Case.load(root, given["number"])
    until = given["until"] or interpret.name
    secrets = {
        "--login-password-fd": secret(given["login_password_fd"], given["ask_login_password"], "Account password: "),
        "--sudo-password-fd": secret(given["sudo_password_fd"], given["ask_sudo_password"], "sudo password: "),
        "--passphrase-fd": secret(given["passphrase_fd"], ask=False, prompt=""),
        "--module-passphrase-fd": secret(given["module_passphrase_fd"], ask=False, prompt=""),
    }
    as_json = given["as_json"]
    progress: Progress = Silent() if as_json else TerminalProgress()
    options = [f"--until={until}", *_handed_on(context)]
    named = dict(zip(labels, asked, strict=True))
    ended = several.work(case, named, options=options, secrets=secrets, parallel=parallel, progress=progress)
    copies = (
        [] if given["until"] not in {"", report_stage.name} else publish(root, case, reissue.render(case, progress))
    )
    several.show(case, ended, copies, as_json=as_json)
    raise typer.Exit(several.exit_code(ended))


def _handed_on(context: typer.Context) -> list[str]:
    """Give the options that were said on the command line, as words again."""
    words: list[str] = []
    for option in context.command.params:
        value = context.params[option.name or ""]
        if option.name in HERE_ONLY or value is None or value == option.default:
            continue
        all_of_it = value if isinstance(value, list | tuple) else [value]
        words.extend(option.opts[0] if one is True else f"{option.opts[0]}={one}" for one in all_of_it)
    return words


def _target(root: Path, words: str, host_key: str, identity: list[Path] | None, *, gone: bool = False) -> Target:
    user, _, name = words.rpartition("@")
    if name == "lab" or name.startswith("lab:"):
        return labs.resolve(root, name, user or "root", gone=gone)
    machine = targets.parse_target(words, host_key=host_key)
    return replace(machine, identities=(*identity, *machine.identities)) if identity else machine


def _compression(word: str) -> str:
    known = ("none", "auto", *packing.WORDS)
    if word not in known:
        raise UsageError(f"nothing packs with {show(word, 40)}", remedy=f"--compress one of {', '.join(known)}")
    return word


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
