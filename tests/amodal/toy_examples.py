"""A toy video set with known hidden parts, its predictions, and examples of it.

Squares of 8 x 8 pixels move to the right, 1 pixel per frame, behind a bar 6 pixels wide. Every prediction is the truth
but for a number of columns at the right of the square, which grows from track to track.
"""

from pathlib import Path

import numpy as np

from reprise.amodal.examples import Example, collect
from reprise.amodal.params import Evaluation
from reprise.data.videos import OTHER, Track, VideoWriter

SETTINGS = Evaluation(occlusion=[0.1, 0.7], threshold=0.5, completion_threshold=0.2, bootstrap=10)
T, H, W, SIDE = 12, 20, 32, 8
BAR = slice(14, 20)
METHODS = ("savos", "completion", "per_frame")


def truth(track: int) -> np.ndarray:
    """(t, h, w) full masks: the higher the number, the later the square arrives."""
    full = np.zeros((T, H, W), bool)
    for t in range(T):
        left = 6 + t - track
        full[t, 6 : 6 + SIDE, left : left + SIDE] = True
    return full


def predicted(track: int) -> np.ndarray:
    """uint8 (t, h, w): probability 1 on the square without its `track` rightmost columns."""
    full = truth(track)
    for t in range(T):
        stop = 6 + t - track + SIDE
        full[t, :, stop - track : stop] = False
    return np.where(full, 255, 0).astype(np.uint8)


def prepare(folder: Path, n: int) -> None:
    """A set of `n` test videos of one track each, and one to train on."""
    sizes = {"frames": (n + 1) * T, "height": H, "width": W, "videos": n + 1, "tracks": n + 1}
    with VideoWriter(folder, name=folder.name, track_frames=(n + 1) * T, **sizes) as writer:
        for place, number in enumerate((0, *range(n))):
            full = truth(number)
            owner = np.where(full, 1, 0).astype(np.uint8)
            owner[:, :, BAR] = OTHER
            flow = np.zeros((T, 4, H, W), np.float16)
            flow[:-1, 0][owner[:-1] == 1] = 1
            flow[1:, 2][owner[1:] == 1] = -1
            frames = np.repeat(owner[:, None] // 2 + 60, 3, axis=1)
            writer.video(frames, owner, flow, [Track(1, full)])
            if place == 0:
                writer.split("train")
        writer.split("test")
        writer.finish(flow_source="exact")


def predict(folder: Path, n: int) -> dict[str, Path]:
    """Files of predictions by method, all alike but that PCNet-M is less sure."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    probability = np.concatenate([predicted(track) for track in range(n)])
    for method in METHODS:
        found[method] = folder / f"{method}.s0.npz"
        sure = probability // 4 if method == "completion" else probability
        arrays = {
            "probability": sure,
            "weight": np.tile(np.linspace(255, 0, T).astype(np.uint8), n),
            "gap": np.full(n * T, 0.25, np.float16),
            "motion": np.tile(np.array([[0.5, 0.0]], np.float16), (n * T, 1)),
        }
        np.savez_compressed(found[method], **{f"test/{name}": array for name, array in arrays.items()})
    return found


def make(folder: Path, name: str = "squares", n: int = 7) -> list[Example]:
    prepare(folder / name, n)
    return collect(folder / name, predict(folder / "predictions" / name, n), SETTINGS)
