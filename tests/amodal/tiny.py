"""A tiny prepared video set, networks of a few hundred weights, and clips in memory."""

from pathlib import Path

import numpy as np
import torch

from reprise.amodal.networks import Sizes
from reprise.amodal.params import Network
from reprise.amodal.predictor import Clip, predictor_of
from reprise.data.videos import OTHER, Track, VideoWriter

HEIGHT, WIDTH = 20, 28
SETTINGS = {
    "network": {
        "crop": [16, 16],
        "enlarge": 1.5,
        "encoder": [4, 8, 16],
        "mask_encoder": [2, 4, 8],
        "flow_encoder": [2, 4, 8],
        "mask_decoder": [8, 8, 4],
        "flow_decoder": [8, 4, 4],
        "hidden": 8,
        "flow_scale": 0.25,
        "residual_scale": 0.25,
    },
    "training": {
        "lr": 0.01,
        "schedule": "one_cycle",
        "clip_norm": 5.0,
        "clip_length": 5,
        "consistency": 10.0,
        "photometric": 0.0,
        "eps": 0.0001,
    },
    "completion": {
        "crop": 16,
        "enlarge": 2.0,
        "widths": [4, 8, 8],
        "steps": 3,
        "batch_size": 8,
        "lr": 0.01,
        "in_front": 0.8,
        "shift": 0.6,
        "weight": 5.0,
    },
}
VIDEOS = {"train": 4, "test": 4, "unseen_adapt": 1, "unseen": 2}
# Start, number of frames and whether they are fit for use, of the object that passes behind another one; all other
# videos have one whole track of it.
TRACKS = {("train", 1): (2, 3, True), ("test", 1): (3, 1, True), ("test", 2): (1, 2, True), ("test", 3): (0, 4, False)}
FRAMES = 6


def video(seed, n=FRAMES, left=2, hidden=()):
    """Object 1, 8 x 6 pixels, moves 2 pixels a frame to the right behind object 2, and in frames `hidden` is unseen."""
    random = np.random.default_rng(seed)
    full = np.zeros((2, n, HEIGHT, WIDTH), dtype=bool)
    for t in range(n):
        full[0, t, 7:13, left + 2 * t : left + 2 * t + 8] = True
    full[1, :, 4:15, 15:18] = True
    owner = np.where(full[0], 1, 0).astype(np.uint8)
    owner[list(hidden)] = np.where(full[0, list(hidden)], OTHER, 0)
    owner[:, :, 25:] = OTHER
    owner[full[1]] = 2
    flow = np.zeros((n, 4, HEIGHT, WIDTH), dtype=np.float16)
    flow[:, 0], flow[:, 2] = 2.0 * (owner == 1), -2.0 * (owner == 1)
    flow[-1, :2], flow[0, 2:] = 0, 0
    return random.integers(0, 256, (n, 3, HEIGHT, WIDTH), dtype=np.uint8), owner, flow, full


def prepare(folder: Path, *, scrambled: bool = False, name: str = "tiny") -> Path:
    """Splits as `VIDEOS`; with `scrambled` the hidden truth is noise and all else the same."""
    noise = np.random.default_rng(99)
    scenes = {}
    for split, count in VIDEOS.items():
        for k in range(count):
            frames, owner, flow, full = video(len(scenes), left=1 + k, hidden=(3,) if k == 3 else ())
            start, length, occluded = TRACKS.get((split, k), (0, FRAMES, True))
            masks = noise.random(full.shape) < 0.5 if scrambled else full
            tracks = [Track(1, masks[0, start : start + length], start, occluded), Track(2, masks[1], occluded=False)]
            scenes[split, k] = frames, owner, flow, tracks
    sizes = {
        "frames": FRAMES * len(scenes),
        "videos": len(scenes),
        "tracks": 2 * len(scenes),
        "track_frames": sum(len(track.amodal) for *_, tracks in scenes.values() for track in tracks),
    }
    with VideoWriter(folder, name=name, height=HEIGHT, width=WIDTH, **sizes) as writer:
        for split, count in VIDEOS.items():
            for k in range(count):
                writer.video(*scenes[split, k])
            writer.split(split)
        writer.finish(flow_source="exact")
    return folder


def sizes() -> Sizes:
    network = Network(**SETTINGS["network"])
    return Sizes(crop=(16, 16), **network.model_dump(exclude={"crop", "enlarge"}))


def predictor(method="savos", seed=0, scale=1.0):
    """With random weights, `scale` times those of a new network."""
    torch.manual_seed(seed)
    made = predictor_of(method, SETTINGS)
    with torch.no_grad():
        for weight in made.parameters():
            weight.mul_(scale)
    return made


def batch(counts=(6, 6, 6), length=6, height=44, width=52, seed=0, fastest=0.3):
    """One object per clip that drifts behind a narrow bar, at up to `fastest` pixels a frame in x and y.

    The flow is almost its motion. Slow objects, whose boxes change little, stay in the windows with all that is said
    of them. Frames beyond `counts` repeat the last one.
    """
    random = np.random.default_rng(seed)
    n = len(counts)
    full = np.zeros((n, length, height, width), dtype=bool)
    bar = np.zeros_like(full)
    flow = np.zeros((n, length, 4, height, width), dtype=np.float32)
    y, x = np.mgrid[:height, :width]
    for k in range(n):
        speed, start = random.uniform(-fastest, fastest, 2), random.uniform(-2, 2, 2)
        for t in range(length):
            place = np.array([width, height]) / 2 + start + speed * t
            full[k, t] = ((x - place[0]) / 7) ** 2 + ((y - place[1]) / 6) ** 2 < 1
        flow[k, :, :2] = speed[:, None, None] + random.normal(0, 0.02, (length, 2, height, width))
        flow[k, :, 2:] = -speed[:, None, None] + random.normal(0, 0.02, (length, 2, height, width))
        bar[k, :, :, width // 2 : width // 2 + 3] = True
    owner = np.where(bar, OTHER, np.where(full, 1 + np.arange(n)[:, None, None, None], 0)).astype(np.uint8)
    frames = random.integers(0, 256, (n, length, 3, height, width), dtype=np.uint8)
    last = np.minimum(np.arange(length)[None], np.array(counts)[:, None] - 1)
    rows = np.arange(n)[:, None]
    frames, owner, flow, full = (part[rows, last] for part in (frames, owner, flow, full))
    return {
        "frames": torch.from_numpy(frames),
        "owner": torch.from_numpy(owner),
        "flow": torch.from_numpy(flow),
        "object": torch.arange(1, n + 1, dtype=torch.int32),
        "count": torch.tensor(counts),
        "amodal": torch.from_numpy(full),
    }


def clip(**changes) -> Clip:
    return Clip.of(batch(**changes)).floats()
