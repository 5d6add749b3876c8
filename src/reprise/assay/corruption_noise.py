"""The four noises of ImageNet-C, batched ("Assaying OOD", Sec. 4, corruption error).

Every corruption takes images x (n, 3, h, w) in [0, 1], the images' seeds (n,) and its severity's constants; it returns
float32 images that the caller clips to [0, 1].
"""

import functools

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.stats import poisson
from torch import Tensor

from reprise.assay.corruption_random import normal, uniform

Images = Float[Tensor, "n 3 h w"]
Seeds = Int[Tensor, " n"]


def gaussian_noise(x: Images, seeds: Seeds, sd: float) -> Images:
    """x + sd z, z standard normal for every pixel and channel."""
    return _normal_like(x, seeds).mul_(sd).add_(x)


def speckle_noise(x: Images, seeds: Seeds, sd: float) -> Images:
    """x + sd x z."""
    return _normal_like(x, seeds).mul_(sd).mul_(x).add_(x)


def shot_noise(x: Images, seeds: Seeds, rate: int) -> Images:
    """Poisson(rate x) / rate by inversion: binary search in a table of the 256 distributions a uint8 pixel can have.

    Exact but for probabilities rounded to 2^-24. Counts above `rate` are clipped to 1 anyway, so the table ends there.
    """
    table = _poisson_table(rate).to(x.device)
    size = table.shape[1]
    u = (uniform(seeds, x[0].numel()).view(-1)).mul_(2**24)
    probe = (x * 255).round_().view(-1).to(torch.int32).mul_(size)
    first, table = probe.clone(), table.view(-1)
    step = size // 2
    while step:
        above = table.index_select(0, probe + (step - 1)) <= u
        probe.add_(above, alpha=step)
        step //= 2
    return probe.sub_(first).view(x.shape).float().div_(rate)


@functools.cache
def _poisson_table(rate: int) -> Float[Tensor, "256 size"]:
    """2^24 P(count <= k) for each grey level and k < rate, in whole numbers; infinity from there on."""
    table = np.full((256, 1 << rate.bit_length()), np.inf, dtype=np.float32)
    table[:, :rate] = np.ceil(poisson.cdf(np.arange(rate), rate * np.arange(256)[:, None] / 255) * 2**24)
    return torch.from_numpy(table)


def impulse_noise(x: Images, seeds: Seeds, amount: float) -> Images:
    """A share `amount` of the values, each channel for itself, becomes 0 or 1 with equal probability."""
    u = uniform(seeds, x[0].numel()).view(x.shape)
    return torch.where(u < amount, (u < amount / 2).float(), x)


def _normal_like(x: Images, seeds: Seeds) -> Images:
    return normal(seeds, x[0].numel()).view(x.shape)
