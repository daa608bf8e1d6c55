"""``python -m bench [name …]``: runs the benches, each in a process of its own; prints JSON lines."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("btyd", "identity", "imports", "people", "refresh", "scale")
ARGUMENTS = {"scale": ("--engines", "duckdb")}
"""What a bench is told here; Spark has its own command, `make bench-scale`, which installs it."""


def main(names: list[str]) -> int:
    """Runs the named benches, all by default; returns 0, or 2 for an unknown name."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no bench {unknown[0]!r}; there are: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    for name in names or NAMES:
        subprocess.run([sys.executable, "-m", f"bench.{name}", *ARGUMENTS.get(name, ())], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
