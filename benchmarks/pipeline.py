"""Write `benchmarks/pipeline.md` from the times that the last `dvc repro` left in `.reprise/timings`."""

import json
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Run from anywhere, after a whole `make repro`; the order is that of dvc.yaml."""
    notes = [json.loads(path.read_text()) for path in (ROOT / ".reprise/timings").glob("*.json")]
    order = [line.strip().rstrip(":") for line in (ROOT / "dvc.yaml").read_text().splitlines()]
    notes.sort(key=lambda note: (order.index(note["stage"].split("@")[0]), note["stage"]))
    first = notes[0]
    lines = [
        "# The whole reproduction, stage by stage",
        "",
        "Written by `benchmarks/pipeline.py` from the last run of each stage at the laptop scale. Hardware: "
        f"{first['cores']} cores, {first['machine']}; Python {first['python']}.",
        "Memory is that of a stage's largest process. `reprise repro -j` goes by these times until it has its own.",
        "",
        "| stage | seconds | peak MiB |",
        "| --- | --- | --- |",
        *(f"| {note['stage']} | {note['seconds']:.1f} | {note['peak_mib']} |" for note in notes),
        f"| **all, without DVC's own work between stages** | {sum(note['seconds'] for note in notes):.0f} | |",
    ]
    (ROOT / "benchmarks/pipeline.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
