"""Frames per second of the generated video sets; writes video_generation.md beside itself.

    OMP_NUM_THREADS=1 python benchmarks/video_generation.py

On one core: drawing alone, and the whole preparation at the sizes below, with its writing and hashing.
"""

import os
import platform
import tempfile
import time
import tracemalloc
from pathlib import Path

import numpy as np
from PIL import __version__ as pil_version

from reprise.data import chewgum, fishbowl_lite
from reprise.data.arrays import Prepared, open_prepared
from reprise.data.registry import options_model, prepare_function

HERE = Path(__file__).resolve().parent
REPEATS = 5
CHEWGUM = {"n_train": 400, "n_test": 80, "frames": 20}
SIZES = {
    "chewgum": CHEWGUM,
    "chewgum_radial": CHEWGUM,
    "fishbowl_lite": {"n_train": 300, "n_test": 80, "n_adapt": 60, "n_unseen": 60, "frames": 16},
}


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def draw(name: str) -> int:
    """Draw 100 videos, or what it takes for 100 tracks with occlusion (the scenes twice, as `prepare` does)."""
    if name != "fishbowl_lite":
        shape = chewgum.inscribed if name == "chewgum" else chewgum.radial
        rngs = (np.random.default_rng(k) for k in range(100))
        return sum(len(chewgum.draw_video(rng, 20, shape, attached=name == "chewgum")[0]) for rng in rngs)
    for _ in fishbowl_lite.scenes(0, "train", 100, 16):
        pass
    scenes = fishbowl_lite.scenes(0, "train", 100, 16)
    return sum(len(fishbowl_lite.render(rng, scene)[0]) for rng, scene, _ in scenes)


def frames_per_second(name: str) -> float:
    """Of processor time; median of the repeats."""
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        found.append(draw(name) / (time.process_time() - start))
    return float(np.median(found))


def prepare(name: str, folder: Path) -> Prepared:
    """The whole set, as `stages/prepare.py` makes it."""
    prepare_function(name)(folder / "no-raw", folder / "out", options_model(name)(**SIZES[name]), seed=0)
    return open_prepared(folder / "out")


def row(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        data = prepare(name, Path(folder))
        seconds = time.process_time() - start
        size = sum(array.nbytes for array in data.arrays.values()) / 2**20
        videos, tracks, frames = (len(data.arrays[key]) for key in ("videos", "tracks", "frames"))
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()  # sees NumPy's own memory, not the files' pages
        prepare(name, Path(folder))
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    cells = (
        f"{videos:,}",
        f"{tracks:,}",
        f"{frames:,}",
        f"{frames_per_second(name):,.0f}",
        f"{seconds:.1f}",
        f"{frames / seconds:,.0f}",
        f"{size:.0f}",
        f"{peak:.1f}",
    )
    return f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    for name in SIZES:
        draw(name)  # first calls import and fill caches
    rows = [row(name) for name in SIZES]
    text = f"""# The generated videos: frames per second

Written by `benchmarks/video_generation.py`. Hardware: one core of an x86-64 CPU (2-core machine), {cpu_model()};
numpy {np.__version__}, PIL {pil_version}, Python {platform.python_version()}.

| data set | videos | tracks | frames | drawn per second | all, seconds | all, frames per second | MiB | peak MiB |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Processor time, so that other work on the machine does not count. Drawn per second: frames, masks and flow of a hundred
videos or tracks, median of {REPEATS}; for fishbowl_lite the scenes are drawn twice, once to count and once to render.
All: one preparation of the set from nothing, with writing and hashing. MiB: the arrays on disk. Peak: the largest
memory that Python and NumPy held at once, imports and the files' own pages left out: it does not grow with the number
of videos.
"""
    (HERE / "video_generation.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
