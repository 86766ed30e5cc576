"""A real scheduler and real workers on this machine, and what they do with the plugins of one image."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from forensics import tables, verify
from forensics.errors import StageFailed, UsageError
from forensics.hashing import hash_file
from forensics.model import Outcome
from forensics.volatility import Ended, Job, run
from forensics.volatility.spread import Cluster, connected, spread, work
from tests.lab.workstation import CaseFolder, Workstation
from tests.volatility import tiny

DASK = Path(sys.executable).with_name("dask")
PLUGINS = ("linux.pslist.PsList", "linux.pstree.PsTree", "linux.psaux.PsAux", "linux.nonsense.Nonsense")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and two workers that speak TLS to those who have a key of the same authority."""
    place = tmp_path_factory.mktemp("cluster")
    _keys(place)
    tls = [f"--tls-{'ca-file' if name == 'ca' else name}={place / f'{name}.pem'}" for name in ("ca", "cert", "key")]
    told = place / "scheduler.json"
    with ExitStack() as started:
        _start(started, place, "scheduler", "--host", "tls://127.0.0.1", "--port", "0", "--scheduler-file", told, *tls)
        limit = time.monotonic() + 60
        while not told.exists():
            assert time.monotonic() < limit, (place / "scheduler.log").read_text()
            time.sleep(0.2)
        for number in range(2):
            words = ("--scheduler-file", told, "--nthreads", "1", "--no-nanny", "--name", f"w{number}", *tls)
            _start(started, place, "worker", *words)
        address = next(word for word in told.read_text().split('"') if word.startswith("tls://"))
        wanted = Cluster(address, str(place))
        while _machines(wanted) < 2:
            assert time.monotonic() < limit, (place / "worker.log").read_text()
            time.sleep(0.5)
        yield wanted


def _keys(place: Path) -> None:
    """One key pair that signs itself: authority and certificate of everyone in this test."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", place / "key.pem", "-out", place / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    (place / "ca.pem").write_bytes((place / "cert.pem").read_bytes())


def _start(started: ExitStack, place: Path, kind: str, *words: object) -> None:
    with (place / f"{kind}.log").open("ab") as log:
        asked = [str(DASK), kind, "--no-dashboard", *map(str, words)]
        process = subprocess.Popen(asked, cwd=place, stdout=log, stderr=log)
    started.callback(process.wait, 30)
    started.callback(process.kill)


def _machines(wanted: Cluster) -> int:
    try:
        with connected(wanted) as (_, machines):
            return machines
    except StageFailed:
        return 0


@pytest.fixture
def job(tmp_path: Path) -> Job:
    image, table = tiny.image(tmp_path / "i.lime"), tiny.table(tmp_path / "t.json")
    (tmp_path / "rows").mkdir()
    return Job(str(image), str(table), str(tmp_path / "rows"), PLUGINS, sources=("E0001",))


def digests(job: Job) -> dict[str, str]:
    return {path: str(hash_file(Path(path)).digest) for path in (job.image, job.table)}


def test_a_cluster_gives_what_this_machine_gives(cluster: Cluster, job: Job, tmp_path: Path) -> None:
    with connected(cluster) as (executor, machines):
        assert machines == 2
        there = {one.item: one for one in spread(job, digests(job), executor, machines) if isinstance(one, Ended)}
    rows = {name: tables.read(tmp_path / "rows" / f"{name}.jsonl") for name in PLUGINS[:2]}
    here = {one.item: one for one in run(job) if isinstance(one, Ended)}
    assert {name: (one.outcome, one.reason) for name, one in there.items()} == {
        name: (one.outcome, one.reason) for name, one in here.items()
    }
    assert there[PLUGINS[0]].outcome is Outcome.DONE
    assert there[PLUGINS[3]].outcome is Outcome.NOT_RUN
    assert rows == {name: tables.read(tmp_path / "rows" / f"{name}.jsonl") for name in PLUGINS[:2]}


@pytest.mark.faults
def test_a_case_is_analysed_on_a_cluster_by_the_command(cluster: Cluster, tmp_path: Path) -> None:
    desk = Workstation(tmp_path)
    desk.open_case("2026-0009")
    image, table = tiny.image(tmp_path / "m.lime"), tiny.table(tmp_path / "t.json")
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"name: short\nplugins: [{', '.join(PLUGINS)}]\n")
    assert desk.forensics("import", "2026-0009", str(image), "--target", "db02").code == 0
    words = ["run", "2026-0009", "--symbols", str(table), "--plan", str(plan), "--until", "analyse"]
    done = desk.forensics(*words, "--cluster", cluster.address, "--cluster-tls", cluster.tls)
    assert done.code == 3, (done.out, done.err)  # one plugin that there is not
    case = CaseFolder(desk.root / "cases" / "2026-0009")
    assert {row["PID"] for row in case.table(PLUGINS[0])} >= {task.pid for task in tiny.THREE}
    ends = {name: outcome for name, (outcome, _) in case.items("analyse").items()}
    assert ends == dict(zip(PLUGINS, ("done", "done", ends[PLUGINS[2]], "not run"), strict=True))
    assert verify.verify(case.folder).code == 0
    started = [one for one in case.events if (one["stage"], one["outcome"]) == ("analyse", "started")]
    assert [cluster.address in json.dumps(one["details"]["settings"]) for one in started] == [True]


def test_a_worker_that_has_another_image_does_not_analyse_it(cluster: Cluster, job: Job, tmp_path: Path) -> None:
    expected = digests(job)
    with Path(job.image).open("ab") as image:
        image.write(b"more")
    with connected(cluster) as (executor, machines):
        ended = [one for one in spread(job, expected, executor, machines) if isinstance(one, Ended)]
    assert {one.item for one in ended} == set(PLUGINS)
    assert {one.outcome for one in ended} == {Outcome.FAILED}
    assert all("has another i.lime" in one.reason for one in ended)
    assert not list((tmp_path / "rows").rglob("*.jsonl"))


def test_a_worker_of_another_version_does_nothing(job: Job) -> None:
    ended = work(job.encode(), {}, "0.0.0")
    assert len(ended) == len(PLUGINS)
    assert all("was asked by 0.0.0" in line for line in ended)


def test_who_has_no_key_of_the_cluster_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    _keys(tmp_path)
    with pytest.raises(StageFailed, match="cannot be reached"), connected(Cluster(cluster.address, str(tmp_path))):
        pass


def test_a_folder_without_keys_is_named(tmp_path: Path) -> None:
    wanted = Cluster("tls://127.0.0.1:1", str(tmp_path))
    with pytest.raises(UsageError, match=r"no ca.pem, cert.pem, key.pem"), connected(wanted):
        pass


def test_without_the_package_it_is_said_what_to_install() -> None:
    program = (
        "import sys; sys.modules['distributed'] = None\n"
        "from forensics.volatility.spread import Cluster, connected\n"
        "try:\n    connected(Cluster('tcp://127.0.0.1:1')).__enter__()\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("UsageError")
    assert "forensics[cluster]" in ran.stdout
