"""Lists Volatility's Linux plugins as JSON: run as a fresh process, with the plugin folders on stdin."""

from __future__ import annotations

import json
import sys

from forensics.volatility.plugins import load, purpose, why_not


def main() -> None:
    """Write [[name, purpose, why not], …] to stdout."""
    classes = load(json.loads(sys.stdin.read() or "[]"))
    told = [[name, purpose(kind), why_not(name, kind)] for name, kind in sorted(classes.items())]
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
