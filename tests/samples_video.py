"""Tiny videos in the official layouts of FISHBOWL, KINS-Video-Car, MOViD-Amodal and DAVIS.

All show the same `Scene` unless said otherwise: a square that stands still, and a second one that passes in front.
"""

import json
import pickle
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco

from samples import add_to_overlay


@dataclass(frozen=True)
class Scene:
    """Full masks (object, T, H, W); the second is in front and comes from the left, 3 pixels a frame."""

    n: int = 24
    height: int = 96
    width: int = 128
    side: int = 24
    full: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        full = np.zeros((2, self.n, self.height, self.width), bool)
        for t in range(self.n):
            full[0, t, 32 : 32 + self.side, 52 : 52 + self.side] = True
            full[1, t, 40 : 40 + self.side, 20 + 3 * t : 20 + 3 * t + self.side] = True
        object.__setattr__(self, "full", full)

    @property
    def visible(self) -> np.ndarray:
        return np.stack([self.full[0] & ~self.full[1], self.full[1]])

    @property
    def frames(self) -> np.ndarray:
        """(T, H, W, 3) uint8: grey ground, a red square, and a green one in front."""
        frames = np.full((*self.full.shape[1:], 3), 90, np.uint8)
        for masks, colour in zip(self.full, ((200, 40, 40), (40, 200, 40)), strict=True):
            frames[masks] = colour
        return frames


def encode(mask: np.ndarray, text: bool = False) -> dict:
    """COCO run-length encoding, with `counts` as text for JSON."""
    encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {**encoded, "counts": encoded["counts"].decode()} if text else encoded


def write_flo(path: Path, flow: np.ndarray) -> Path:
    """A Middlebury file of flow (H, W, 2)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = np.float32(202021.25).tobytes() + np.array(flow.shape[1::-1], "<i4").tobytes()
    path.write_bytes(header + flow.astype("<f4").tobytes())
    return path


def write_flows(folders: tuple[Path, Path], n: int, shape: tuple[int, int]) -> None:
    """n files each way: (3, t) pixels forward from frame t, and (-3, t) back to it."""
    for folder, dx in zip(folders, (3.0, -3.0), strict=True):
        for t in range(n):
            write_flo(folder / f"{t:06}.flo", np.broadcast_to([dx, float(t)], (*shape, 2)))


def palette(labels: np.ndarray) -> Image.Image:
    """Labels (H, W) as the indices of a palette that has other values, as renderers write them."""
    image = Image.frombytes("P", labels.shape[::-1], labels.astype(np.uint8).tobytes())
    image.putpalette(list(np.random.default_rng(0).integers(0, 255, 768, np.uint8).tobytes()))
    return image


def write_frames(folder: Path, frames: Iterable[np.ndarray | Image.Image], name: str = "{:05}.png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(frames):
        image = Image.fromarray(frame) if isinstance(frame, np.ndarray) else frame
        image.save(folder / name.format(t))


def fishbowl_released(folder: Path, split: str, scene: Scene, video: str = "00007", flow_shape=(64, 128)) -> dict:
    """SPLIT_data/ as released; returns the content of its pickle. Object 5 is the one behind, 12 the one in front."""
    folder = folder / f"{split}_data"
    write_frames(folder / f"{split}_frames" / video, scene.frames)
    field = "inference/run.epoch-0-flow-field"
    folders = tuple(folder / f"{split}_{kind}" / field / video for kind in ("flow", "flow_reverse"))
    write_flows(folders, scene.n - 1, flow_shape)
    content = {}
    for thing, number in enumerate((5, 12)):
        entries = {}
        for t in range(scene.n):
            other = scene.visible[1 - thing, t]
            entries[t] = {
                "FM": [encode(scene.full[thing, t])],
                "VM": [encode(scene.visible[thing, t])],
                "FM_bx": [np.int64(0), np.int64(1), 2, 3],
                "OCC_R": np.float64(0.5),
                "loss_mask_weight": [encode(~other)],
                "fish_type": "fish",
            }
        content[f"{video}_{number}"] = entries
    write_pickle(folder / f"{split}_data.pkl", content)
    return content


def fishbowl_generated(folder: Path, split: str, scene: Scene, video: str = "00003") -> None:
    """SPLIT_data/ as the generator leaves it: one video, and a recording of each fish alone."""
    folder = folder / f"{split}_data"
    (folder / split / video).mkdir(parents=True)
    objects = [
        {"id": k, "type_id": 0, "type_name": "fish", "masks": [encode(mask, text=True) for mask in masks]}
        for k, masks in enumerate(scene.visible)
    ]
    (folder / split / video / "objects.json").write_text(json.dumps(objects))
    (folder / split / video / "recording.json").write_text("{}")
    for k, masks in enumerate(scene.full):
        alone = folder / f"{split}_objects" / f"{video}_object{k}"
        alone.mkdir(parents=True)
        entry = [{"id": k, "type_name": "fish", "masks": [encode(mask, text=True) for mask in masks]}]
        (alone / "objects.json").write_text(json.dumps(entry))
    size = (scene.width, scene.height)
    stream = cv2.VideoWriter(str(folder / split / video / "video.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, size)
    for frame in scene.frames:
        stream.write(np.ascontiguousarray(frame[..., ::-1]))
    stream.release()


def kins_car(folder: Path, scene: Scene, annotated: tuple[int, ...] = (6, 8)) -> None:
    """The whole release: one drive per split; frames `annotated` of the test drive are images of KINS."""
    days = {"train": "2011_09_26", "val": "2011_09_28", "test": "2011_09_29"}
    for split, day in days.items():
        drive = f"{day}_drive_0001_sync"
        write_frames(folder / "Kitti/raw_video" / day / drive, scene.frames, "{:010}.png")
        folders = tuple(folder / "Kitti" / kind / day / drive for kind in ("Kitti_flow", "Kitti_reverse_flow"))
        write_flows(folders, scene.n - 1, (scene.height, scene.width))
        cars = {
            number: {
                t: {
                    "VM": encode(scene.visible[thing, t]),
                    "VM_bbox": np.array([0, 1, 2, 3]),
                    "loss_mask": encode(scene.visible[1 - thing, t]),
                }
                for t in range(scene.n)
            }
            for thing, number in enumerate((3, 11))
        }
        write_pickle(folder / f"car_data/{split}_data.pkl", {drive: cars})
    images, annotations = [], []
    (folder / "Kins/training/image_2").mkdir(parents=True)
    for number, t in enumerate(annotated):
        drive = folder / "Kitti/raw_video/2011_09_29/2011_09_29_drive_0001_sync"
        name = f"{number:06}.png"
        (folder / "Kins/training/image_2" / name).write_bytes((drive / f"{t:010}.png").read_bytes())
        images.append({"id": 100 + number, "file_name": name, "height": scene.height, "width": scene.width})
        for thing in range(2):
            rows, columns = (np.flatnonzero(scene.full[thing, t].any(axis=axis)) for axis in (1, 0))
            left, right, top, bottom = (float(edge) for edge in (columns[0], columns[-1] + 1, rows[0], rows[-1] + 1))
            annotations.append(
                {
                    "image_id": 100 + number,
                    "inmodal_seg": encode(scene.visible[thing, t], text=True),
                    "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                }
            )
    (folder / "Kins/instances_train.json").write_text(json.dumps({"images": images, "annotations": annotations}))


def movi(folder: Path, scene: Scene) -> None:
    """MOViD_A/ with video 4 in train and 17 in test; the objects' values are 30 and 31."""
    for split, video in (("train", 4), ("test", 17)):
        path = folder / "MOViD_A" / split / str(video)
        rgba = np.concatenate([scene.frames, np.full((*scene.frames.shape[:3], 1), 255, np.uint8)], axis=-1)
        write_frames(path, rgba, "rgba_full_{:05}.png")
        labels = 30 * scene.visible[0] + 31 * scene.visible[1]
        write_frames(path, map(palette, labels), "segmentation_full_{:05}.png")
        for thing in range(2):
            alone = (30 + thing) * scene.full[thing]
            write_frames(path, map(palette, alone), f"segmentation_{thing}_{{:05}}.png")
        facts = {"num_frames": scene.n, "height": scene.height, "width": scene.width}
        (path / "metadata.json").write_text(json.dumps({"metadata": facts, "instances": []}))
        (folder / f"MOViD_A/{split}_instance.txt").write_text(f"{video}_0_30\n{video}_1_31\n")


def davis(folder: Path, sequences: dict[str, int], size: tuple[int, int] = (48, 80), resolution: str = "480p") -> Path:
    """DAVIS-data.zip of these sequences (name: frames) and an overlay that names it, which is returned.

    Each shows a textured box that drifts to the right, of its own size and colour.
    """
    rng = np.random.default_rng(0)
    height, width = size
    for k, (name, n) in enumerate(sequences.items()):
        ground = rng.integers(0, 120, (height, width, 3), np.uint8)
        side = 14 + 2 * (k % 3)
        box = rng.integers(130, 255, (side, side, 3), np.uint8)
        frames, masks = [], []
        for t in range(n):
            frame, mask = ground.copy(), np.zeros(size, np.uint8)
            place = (slice(16, 16 + side), slice(20 + t, 20 + t + side))
            frame[place], mask[place] = box[:, : width - 20 - t], 255
            frames.append(frame)
            masks.append(mask)
        write_frames(folder / "DAVIS/JPEGImages" / resolution / name, frames, "{:05}.jpg")
        write_frames(folder / "DAVIS/Annotations" / resolution / name, masks)
    return davis_archive(folder)


def davis_archive(folder: Path) -> Path:
    """Zip folder/DAVIS, as it is, and put it into the overlay."""
    with zipfile.ZipFile(folder / "DAVIS-data.zip", "w") as bundle:
        for path in sorted((folder / "DAVIS").rglob("*.*")):
            bundle.write(path, path.relative_to(folder).as_posix())
    return add_to_overlay(folder, "davis", [folder / "DAVIS-data.zip"])


def davis_sample(shared: Path, folder: Path, sequences: dict[str, int]) -> Path:
    """The first frames of these sequences of the real sample (240p), as DAVIS-data.zip; returns the overlay."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(shared / "davis240/davis240.zip") as sample,
        zipfile.ZipFile(folder / "DAVIS-data.zip", "w") as official,
    ):
        for name, n in sequences.items():
            for t in range(n):
                for path in (f"JPEGImages/240p/{name}/{t:05}.jpg", f"Annotations/240p/{name}/{t:05}.png"):
                    official.writestr(f"DAVIS/{path}", sample.read(f"DAVIS/{path}"))
    return add_to_overlay(folder, "davis", [folder / "DAVIS-data.zip"])


def write_pickle(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
