"""What was taken out of a list is found, and what only began or ended meanwhile is not taken for it."""

from __future__ import annotations

import pytest

from forensics import views
from forensics.findings import Context, find
from forensics.model import Finding, Severity, Verdict
from forensics.tables import Absent, Cell, Table
from tests.findings.test_rules import live, surveyed, table
from tests.views.memory import KERNEL_WAYS, module_rows, process_rows
from tests.views.test_views import EVERYWHERE, proc, ps

CONTEXT = Context(surveyed(live(1, 1), live(66, 100)), Verdict.COMPLETE, facts_exhibit="D0001")


def judged(rule: str, *given: Table, context: Context = CONTEXT) -> list[Finding]:
    tables = {one.name: one for one in given}
    tables |= {one.name: one for one in views.make(tables, context.facts, context.facts_exhibit)}
    return [one for one in find(tables, context) if one.rule == rule]


def test_a_process_that_a_false_ps_leaves_out_is_named_with_its_views() -> None:
    memory = process_rows((1, 1, EVERYWHERE), (66, 100, EVERYWHERE))
    (finding,) = judged("hidden-from-ps", memory, ps((1, 1)), proc(1, 66))
    assert (finding.severity, finding.facts["pid"], finding.technique) == (Severity.HIGH, 66, "T1014")
    assert finding.exhibits == ("D0030", "E0007", "E0008", "D0001")
    assert "pid 66" in finding.statement


def test_what_was_hidden_from_ps_is_named_with_what_memory_has_of_its_arguments() -> None:
    memory = process_rows((1, 1, EVERYWHERE), (66, 100, EVERYWHERE))
    arguments = table("linux.psaux.PsAux", "PID ARGS", [(66, "/usr/bin/perl /usr/local/sbin/nodepipe")], "D0033")
    (finding,) = judged("hidden-from-ps", memory, ps((1, 1)), proc(1, 66), arguments)
    assert "/usr/local/sbin/nodepipe" in finding.statement
    assert "D0033" in finding.exhibits


@pytest.mark.parametrize("proc_after", [proc(1), None])
def test_a_process_that_may_have_ended_before_the_list_is_no_finding(proc_after: Table | None) -> None:
    memory = process_rows((1, 1, EVERYWHERE), (66, 100, EVERYWHERE))
    assert judged("hidden-from-ps", memory, ps((1, 1)), *([proc_after] if proc_after else [])) == []


def test_a_process_that_began_after_ps_is_no_finding() -> None:
    memory = process_rows((1, 1, EVERYWHERE))
    assert judged("hidden-from-ps", memory, ps((1, 1)), proc(1, 90)) == []


def ways(**changed: Cell) -> dict[str, Cell]:
    return {**EVERYWHERE, **{f"In {name}": value for name, value in changed.items()}}


@pytest.mark.parametrize("out", ["list", "table"])
def test_a_process_that_was_taken_out_of_the_kernels_own_list_is_grave(out: str) -> None:
    (finding,) = judged("hidden-process", process_rows((1, 1, EVERYWHERE), (66, 100, ways(**{out: False}))))
    assert (finding.severity, finding.facts["pid"]) == (Severity.HIGH, 66)


def test_what_began_or_ended_while_memory_was_read_is_no_finding() -> None:
    young = process_rows((66, 530, ways(list=False)))
    torn = process_rows((66, 100, ways(list=False, tree=False, groups=False)))
    assert judged("hidden-process", young) == []
    assert judged("hidden-process", torn) == []


def test_a_way_that_could_not_be_read_is_no_way_out() -> None:
    unread: Cell = Absent("not available")
    torn = dict.fromkeys(KERNEL_WAYS, unread)
    assert judged("hidden-process", process_rows((66, 100, torn))) == []
    assert judged("hidden-process", process_rows((66, 100, ways(list=unread)))) == []


def test_a_module_that_is_in_no_list_is_grave_and_says_where_it_was_found() -> None:
    live_list = table("modules", "name size users state", [("ext4", 1, 1, "Live")], "E0009")
    (finding,) = judged("hidden-module", module_rows(("ext4", True, True), ("rk", False, False)), live_list)
    assert (finding.severity, finding.facts["module"]) == (Severity.HIGH, "rk")
    for words in ("the tree by address", "a scan", "taken out of the list, /sys/module's objects"):
        assert words in finding.statement
    assert "vol -p" in finding.repeat


def test_a_module_that_the_file_alone_leaves_out_is_named_and_ours_is_not() -> None:
    live_list = table("modules", "name size users state", [("ext4", 1, 1, "Live")], "E0009")
    memory = module_rows(("ext4", True, True), ("rk", True, True), ("lime", True, True))
    (finding,) = judged("module-not-shown", memory, live_list)
    assert (finding.severity, finding.facts["module"]) == (Severity.MEDIUM, "rk")
    assert judged("hidden-module", memory, live_list) == []
