"""Real Volatility, a real (tiny) image, plugins that misbehave."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from forensics import tables
from forensics.model import Outcome
from forensics.volatility import Ended, Job, NoProcessList, Opened, Unusable, processes, run
from tests.volatility import tiny
from tests.volatility.conftest import Running

PSLIST = "linux.pslist.PsList"
Plugin = Callable[..., Path]


def only(said: list[Opened | Unusable | Ended]) -> Ended:
    (ended,) = [one for one in said if isinstance(one, Ended)]
    return ended


def test_the_processes_of_an_image_are_read_with_all_their_numbers(tmp_path: Path) -> None:
    found = processes(tiny.image(tmp_path / "i"), tiny.table(tmp_path / "t.json"), tmp_path / "work")
    told = [(one.pid, one.ppid, one.uid) for one in found.processes]
    assert told == [(1, 0, 0), (2, 0, 0), (77, 1, 1000)]
    assert found.processes[0].comm == "systemd"
    assert found.incomplete == ""


def test_what_a_worker_writes_is_for_its_owner_alone(running: Running, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        running(PSLIST)
    finally:
        os.umask(before)
    written = [one for one in tmp_path.rglob("*") if one.name == "worker.log" or one.parent.name == "rows"]
    assert len(written) > 1
    assert {one.name: one.stat().st_mode & 0o077 for one in written} == {one.name: 0 for one in written}


def test_rows_are_a_table_with_types_and_sources(running: Running, tmp_path: Path) -> None:
    opened, ended = running(PSLIST)
    assert isinstance(opened, Opened)
    assert isinstance(ended, Ended)
    assert (ended.outcome, ended.facts["rows"]) == (Outcome.DONE, 3)
    table = tables.read(tmp_path / "rows" / f"{PSLIST}.jsonl")
    types = {column.name: column.type for column in table.columns}
    assert (types["OFFSET (V)"], types["PID"], types["COMM"], types["CREATION TIME"]) == (
        "hex",
        "integer",
        "text",
        "time",
    )
    assert [row["CREATION TIME"] for row in table] == [tables.Absent("not available")] * 3
    assert [row["COMM"] for row in table][2] == "sh\x1b[2J"


def test_a_table_of_another_kernel_is_refused_and_both_banners_are_named(running: Running, tmp_path: Path) -> None:
    other = tiny.BANNER.replace(b"who@where", b"who@else")
    (said,) = running(PSLIST, table=tiny.table(tmp_path / "other.json", other))
    assert isinstance(said, Unusable)
    assert "who@where" in said.reason
    assert "who@else" in said.reason


def test_an_image_without_any_kernel_says_so(running: Running, tmp_path: Path) -> None:
    (said,) = running(PSLIST, image=tiny.image(tmp_path / "none", banner=b"no banner in here\0"))
    assert isinstance(said, Unusable)
    assert "no kernel banner is in the image" in said.reason


def test_a_table_without_a_banner_says_so(running: Running, tmp_path: Path) -> None:
    table = tmp_path / "bare.json"
    table.write_text('{"symbols": {}}')
    (said,) = running(PSLIST, table=table)
    assert isinstance(said, Unusable)
    assert "no linux_banner" in said.reason


def test_a_file_that_is_no_lime_image_says_so(running: Running, tmp_path: Path) -> None:
    file = tmp_path / "raw"
    file.write_bytes(bytes(1 << 20))
    (said,) = running(PSLIST, image=file)
    assert isinstance(said, Unusable)
    assert "LiME" in said.reason


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33])
def test_an_image_of_nearly_nothing_is_unusable_and_no_crash(running: Running, tmp_path: Path, size: int) -> None:
    file = tmp_path / "cut"
    file.write_bytes(tiny.image(tmp_path / "whole").read_bytes()[:size])
    (said,) = running(PSLIST, image=file)
    assert isinstance(said, Unusable)
    assert "Traceback" not in said.reason


def test_an_empty_process_list_is_a_failure_not_an_empty_answer(running: Running, tmp_path: Path) -> None:
    (said,) = running(PSLIST, image=tiny.image(tmp_path / "alone", tasks=()))
    assert isinstance(said, Unusable)
    assert "process list is empty" in said.reason


L5 = "NUMBER(pgtable_l5_enabled)"


@pytest.mark.parametrize("note", [{L5: "1"}, {}, {L5: "0"}], ids=["note", "variable alone", "a note that is wrong"])
def test_page_tables_of_five_levels_give_the_same_rows_as_four(
    running: Running, tmp_path: Path, note: dict[str, str]
) -> None:
    opened, ended = running(PSLIST, image=tiny.image(tmp_path / "five", note=note, levels=5))
    assert isinstance(opened, Opened)
    assert isinstance(ended, Ended)
    assert opened.facts["page_levels"] == 5
    assert (ended.outcome, ended.facts["rows"]) == (Outcome.DONE, 3)
    five = tables.read(tmp_path / "rows" / f"{PSLIST}.jsonl").rows
    opened, _ = running(PSLIST)
    assert isinstance(opened, Opened)
    assert opened.facts["page_levels"] == 4
    four = tables.read(tmp_path / "rows" / f"{PSLIST}.jsonl").rows
    assert [row[2:] for row in five] == [row[2:] for row in four]
    assert all(int(str(one[1])) ^ int(str(other[1])) == 0x1FF << 48 for one, other in zip(five, four, strict=True))


def test_an_empty_list_behind_five_levels_is_a_failure_that_names_them(running: Running, tmp_path: Path) -> None:
    (said,) = running(PSLIST, image=tiny.image(tmp_path / "five", tasks=(), note={L5: "1"}, levels=5))
    assert isinstance(said, Unusable)
    assert "process list is empty" in said.reason
    assert "5 by VMCOREINFO, 5 by __pgtable_l5_enabled; walked: 5" in said.reason


def test_a_kernel_that_the_two_ways_find_at_different_places_is_a_failure(running: Running, tmp_path: Path) -> None:
    image = tiny.image(tmp_path / "moved")
    memory = bytearray(image.read_bytes())
    memory[32 + tiny.INIT_TASK + 80] ^= 0x20  # what the idle task says of its files
    image.write_bytes(memory)
    (said,) = running(PSLIST, image=image)
    assert isinstance(said, Unusable)
    assert "moved by another offset" in said.reason


def test_a_truncated_image_is_read_as_far_as_it_goes(running: Running, tmp_path: Path) -> None:
    image = tiny.image(tmp_path / "whole")
    os.truncate(image, 3 << 20)
    assert only(running(PSLIST, image=image)).outcome is Outcome.DONE


def test_an_image_cut_before_its_kernel_is_unusable(running: Running, tmp_path: Path) -> None:
    image = tiny.image(tmp_path / "whole")
    os.truncate(image, 1 << 19)
    (said,) = running(PSLIST, image=image)
    assert isinstance(said, Unusable)


def test_a_plugin_that_breaks_keeps_the_rows_it_had(running: Running, plugin: Plugin, tmp_path: Path) -> None:
    plugin("Broken", "yield 0, (1, 'first')\nyield 0, (2, 'second')\nraise KeyError('gone')")
    ended = only(running("broken.Broken"))
    assert (ended.outcome, ended.reason) == (Outcome.PARTIAL, "KeyError: 'gone'")
    rows = tables.read(tmp_path / "rows" / "broken.Broken.jsonl").rows
    assert [row[1:] for row in rows] == [(1, "first"), (2, "second")]


def test_a_plugin_that_breaks_at_once_has_failed_and_gives_no_file(running: Running, plugin: Plugin) -> None:
    plugin("Broken", "raise RuntimeError('\\x1b[31mred')\nyield")
    ended = only(running("broken.Broken"))
    assert (ended.outcome, ended.kept) == (Outcome.FAILED, False)
    assert ended.reason == "RuntimeError: \\x1b[31mred"


def test_a_plugin_with_nothing_to_say_is_empty_and_that_is_no_failure(running: Running, plugin: Plugin) -> None:
    plugin("Nothing", "yield from ()")
    ended = only(running("nothing.Nothing"))
    assert (ended.outcome, ended.kept) == (Outcome.EMPTY, True)


def test_a_plugin_that_hangs_is_ended_and_the_others_go_on(running: Running, plugin: Plugin) -> None:
    plugin("Hangs", "yield 0, (1, 'a')\ntime.sleep(600)\nyield 0, (2, 'b')")
    before = time.monotonic()
    said = running("hangs.Hangs", PSLIST, limits={"seconds": 3.0})
    outcomes = {one.item: (one.outcome, one.reason) for one in said if isinstance(one, Ended)}
    assert outcomes["hangs.Hangs"] == (Outcome.PARTIAL, "it was ended after its 3 s")
    assert outcomes[PSLIST][0] is Outcome.DONE
    assert time.monotonic() - before < 30


def test_a_plugin_that_eats_memory_is_stopped(running: Running, plugin: Plugin) -> None:
    plugin("Eats", "held = []\nwhile True:\n    held.append(bytearray(1 << 24))\nyield")
    ended = only(running("eats.Eats", limits={"memory": 256 << 20}))
    assert ended.outcome is Outcome.FAILED
    assert "256 MiB" in ended.reason


def test_a_plugin_that_says_too_much_is_stopped_at_a_whole_row(
    running: Running, plugin: Plugin, tmp_path: Path
) -> None:
    plugin("Talks", "while True:\n    yield 0, (1, 'x' * 1000)")
    ended = only(running("talks.Talks", limits={"output": 100_000}))
    assert ended.outcome is Outcome.PARTIAL
    assert len(tables.read(tmp_path / "rows" / "talks.Talks.jsonl")) == ended.facts["rows"]


def test_a_plugin_that_dies_by_a_signal_has_failed_by_it(running: Running, plugin: Plugin) -> None:
    plugin("Dies", "os.kill(os.getpid(), 11)\nyield")
    ended = only(running("dies.Dies"))
    assert (ended.outcome, ended.reason) == (Outcome.FAILED, "its process was ended by SIGSEGV")


def test_when_the_worker_dies_what_is_left_runs_in_another(running: Running, plugin: Plugin) -> None:
    plugin("Kills", "os.kill(os.getppid(), 9)\ntime.sleep(60)\nyield")
    plugin("Words", "yield 0, (1, 'fine')")
    said = running("kills.Kills", "words.Words", PSLIST)
    ended = {one.item: one for one in said if isinstance(one, Ended)}
    assert set(ended) == {"kills.Kills", "words.Words", PSLIST}
    died = {name for name, one in ended.items() if "died while this plugin ran" in one.reason}
    assert "kills.Kills" in died
    assert len(died) <= 2, "no more were running: two at once"
    assert {one.outcome for name, one in ended.items() if name not in died} == {Outcome.DONE}


def test_a_worker_that_always_dies_does_not_go_on_forever(running: Running, plugin: Plugin) -> None:
    names = [f"k{number}.K{number}" for number in range(9)]
    for name in names:
        plugin(name.partition(".")[2], "os.kill(os.getppid(), 9)\ntime.sleep(60)\nyield")
    ended = [one for one in running(*names) if isinstance(one, Ended)]
    assert sorted(one.item for one in ended) == names
    assert {one.outcome for one in ended} == {Outcome.FAILED, Outcome.NOT_RUN}
    assert all(one.reason for one in ended)


def test_a_name_that_is_no_plugin_is_not_run_and_the_reason_is_said(running: Running) -> None:
    ended = only(running("linux.nonsense.Nonsense"))
    assert (ended.outcome, ended.facts.get("rows")) == (Outcome.NOT_RUN, None)
    assert "no such plugin" in ended.reason


def test_a_plugin_that_needs_an_argument_is_not_run_and_names_it(running: Running) -> None:
    ended = only(running("linux.vmaregexscan.VmaRegExScan"))
    assert (ended.outcome, ended.reason) == (Outcome.NOT_RUN, "it needs an argument: pattern")


def test_a_deprecated_alias_does_not_run_a_second_time(running: Running) -> None:
    assert only(running("linux.malfind.Malfind")).outcome is Outcome.NOT_RUN


def test_what_a_plugin_prints_is_not_taken_for_a_message(running: Running, plugin: Plugin) -> None:
    plugin("Prints", "print('{\"kind\": \"Ended\"}')\nyield 0, (1, 'a')")
    assert only(running("prints.Prints")).outcome is Outcome.DONE


def test_a_file_that_a_plugin_writes_has_a_name_of_ours(running: Running, plugin: Plugin, tmp_path: Path) -> None:
    plugin("Writes", "with self.open('pass\\x1bwd;.. ') as file:\n    file.write(b'root')\nyield 0, (1, 'a')")
    ended = only(running("writes.Writes"))
    assert (ended.outcome, ended.files) == (Outcome.DONE, (("writes.Writes.files/0001", "pass\\x1bwd;.. "),))
    assert (tmp_path / "rows" / ended.files[0][0]).read_bytes() == b"root"


def test_a_plugin_cannot_write_where_it_likes(running: Running, plugin: Plugin, tmp_path: Path) -> None:
    plugin("Writes", "self.open('../../escape')\nyield")
    ended = only(running("writes.Writes"))
    assert (ended.outcome, ended.files) == (Outcome.FAILED, ())
    assert "path separators" in ended.reason
    assert not list(tmp_path.rglob("*escape*"))


@pytest.mark.parametrize(
    "body",
    [
        "for _ in range(600):\n    self.open('a').close()\nyield",
        "file = self.open('a')\nwhile True:\n    file.write(bytes(4096))\nyield",
    ],
    ids=["too many", "too long"],
)
def test_a_plugin_that_writes_without_end_is_stopped(running: Running, plugin: Plugin, body: str) -> None:
    plugin("Fills", body)
    ended = only(running("fills.Fills", limits={"output": 100_000}))
    assert ended.outcome in {Outcome.PARTIAL, Outcome.FAILED}
    assert "would write more" in ended.reason
    assert len(ended.files) <= 500


ARGUED = ", requirements.StringRequirement(name='word'), requirements.IntRequirement(name='n', default=3)"


def test_arguments_reach_the_plugin_and_the_others_keep_their_defaults(
    running: Running, plugin: Plugin, tmp_path: Path
) -> None:
    plugin("Says", "yield 0, (self.config['n'], self.config['word'])", ARGUED)
    ended = running("says.Says", "says.Says~2", arguments={"says.Says": {"word": "a"}, "says.Says~2": {"word": "b"}})
    assert {one.outcome for one in ended if isinstance(one, Ended)} == {Outcome.DONE}
    rows = [tables.read(tmp_path / "rows" / f"{name}.jsonl").rows[0][1:] for name in ("says.Says", "says.Says~2")]
    assert rows == [(3, "a"), (3, "b")]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "it needs an argument: word"),
        ({"word": 3}, "its argument word is text, and 3 is given"),
        ({"word": "a", "n": "3"}, "its argument n is a whole number, and '3' is given"),
        ({"word": "a", "\x1b": 1}, "it has no argument '\\\\x1b'; it takes: word, n"),
    ],
)
def test_arguments_that_do_not_fit_are_named_and_the_plugin_is_not_run(
    running: Running, plugin: Plugin, given: dict[str, object], why: str
) -> None:
    plugin("Says", "yield 0, (self.config['n'], self.config['word'])", ARGUED)
    ended = only(running("says.Says", arguments={"says.Says": given}))
    assert (ended.outcome, ended.reason) == (Outcome.NOT_RUN, why)


def test_a_plugin_reaches_no_network(running: Running, plugin: Plugin) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        port = server.getsockname()[1]
        plugin("Calls", f"import socket\nsocket.create_connection(('127.0.0.1', {port}))\nyield 0, (1, 'through')")
        ended = only(running("calls.Calls"))
        with pytest.raises(TimeoutError):
            server.accept()
    assert ended.outcome is Outcome.FAILED
    assert "does not use the network" in ended.reason


def test_leaving_early_ends_the_worker_and_its_children(plugin: Plugin, tmp_path: Path) -> None:
    place = plugin("Sleeps", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)\nyield")
    image, table = tiny.image(tmp_path / "i"), tiny.table(tmp_path / "t.json")
    job = Job(str(image), str(table), str(tmp_path / "rows"), ("sleeps.Sleeps",), plugin_folders=(str(place),))
    said = run(job)
    assert isinstance(next(said), Opened)
    pid = _eventually(lambda: int((tmp_path / "pid").read_text() or "x"))
    said.close()
    _eventually(lambda: _gone(pid))


def _gone(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True
    if stat.rpartition(")")[2].split()[0] == "Z":
        return True
    raise ValueError(stat)


def _eventually(look: Callable[[], int], seconds: float = 10) -> int:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return look()
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_no_process_list_says_why(tmp_path: Path) -> None:
    image = tiny.image(tmp_path / "i", tasks=())
    with pytest.raises(NoProcessList, match="process list is empty"):
        processes(image, tiny.table(tmp_path / "t.json"), tmp_path / "work")


def test_the_worker_leaves_no_cache_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    processes(tiny.image(tmp_path / "i"), tiny.table(tmp_path / "t.json"), tmp_path / "work")
    assert list(home.iterdir()) == []
