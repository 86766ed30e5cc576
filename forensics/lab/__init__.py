"""The practice target: a real Debian machine in QEMU with planted facts, to try the tool on and to validate it."""
