"""How the assay paper divides a domain (its released `create_webdataset.py`): one shuffle, then class by class.

The images of a domain, sorted by class folder and name, are shuffled once with Python's generator, seed 42. Going
through that order, each class first fills its share of `train`, then of `test`, then of `val`; so the order of every
split is the shuffled one, and the first k images of a class in `train` are its k-shot subset.
"""

import random
from collections.abc import Callable

import numpy as np
import pandas as pd
from jaxtyping import Int

SEED = 42


def shuffled(n: int) -> Int[np.ndarray, " n"]:
    """0..n-1 in the order of Python's shuffle with seed 42, the same in every domain of n images."""
    order = list(range(n))
    random.Random(SEED).shuffle(order)
    return np.array(order, dtype=np.int64)


def split_sizes(n: int) -> tuple[int, int, int]:
    """Sizes of (train, test, val) for a class of n images.

    80, 10 and 10 %, rounded down; of the 0 to 2 images left over one goes to train, then one to test. (The release
    means to give them to the largest rounding errors; a slip in operator precedence makes it this order.)
    """
    train, test = n * 8 // 10, n // 10
    left = n - train - 2 * test
    return train + (left > 0), test + (left > 1), test


def halves(n: int) -> tuple[int, int]:
    """Sizes of (test, val) for a class of n images of an official validation or test set that is cut in two."""
    return n - n // 2, n // 2


def split(
    labels: Int[np.ndarray, " n"],
    sizes: Callable[[int], tuple[int, ...]] = split_sizes,
    readable: np.ndarray | None = None,
) -> tuple[Int[np.ndarray, " _"], ...]:
    """Positions in `labels` (already shuffled, 0..K-1) of each part that `sizes` names, ascending.

    Where `readable` (bool, (n,)) is given, the other images are in no part; as in the release they still count towards
    the sizes, so that the last part is the one that is short.
    """
    counts = np.bincount(labels)
    bounds = np.array([np.cumsum(sizes(int(count))) for count in counts])  # (K, parts)
    kept = np.arange(len(labels)) if readable is None else np.flatnonzero(readable)
    rank = pd.Series(labels[kept]).groupby(labels[kept]).cumcount().to_numpy()  # how many of its class came before
    part = (rank[:, None] >= bounds[labels[kept]]).sum(axis=1)
    return tuple(kept[part == number] for number in range(bounds.shape[1]))
