"""Time of a training step of SaVos, batched against one frame at a time; writes amodal_step.md beside itself.

    OMP_NUM_THREADS=1 python benchmarks/amodal_step.py

Both take the same step on one core: forward, losses (L_rec and L_cons) and backward, of the laptop's network. One at a
time is tests/reference/savos_loop.py: the same modules and the same losses over whole frames.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from reference import savos_loop  # noqa: E402
from reprise.amodal.geometry import cut  # noqa: E402
from reprise.amodal.objectives import Objective, Weights  # noqa: E402
from reprise.amodal.params import load  # noqa: E402
from reprise.amodal.predictor import Clip, Predictor, predictor_of  # noqa: E402
from reprise.data.chewgum import draw_video, inscribed  # noqa: E402
from reprise.training import Batch  # noqa: E402

CLIPS, FRAMES = 8, 12
WEIGHTS = Weights(consistency=10.0, photometric=0.0, eps=1e-4)
OBJECTS, LENGTHS = (4, 8, 16, 32), (6, 12, 24, 48)


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def clips(n: int, frames: int) -> Batch:
    """Lower objects of chewgum videos, 50 x 56 pixels."""
    drawn = [draw_video(np.random.default_rng(k), frames, inscribed, attached=True) for k in range(n)]
    columns = [torch.from_numpy(np.stack([video[i] for video in drawn])) for i in range(3)]
    numbers = [next(t.object_id for t in video[3] if t.occluded) for video in drawn]
    frames_, owner, flow = columns
    return {
        "frames": frames_,
        "owner": owner,
        "flow": flow,
        "object": torch.tensor(numbers),
        "count": torch.full((n,), frames),
    }


def batched(predictor: Predictor, batch: Batch) -> torch.Tensor:
    return Objective(WEIGHTS)(predictor, batch)


def one_at_a_time(predictor: Predictor, batch: Batch) -> torch.Tensor:
    clip = Clip.of(batch).floats()
    found = savos_loop.predict(predictor.network, clip, enlarge=predictor.enlarge)
    reconstruction = savos_loop.reconstruction(found, clip.visible, 1 - clip.others, WEIGHTS.eps)
    return reconstruction + WEIGHTS.consistency * savos_loop.consistency(found)


def seconds(step: Callable[[Predictor, Batch], torch.Tensor], predictor: Predictor, batch: Batch, n: int) -> np.ndarray:
    """Processor time of each of n steps, after one that is not counted."""
    found = []
    for _ in range(n + 1):
        predictor.zero_grad()
        start = time.process_time()
        step(predictor, batch).backward()
        found.append(time.process_time() - start)
    return np.array(found[1:])


def left_out(predictor: Predictor, batch: Batch) -> float:
    """The constant loss of zeros outside of the windows, -log(1 - eps/2) a pixel."""
    clip = Clip.of(batch).floats()
    found = predictor(clip)
    trusted = 1 - clip.others
    pixels = trusted.sum((2, 3)) - cut(trusted, found.origin, found.size).sum((2, 3))
    return -np.log1p(-WEIGHTS.eps / 2) * pixels.mean().item()


def exponent(sizes: tuple[int, ...], times: list[float]) -> float:
    """The slope of log time over log size: 1 is linear."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    settings = load(str(HERE.parent / "params.yaml")).model_dump(include={"network", "training", "completion"})
    torch.manual_seed(0)
    predictor, batch = predictor_of("savos", settings), clips(CLIPS, FRAMES)
    with torch.no_grad():
        loss = one_at_a_time(predictor, batch).item()
        gap = loss - batched(predictor, batch).item() - left_out(predictor, batch)
    ours = seconds(batched, predictor, batch, repeats)
    theirs = seconds(one_at_a_time, predictor, batch, max(repeats // 3, 1))
    by_objects = [float(np.median(seconds(batched, predictor, clips(n, FRAMES), repeats))) for n in OBJECTS]
    by_frames = [float(np.median(seconds(batched, predictor, clips(CLIPS, t), repeats))) for t in LENGTHS]

    def row(name: str, found: np.ndarray) -> str:
        middle = np.median(found)
        spread = f"{1e3 * found.min():.0f} to {1e3 * found.max():.0f}"
        return f"| {name} | {1e3 * middle:.0f} | {spread} | {middle / np.median(ours):.1f} |"

    def scaling(sizes: tuple[int, ...], times: list[float], other: int) -> str:
        lines = (f"| {n} | {1e3 * t:.0f} | {1e3 * t / (n * other):.2f} |" for n, t in zip(sizes, times, strict=True))
        return "\n".join(lines)

    text = f"""# A training step of SaVos: batched, against one object and frame at a time

Written by `benchmarks/amodal_step.py`. Hardware: one core of an x86-64 CPU (2-core machine), {cpu_model()};
torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}.

{CLIPS} clips of {FRAMES} frames of 50 x 56 pixels, both passes; forward, losses and backward. Milliseconds of processor
time.

| step | median | range | times batched |
|---|---|---|---|
{row("batched", ours)}
{row("one object and frame at a time", theirs)}

The losses of both, {loss:.1f}, differ by {gap:+.1e} once the constant outside of the windows is counted (the gradients
are compared in `tests/amodal/test_objectives.py`). One at a time crops, runs, pastes and warps every frame of every
pass by itself, with whole frames as canvas; its network is the same module, in batches of one.

With the number of objects ({FRAMES} frames) time grows with the power {exponent(OBJECTS, by_objects):.2f}:

| objects | ms a step | ms an object and frame |
|---|---|---|
{scaling(OBJECTS, by_objects, FRAMES)}

and with the length of the clips ({CLIPS} objects) with the power {exponent(LENGTHS, by_frames):.2f}:

| frames | ms a step | ms an object and frame |
|---|---|---|
{scaling(LENGTHS, by_frames, CLIPS)}

1 is linear; a step's fixed costs bring it below.
"""
    (HERE / "amodal_step.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
