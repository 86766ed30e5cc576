"""How a lab is talked to from outside: the system's own ssh, the host key pinned, the user's configuration left out."""

from __future__ import annotations

import subprocess

from forensics.errors import LabFailed
from forensics.lab import programs
from forensics.lab.state import Lab
from forensics.text import show

PROBE_SECONDS = 10


def ssh_command(lab: Lab, *command: str, user: str = "root", interactive: bool = False) -> list[str]:
    """Write the command line of the system's ssh to a lab."""
    options = {
        "UserKnownHostsFile": f'"{lab.folder / "known_hosts"}"',
        "GlobalKnownHostsFile": "/dev/null",
        "IdentityFile": f'"{lab.folder / "id_ed25519"}"',
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "no" if interactive else "yes",
        "ConnectTimeout": "20",
        "LogLevel": "ERROR",
    }
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value.replace('%', '%%')}")]
    return [programs.find("ssh"), "-F", "none", *settings, "-p", str(lab.port), f"{user}@127.0.0.1", *command]


def ask(lab: Lab, *command: str, stdin: bytes = b"", user: str = "root", seconds: float = 60) -> bytes:
    """Run a command line in the guest's shell and give its stdout; LabFailed when it ends otherwise than with 0."""
    argv = ssh_command(lab, *command, user=user)
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as expired:
        raise LabFailed(f"lab {lab.name} did not answer within {seconds:.0f} s", where=" ".join(command)) from expired
    if done.returncode:
        why = f"it ended with {done.returncode}: {show(done.stderr[-600:])}"
        raise LabFailed(f"a command failed on lab {lab.name}", where=" ".join(command), why=why)
    return done.stdout


def boot_id(lab: Lab) -> str:
    """Read which boot this is; "" when the machine does not answer soon."""
    # QEMU takes a connection that the guest does not answer yet, and it hangs: better a new one than a long wait.
    try:
        return ask(lab, "cat /proc/sys/kernel/random/boot_id", seconds=PROBE_SECONDS).decode().strip()
    except LabFailed:
        return ""
