"""`forensics lab demo`: a whole case on a practice target of its own, and whether the report names what was planted."""

from __future__ import annotations

import secrets
import signal
from typing import Annotated

import typer

from forensics import casefile, course, demo, plan, terminal
from forensics.commands.options import HERE, AsJson, Root, stop
from forensics.commands.reporting import publish
from forensics.course import Order
from forensics.lab import labs
from forensics.lab.recipe import Recipe
from forensics.model import JSON, Examiner
from forensics.rendering.gather import gather
from forensics.ssh import Secrets
from forensics.terminal import TerminalProgress

NAME = "demo"
app = typer.Typer()


@app.command("demo")
def command(
    *,
    seed: Annotated[int | None, typer.Option(help="Repeats names, ports, paths and markers.")] = None,
    plan_name: Annotated[str, typer.Option("--plan", help="A plan by name, or a YAML file.")] = "lab",
    without: Annotated[list[str] | None, typer.Option(help="Leave out a planted fact (again for more).")] = None,
    root: Root = HERE,
    as_json: AsJson = False,
) -> None:
    """Boot a practice target, work a whole case on it, and check that the report names what was planted there."""
    signal.signal(signal.SIGTERM, stop)
    progress = TerminalProgress()
    number = demo.next_number(root)
    recipe = Recipe(seed=secrets.randbelow(1 << 32) if seed is None else seed, without=tuple(without or ()))
    progress.say(f"case {number}; practice target with seed {recipe.seed}")
    with labs.booted(root, NAME, recipe, progress) as lab:
        examiner = Examiner("Demo Examiner", role="examiner")
        title = f"Practice case on {lab.hostname}"
        case = casefile.open_case(root, number, title, examiner, "Practice; the target is our own", scope="the lab")
        target = labs.resolve(root, f"lab:{NAME}")
        summary = course.work(case, target, Secrets(), Order(root, plan.load(plan_name)), progress)
        truth = lab.truth.read_bytes()
    copies = publish(root, case, summary.report)
    ledger = case.ledger.path.read_bytes()
    record = gather(case.folder, case.facts, case.exhibits(), ledger)
    page = next(one for one in copies if one.suffix == ".html").read_text(encoding="utf-8")
    demo.check(truth, demo.words_of(page), record.targets[0].tables)
    if as_json:
        reports: list[JSON] = [str(one) for one in copies]
        terminal.document({"case": number, "seed": recipe.seed, "report": reports, "complete": summary.complete})
        return
    for step in summary.steps:
        for short in step.short:
            terminal.line(f"short of complete: {step.stage}: {short}")
    terminal.line("Every planted fact is named in the report.")
    for copy in copies:
        terminal.line(str(copy))
