"""Seconds in which memory arrives over SSH on loopback: read, hashed, counted, written and on the disk, beside OpenSSH.

python benchmarks/receiving.py [--runs N] [--gib N] [--folder DIR]. A LiME image of random bytes is sent by `cat`
through an sshd of its own, by the same cipher (AES-128-GCM), to ours (login, SHA-256, walk, census, write and fsync
included), to `ssh HOST cat FILE > out; sync; sha256sum out`, to the same without the digest, and to /dev/null.
Both ends share the machine. Peak memory is that of the analyst's process with the whole program imported. Bars: 1.5 of
the first peer's rate, 0.85 of the second's, 0.6 of the third's, and 150 MB.
"""

from __future__ import annotations

import argparse
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from forensics.lime import format as lime_format
from forensics.model import MemoryRange
from tests.sshd import Sshd

GIB = 1 << 30
BARS = {"ssh, sync, sha256sum": 1.5, "ssh, sync": 0.85, "ssh to /dev/null": 0.6}
MOST = 150.0  # MB
CIPHER = "aes128-gcm@openssh.com"

RECEIVE = """
import sys, time
from pathlib import Path
import forensics.cli
from forensics.lime.receiving import Received, receive
from forensics.model import Target
from forensics.progress import Silent
from forensics.ssh import Secrets, connect
from tests.recorder import MemoryRecorder
port, identity, known, user, source, output, size = sys.argv[1:]
begin = time.monotonic()
target = Target("bench", "127.0.0.1", int(port), user, (Path(identity),), (Path(known),))
host, received = connect(target, MemoryRecorder(), Secrets()), Received()
with host.stream("cat", source) as stream:
    receive(stream, Path(output), received, int(size), Silent())
host.close()
print(time.monotonic() - begin)
sys.exit(received.reason or 0)
"""


def image(path: Path, size: int) -> None:
    """Write a whole LiME image of one range, of random bytes that repeat after 64 MiB."""
    block = secrets.token_bytes(64 << 20)
    with path.open("wb") as file:
        file.write(lime_format.header(MemoryRange(0, size - 1)))
        for _ in range(size // len(block)):
            file.write(block)


def timed(words: list[str], where: Path) -> tuple[float, float, float]:
    """Run a command to its end; give seconds, its peak memory in MB, and the seconds of a processor that it took.

    Seconds are what it prints, where it prints any: ours is a program that runs already when it begins to receive.
    """
    begin = time.monotonic()
    child = subprocess.Popen(words, cwd=where, stdout=subprocess.PIPE, text=True)
    said = child.stdout.read() if child.stdout else ""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(words)[:200]} ended with {child.returncode}")
    return float(said or time.monotonic() - begin), usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def ways(server: Sshd, source: Path, output: Path) -> dict[str, list[str]]:
    """Give the commands by name, ours first."""
    user = server.target().user
    ours = [str(server.port), str(server.identity), str(server.known_hosts), user, str(source), str(output)]
    options = f"-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes -o UserKnownHostsFile={server.known_hosts}"
    ssh = f"ssh {options} -i {server.identity} -c {CIPHER} -p {server.port} {user}@127.0.0.1 cat {source}"
    return {
        "forensics": [sys.executable, "-c", RECEIVE, *ours, str(source.stat().st_size)],
        "ssh, sync, sha256sum": ["sh", "-ec", f"{ssh} > {output}; sync {output}; sha256sum {output} > /dev/null"],
        "ssh, sync": ["sh", "-ec", f"{ssh} > {output}; sync {output}"],
        "ssh to /dev/null": ["sh", "-ec", f"{ssh} > /dev/null"],
    }


def main() -> int:
    """Measure, print, and end with 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--folder", type=Path, default=None, help="where the image and its copy are written")
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float, float]]] = {}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        place = Path(name)
        place.chmod(0o755)
        source, output = place / "source.lime", place / "out"
        image(source, int(given.gib * GIB) >> 26 << 26)
        server = Sshd(place)
        server.prepare()
        server.start()
        try:
            for _ in range(given.runs):  # interleaved, so that a busy moment meets all of them
                for way, words in ways(server, source, output).items():
                    output.unlink(missing_ok=True)
                    os.sync()
                    found.setdefault(way, []).append(timed(words, Path(__file__).parents[1]))
        finally:
            server.stop()
        size = source.stat().st_size
    print(f"load average {os.getloadavg()[0]:.1f}, {size / GIB:.2f} GiB")
    medians = {way: statistics.median(one[0] for one in runs) for way, runs in found.items()}
    for way, runs in found.items():
        rate = size / medians[way] / 1e6
        cpu = statistics.median(one[2] for one in runs)
        peak = max(one[1] for one in runs)
        print(f"{way:22} {medians[way]:6.2f} s  {peak:6.0f} MB   {rate:.0f} MB/s, {cpu:.2f} s of a processor")
    missed = max(one[1] for one in found["forensics"]) > MOST
    for way, bar in BARS.items():
        ratio = medians[way] / medians["forensics"]
        print(f"bar to {way:22}  {bar:.2f} x, here {ratio:.2f} x")
        missed |= ratio < bar
    print(f"bar of memory  {MOST:.0f} MB")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
