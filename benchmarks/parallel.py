"""Time `reprise repro -j N` on a pipeline of sleeping stages; writes `benchmarks/parallel.md`."""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDE, SECONDS = 8, 10
PIPELINE = """stages:
  first:
    matrix: {{n: {numbers}}}
    cmd: python -c "import time; time.sleep({seconds}); open('first-${{item.n}}', 'w').write('1')"
    outs: ["first-${{item.n}}"]
  second:
    matrix: {{n: {numbers}}}
    cmd: python -c "import time; time.sleep({seconds}); open('second-${{item.n}}', 'w').write('2')"
    deps: ["first-${{item.n}}"]
    outs: ["second-${{item.n}}"]
"""


def timed(folder: Path, *command: str) -> float:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "1"}
    start = time.monotonic()
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.monotonic() - start


def repository(folder: Path) -> Path:
    (folder / "dvc.yaml").write_text(PIPELINE.format(numbers=list(range(WIDE)), seconds=SECONDS))
    for command in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def main() -> None:
    """Run from anywhere, on a machine with nothing else to do (2 minutes)."""
    lines = [
        "# Stages side by side",
        "",
        f"Written by `benchmarks/parallel.py`: two rows of {WIDE} stages that sleep {SECONDS} s, the second "
        f"row reading the first. {os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}.",
        "",
        "| command | seconds | ideal | times the ideal |",
        "| --- | --- | --- | --- |",
    ]
    for width in (WIDE, 2):
        with tempfile.TemporaryDirectory() as aside:
            seconds = timed(repository(Path(aside)), "reprise", "repro", "-j", str(width))
        ideal = 2 * WIDE * SECONDS / width
        lines.append(f"| `reprise repro -j {width}` | {seconds:.1f} | {ideal:.0f} | {seconds / ideal:.2f} |")
    (ROOT / "benchmarks/parallel.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
