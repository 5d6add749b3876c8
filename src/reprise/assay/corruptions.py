"""The 17 corruptions of ImageNet-C that the assay uses, at 5 severities, batched ("Assaying OOD", Sec. 4).

Corruption error is the error on the ID test split corrupted by each type and severity (glass blur and frost are left
out, as in the paper's code). The constants are ImageNet-C's, in the order of the severities; lengths in pixels are for
224 pixels and are scaled with the image. Each image has its own seed, so its corruption depends neither on the batch
nor on the order; the original draws from one global generator inside its loader's workers.
Differs from ImageNet-C also in rounding to the nearest grey level (it truncates) and where the functions say so.
"""

import difflib
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Int, UInt8
from numpy.typing import ArrayLike
from torch import Tensor

from reprise.assay import corruption_blur as blur
from reprise.assay import corruption_digital as digital
from reprise.assay import corruption_noise as noise
from reprise.assay import corruption_weather as weather
from reprise.assay.corruption_random import splitmix64
from reprise.errors import UserError
from reprise.seeding import derive

# Each type: its function and the constants of severities 1 to 5.
CORRUPTIONS: dict[str, tuple[Callable[..., Tensor], tuple[tuple[float, ...], ...]]] = {
    "gaussian_noise": (noise.gaussian_noise, ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,))),
    "shot_noise": (noise.shot_noise, ((60,), (25,), (12,), (5,), (3,))),
    "impulse_noise": (noise.impulse_noise, ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,))),
    "speckle_noise": (noise.speckle_noise, ((0.15,), (0.2,), (0.35,), (0.45,), (0.6,))),
    "defocus_blur": (blur.defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    "motion_blur": (blur.motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": (blur.zoom_blur, ((1.1, 0.01), (1.15, 0.01), (1.2, 0.02), (1.25, 0.02), (1.3, 0.03))),
    "gaussian_blur": (blur.gaussian_blur, ((1,), (2,), (3,), (4,), (6,))),
    "snow": (
        weather.snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "fog": (weather.fog, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    "spatter": (
        weather.spatter,
        (
            (0.65, 0.3, 4, 0.69, 0.6, 0),
            (0.65, 0.3, 3, 0.68, 0.6, 0),
            (0.65, 0.3, 2, 0.68, 0.5, 0),
            (0.65, 0.3, 1, 0.65, 1.5, 1),
            (0.67, 0.4, 1, 0.65, 1.5, 1),
        ),
    ),
    "brightness": (digital.brightness, ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))),
    "contrast": (digital.contrast, ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,))),
    "saturate": (digital.saturate, ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))),
    "elastic_transform": (
        digital.elastic_transform,
        tuple(
            (244 * amplitude, 244 * length, 244 * jitter)
            for amplitude, length, jitter in (
                (2, 0.7, 0.1),
                (2, 0.08, 0.2),
                (0.05, 0.01, 0.02),
                (0.07, 0.01, 0.02),
                (0.12, 0.01, 0.02),
            )
        ),
    ),
    "pixelate": (digital.pixelate, ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,))),
    "jpeg_compression": (digital.jpeg_compression, ((25,), (18,), (15,), (10,), (7,))),
}
TYPES = tuple(CORRUPTIONS)
SEVERITIES = (1, 2, 3, 4, 5)
CHUNK_BYTES = 64 * 2**20  # on an accelerator; on a processor a quarter, so that a chunk stays in the cache
FLOATS_PER_VALUE = 12  # working memory per pixel and channel, in float32, of the hungriest type


def corrupt(
    images: UInt8[Tensor, "n 3 h w"], kind: str, severity: int, seeds: Int[Tensor, " n"]
) -> UInt8[Tensor, "n 3 h w"]:
    """The images under corruption `kind` at `severity`, on the images' device, each from its own seed.

    Works in chunks of at most about 64 MiB of memory. UserError for an unknown kind or severity; ValueError for images
    that are not uint8 (n, 3, h, w) with sides of 4 to 1,000 pixels, or seeds that are not int64 (n,).
    """
    function, constants = _known(kind, severity)
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are {images.dtype} {tuple(images.shape)}, expected uint8 (n, 3, h, w)")
    if not all(4 <= side <= 1000 for side in images.shape[2:]):
        raise ValueError(f"images are of {images.shape[2]} x {images.shape[3]} pixels, expected sides of 4 to 1000")
    if seeds.dtype != torch.int64 or seeds.shape != images.shape[:1]:
        raise ValueError(f"seeds are {seeds.dtype} {tuple(seeds.shape)}, expected int64 ({len(images)},)")
    if len(images) == 0:
        return images.clone()
    room = CHUNK_BYTES // 4 if images.is_cpu else CHUNK_BYTES
    chunk = max(room // (4 * FLOATS_PER_VALUE * images[0].numel()), 1)
    seeds = seeds.to(images.device)
    result = torch.empty_like(images)
    for start in range(0, len(images), chunk):
        part = slice(start, start + chunk)
        corrupted = function(images[part].float().div_(255), seeds[part], *constants)
        # The 1/4096 above a half settles ties alike, whatever the last bit of a sum says.
        result[part] = corrupted.clamp(0, 1).mul_(255).add_(0.5 + 2**-12).to(torch.uint8)
    return result


def image_seeds(seed: int, ids: ArrayLike, kind: str, severity: int) -> Int[Tensor, " n"]:
    """A seed for each image: a hash of (`seed`, its id, type, severity), as Sec. 7 item 2 asks.

    Args: `ids` (n,) integers that name the images, the same in every run. UserError as for `corrupt`.
    """
    _known(kind, severity)
    purpose = np.uint64(derive(seed, "corruption", kind, severity))
    hashed = splitmix64(splitmix64(np.asarray(ids, dtype=np.int64).astype(np.uint64)) ^ purpose)
    return torch.from_numpy(hashed.view(np.int64))


def _known(kind: str, severity: int) -> tuple[Callable[..., Tensor], tuple[float, ...]]:
    """Function and constants of a corruption; UserError naming the nearest type, or the severities there are."""
    if kind not in CORRUPTIONS:
        near = difflib.get_close_matches(kind, TYPES, n=1, cutoff=0.0)
        raise UserError(f"unknown corruption {kind!r}: did you mean {near[0]}? There are {', '.join(TYPES)}")
    if severity not in SEVERITIES:
        raise UserError(f"severity {severity!r} of {kind} does not exist: choose 1, 2, 3, 4 or 5")
    function, constants = CORRUPTIONS[kind]
    return function, constants[severity - 1]
