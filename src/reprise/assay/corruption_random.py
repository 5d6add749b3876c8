"""Random numbers of the corruptions: each image has its own stream, whatever the batch ("Assaying OOD", Sec. 4).

A number is a hash of (seed of the image, which draw of the corruption, position in the image): no state, so an image
gets the same noise alone, in any batch and on any device. The hash is two rounds of a 32-bit finaliser with full
avalanche ("lowbias32", Wellons 2018) keyed by the two halves of a 64-bit one ("splitmix64", Steele et al. 2014).
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from torch import Tensor

GOLDEN_32, GOLDEN_64 = 0x9E3779B9, 0x9E3779B97F4A7C15


def splitmix64(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """A bijection of the 64-bit integers in which every input bit flips every output bit with probability 1/2."""
    x = x + np.uint64(GOLDEN_64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def random_bits(seeds: Int[Tensor, " n"], count: int, draw: int = 0) -> Int[Tensor, "n count"]:
    """32 random bits each, as int32; `draw` tells several fields of one corruption apart."""
    keys = splitmix64(splitmix64(seeds.cpu().numpy().astype(np.uint64)) + np.uint64(draw))
    first, second = torch.from_numpy(keys.view(np.int32).reshape(-1, 2)).to(seeds.device).T[..., None]
    positions = torch.arange(count, dtype=torch.int32, device=seeds.device) * _signed(GOLDEN_32)
    return _finalise(_finalise(positions ^ first).add_(second))


def uniform(seeds: Int[Tensor, " n"], count: int, draw: int = 0) -> Float[Tensor, "n count"]:
    """Uniform float32 numbers in [0, 1), multiples of 2^-24."""
    return _shifted(random_bits(seeds, count, draw), 8).float().mul_(2.0**-24)


def normal(seeds: Int[Tensor, " n"], count: int, draw: int = 0) -> Float[Tensor, "n count"]:
    """Standard normal float32 numbers by inversion; 2^24 different values, the largest 5.3."""
    odd = _shifted(random_bits(seeds, count, draw), 8).mul_(2).sub_(2**24 - 1)
    return odd.float().mul_(2.0**-24).erfinv_().mul_(math.sqrt(2))


def _finalise(x: Tensor) -> Tensor:
    """lowbias32 of int32 numbers, in place; products wrap around."""
    x ^= _shifted(x, 16)
    x *= 0x7FEB352D
    x ^= _shifted(x, 15)
    x *= _signed(0x846CA68B)
    x ^= _shifted(x, 16)
    return x


def _shifted(x: Tensor, places: int) -> Tensor:
    """x >> places without copies of the sign bit."""
    return (x >> places).bitwise_and_((1 << (32 - places)) - 1)


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
