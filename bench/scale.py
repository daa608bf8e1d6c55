"""100 M simulated events against 10 M: how the cost of loading into profiles, models and scores grows."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.lakes import line, peak_mb, simulated, timed


def one_size(people: int) -> None:
    """Refreshes, trains and scores a business of 100 events a person; prints seconds and peak memory."""
    with simulated(people, 100.0) as workspace:
        refresh = timed(lambda: workspace.refresh(full=True))
        update = timed(workspace.update)
        print(json.dumps({"people": people, "refresh_s": refresh, "update_s": update, "peak_mb": peak_mb()}))


def main() -> None:
    """Runs each size in a process of its own, for the memory."""
    found = []
    for people in (100_000, 1_000_000):
        done = subprocess.run(
            [sys.executable, "-m", "bench.scale", str(people)], check=True, capture_output=True, text=True
        )
        found.append(json.loads(done.stdout.strip().splitlines()[-1]))
    small, large = found
    for part in ("refresh_s", "update_s"):
        line(
            bench=f"100 M events against 10 M, {part}", small_s=small[part], large_s=large[part],
            ratio=large[part] / (10 * small[part]), target=1.15, peak_mb=large["peak_mb"], peak_target_mb=8000,
        )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_size(int(sys.argv[1]))
    else:
        main()
