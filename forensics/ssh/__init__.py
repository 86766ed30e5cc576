"""A target over SSH: one connection, one wrapped command at a time, every change recorded and undone."""

from forensics.ssh.host import SshHost, connect
from forensics.ssh.link import Timing
from forensics.ssh.login import Secret, Secrets

__all__ = ["Secret", "Secrets", "SshHost", "Timing", "connect"]
