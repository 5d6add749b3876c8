"""Images per second of the batched corruptions against one image at a time; writes corruptions.md beside itself.

    OMP_NUM_THREADS=1 python benchmarks/corruptions.py

Both run on one core over the same random images: all 17 types, severities 1, 3 and 5. One image at a time is
tests/reference/corruption_reference.py: the same definitions in NumPy, SciPy, Matplotlib and PIL.
"""

import os
import platform
import sys
import time
from pathlib import Path

import numpy as np
import scipy
import torch
from PIL import __version__ as pil_version

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from reference.corruption_reference import GeneratorFields, corrupt_one  # noqa: E402
from reprise.assay.corruptions import TYPES, corrupt, image_seeds  # noqa: E402

SEVERITIES, REPEATS = (1, 3, 5), 5
# Side of the images: how many in a batch, and how many are timed one at a time.
SIZES = {16: (540, 30), 32: (540, 20), 224: (8, 2)}
LAPTOP_TYPES = ("gaussian_noise", "impulse_noise", "brightness", "contrast", "pixelate", "gaussian_blur")
DOMAINS = 6


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def batched(images: torch.Tensor, kind: str, severity: int) -> float:
    """Seconds of processor time per image, median of the repeats; with the seeds, without the first call's tables."""
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.process_time()
        corrupt(images, kind, severity, image_seeds(0, np.arange(len(images)), kind, severity))
        seconds.append(time.process_time() - start)
    return float(np.median(seconds[1:])) / len(images)


def one_at_a_time(images: np.ndarray, kind: str, severity: int) -> float:
    """Seconds of processor time per image, median over the images, the first (cached smoothing gains) left out."""
    seconds = []
    for k, image in enumerate([images[0], *images]):
        start = time.process_time()
        corrupt_one(image, kind, severity, GeneratorFields(k))
        seconds.append(time.process_time() - start)
    return float(np.median(seconds[1:]))


def laptop_seconds() -> float:
    """540 images of 16 x 16, six types, three severities, six domains, everything included."""
    images = torch.randint(0, 256, (540, 3, 16, 16), dtype=torch.uint8)
    start = time.perf_counter()
    for domain in range(DOMAINS):
        for kind in LAPTOP_TYPES:
            for severity in SEVERITIES:
                corrupt(images, kind, severity, image_seeds(domain, np.arange(len(images)), kind, severity))
    return time.perf_counter() - start


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    laptop = laptop_seconds()
    rng = np.random.default_rng(0)
    ours, theirs = np.empty((2, len(SIZES), len(TYPES)))
    for i, (side, (n, few)) in enumerate(SIZES.items()):
        images = rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8)
        tensor = torch.from_numpy(images)
        for j, kind in enumerate(TYPES):
            ours[i, j] = np.mean([batched(tensor, kind, severity) for severity in SEVERITIES])
            theirs[i, j] = np.mean([one_at_a_time(images[:few], kind, severity) for severity in SEVERITIES])
            print(f"{side:4d} {kind:18s} {1 / ours[i, j]:10,.0f} {1 / theirs[i, j]:8,.0f} images/s", flush=True)

    def row(name: str, a: np.ndarray, b: np.ndarray) -> str:
        cells = (f"{1 / x:,.0f} | {1 / y:,.0f} | {y / x:.1f}" for x, y in zip(a, b, strict=True))
        return f"| {name} | {' | '.join(cells)} |"

    rows = [row(kind, ours[:, j], theirs[:, j]) for j, kind in enumerate(TYPES)]
    overall = row("**all: images / time**", ours.mean(1), theirs.mean(1))
    heads = " | ".join(f"{side} px, batch of {n} | one at a time | times" for side, (n, _) in SIZES.items())
    few = {side: count for side, (_, count) in SIZES.items()}
    laptop_images = 540 * len(LAPTOP_TYPES) * len(SEVERITIES) * DOMAINS
    small = theirs[:2].sum() / ours[:2].sum()
    text = f"""# The corruptions: in batches, against one image at a time

Written by `benchmarks/corruptions.py`. Hardware: one core of an x86-64 CPU (2-core machine), {cpu_model()};
torch {torch.__version__}, numpy {np.__version__}, scipy {scipy.__version__}, PIL {pil_version}, Python \
{platform.python_version()}.

Images per second, mean time over severities {", ".join(map(str, SEVERITIES))}, random images:

| corruption | {heads} |
|---|{"---|" * 3 * len(SIZES)}
{chr(10).join(rows)}
{overall}

16 and 32 px together: {small:.1f} times as many images per second.

The laptop run's corruptions ({laptop_images:,} images of 16 x 16: 540 under {len(LAPTOP_TYPES)} types and \
{len(SEVERITIES)} severities in {DOMAINS} domains) take
{laptop:.2f} s in all, first-call costs included.

One at a time is `tests/reference/corruption_reference.py`: the same definitions with what one would use without a
batch (`scipy.ndimage`, PIL's JPEG and box filter, Matplotlib's HSV, NumPy's generator), vectorised over the pixels of
an image; the tests compare the two pixel by pixel. Processor time of the single thread, so that other work on the
machine counts for neither: the median over {few[16]} images of 16 px, {few[32]} of 32 and {few[224]} of 224 per type \
and severity one at a time,
the median of {REPEATS} runs for the batch; what both cache is made before. "All" is the number of images through the
total time.
"""
    (HERE / "corruptions.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
