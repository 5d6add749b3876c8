"""Time `reprise repro -j N` against `dvc repro`; writes `benchmarks/parallel.md`.

A pipeline of sleeping stages shows what the launcher adds; the real graph at smoke scale what two cores gain.
"""

import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDE, SECONDS = 8, 20
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


def smoke(folder: Path) -> Path:
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    (folder / "params.yaml").write_text((ROOT / "params/smoke.yaml").read_text())
    (folder / "dvc.lock").unlink()
    return folder


def main() -> None:
    """Run from anywhere, on a machine with nothing else to do (5 minutes)."""
    with tempfile.TemporaryDirectory() as aside:
        (Path(aside) / "sleeping").mkdir()
        sleeping = timed(repository(Path(aside) / "sleeping"), "reprise", "repro", "-j", str(WIDE))
        serial = timed(smoke(Path(aside) / "serial"), "dvc", "repro")
        parallel = timed(smoke(Path(aside) / "parallel"), "reprise", "repro", "-j", "2")
    ideal = 2 * SECONDS
    lines = [
        "# Stages side by side",
        "",
        f"Written by `benchmarks/parallel.py`. {os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}.",
        "",
        "| what | seconds | beside it |",
        "| --- | --- | --- |",
        f"| two rows of {WIDE} stages that sleep {SECONDS} s, `reprise repro -j {WIDE}` | {sleeping:.1f} "
        f"| ideal {ideal}: {sleeping / ideal:.2f} times; one after another {2 * WIDE * SECONDS} |",
        f"| the whole graph at smoke scale, `reprise repro -j 2` | {parallel:.0f} | `dvc repro` {serial:.0f} |",
    ]
    (ROOT / "benchmarks/parallel.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
