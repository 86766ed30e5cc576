"""The plugins of one image on several machines, through `concurrent.futures`: any executor will do, Dask's is given.

Each part of the plugins is what a worker of this machine does (`session.run`), there: in a fresh process, with a child
for each plugin, its limits and its reasons. The image, the table and the work folder lie on storage that all machines
see under the same paths; what a machine reads there is hashed by it before use.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import forensics
from forensics.errors import ForensicsError, StageFailed, UsageError
from forensics.hashing import hash_file
from forensics.model import Outcome
from forensics.volatility import messages
from forensics.volatility.catalogue import by_length
from forensics.volatility.messages import Ended, Job, Message, Opened, Unusable
from forensics.volatility.session import run

_CONNECT_SECONDS = 20
_MOST_CHILDREN = 4
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where the machines are: a Dask scheduler, and the folder with `ca.pem`, `cert.pem` and `key.pem` for TLS."""

    address: str  # tcp://host:port, or tls://host:port
    tls: str = ""


@contextmanager
def connected(cluster: Cluster) -> Generator[tuple[Executor, int]]:
    """Give the cluster's executor and how many machines it has; StageFailed when it cannot be used, with the reason."""
    try:
        distributed: Any = importlib.import_module("distributed")  # an extra: whoever has no cluster does without
    except ImportError:
        raise UsageError(
            "work on a cluster needs the package distributed, which is not installed",
            where=cluster.address,
            remedy="pip install 'forensics[cluster]', here and on the workers; or leave --cluster out",
        ) from None
    security = distributed.Security(**_tls(cluster)) if cluster.tls else None
    try:
        client = distributed.Client(cluster.address, security=security, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise StageFailed(
            "the cluster cannot be reached",
            where=cluster.address,
            why=str(error) or type(error).__name__,
            remedy="start a scheduler and workers (dask scheduler, dask worker), or leave --cluster out",
        ) from None
    with client:
        machines = len(client.scheduler_info(n_workers=-1)["workers"])
        if not machines:
            raise StageFailed("the cluster has no workers", where=cluster.address, remedy="dask worker ADDRESS")
        yield client.get_executor(pure=False, retries=0), machines


def _tls(cluster: Cluster) -> dict[str, Any]:
    ca, certificate, key = (Path(cluster.tls) / name for name in TLS_FILES)
    missing = [one.name for one in (ca, certificate, key) if not one.is_file()]
    if missing:
        raise UsageError(f"the folder has no {', '.join(missing)}", where=cluster.tls, remedy="put them there")
    return {
        "tls_ca_file": str(ca),
        "tls_client_cert": str(certificate),
        "tls_client_key": str(key),
        "require_encryption": True,
    }


def spread(
    job: Job, digests: Mapping[str, str], executor: Executor, machines: int
) -> Generator[Opened | Unusable | Ended]:
    """Run the plugins of a job in so many parts; says what `session.run` says, each part's when it has ended.

    `digests`: what the image and the table have to be, by path. A machine that dies fails its part's plugins.
    """
    waiting: dict[Future[list[str]], Job] = {}
    for number, names in enumerate(_parts(job.plugins, machines)):
        part = replace(job, plugins=tuple(names), folder=str(Path(job.folder) / f"part-{number}"))
        waiting[executor.submit(work, part.encode(), dict(digests), forensics.__version__)] = part
    opened = False
    try:
        for future in as_completed(waiting):
            for message in _said(future, waiting[future]):
                if isinstance(message, Opened):
                    if not opened:
                        yield message
                    opened = True
                elif isinstance(message, Unusable):
                    yield from (
                        Ended(name, Outcome.FAILED, message.reason, facts=message.facts)
                        for name in waiting[future].plugins
                    )
                elif isinstance(message, Ended):
                    _bring(waiting[future], job, message)
                    yield message
    finally:
        for future in waiting:
            future.cancel()


def _parts(names: Sequence[str], machines: int) -> list[list[str]]:
    """Deal the plugins out, the longest first, so that each machine has its share of them."""
    ordered = by_length(names)
    count = max(1, min(machines, len(ordered)))
    return [ordered[at::count] for at in range(count)]


def _said(future: Future[list[str]], part: Job) -> list[Message]:
    try:
        return [messages.decode(line) for line in future.result()]
    except (Exception, CancelledError) as error:  # noqa: BLE001 (whatever another machine breaks with fails its part)
        why = f"the machine that ran it gave no result: {type(error).__name__}: {error}"[:500]
        return [Ended(name, Outcome.FAILED, why) for name in part.plugins]


def _bring(part: Job, job: Job, ended: Ended) -> None:
    """Put what a plugin wrote where it would be without a cluster."""
    for name in (f"{ended.item}.jsonl", f"{ended.item}.files"):
        source = Path(part.folder) / name
        if source.exists():
            source.replace(Path(job.folder) / name)


def work(line: str, digests: Mapping[str, str], version: str) -> list[str]:
    """Do a part: on another machine. Gives its messages; a file that is not what it has to be is not analysed."""
    job = Job.decode(line)
    why = _unlike(digests, version)
    if why:
        return [messages.encode(Ended(name, Outcome.FAILED, why)) for name in job.plugins]
    children = max(1, min(_MOST_CHILDREN, len(os.sched_getaffinity(0))))
    return [messages.encode(message) for message in run(replace(job, children=children))]


def _unlike(digests: Mapping[str, str], version: str) -> str:
    """Say in what this machine has something else than was sent for, "" when it has not."""
    if version != forensics.__version__:
        return f"this machine has version {forensics.__version__} of forensics, and was asked by {version}"
    for path, expected in digests.items():
        try:
            digest = str(hash_file(Path(path)).digest)
        except ForensicsError as error:
            return f"the machine that was to run it cannot read {path}: {error}"
        if digest != expected:
            return f"the machine that was to run it has another {Path(path).name}: {digest}, not {expected}"
    return ""
