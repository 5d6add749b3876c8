"""Synthetic circuits in the format of data/results/circuits/graphs.npz: noisy targets, and questions of four types."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from reprise.circuits.priors import PRIORS
from reprise.circuits.tidy_graphs import Graphs, read
from reprise.data.nlvr_mini import QUESTIONS, TYPES, WORD, WORDS

KINDS: Mapping[str, str] = {
    "nac": "scale_free",
    "nac_nested": "scale_free",
    "nac_planted": "planted_partition",
    "nac_ring": "ring_of_cliques",
    "nac_random": "erdos_renyi",
    "nac_small_world": "watts_strogatz",
    "nac_prefit": "scale_free",
    "nac_no_prior": "",
}
ARRAYS = dict[str, np.ndarray]


def noisy(links: np.ndarray, scale: float, random: np.random.Generator) -> np.ndarray:
    """Symmetric, in [0, 1], ones on the diagonal."""
    noise = np.triu(random.normal(0, scale, links.shape), 1)
    found = np.clip(links + noise + noise.T, 0.01, 1)
    np.fill_diagonal(found, 1)
    return found.astype(np.float32)


def networks(processors: int = 32, kinds: Mapping[str, str] = KINDS) -> ARRAYS:
    """Links of every method near those of its target; without a prior they start out alike."""
    random, found = np.random.default_rng(1), {}
    for method, kind in kinds.items():
        target = PRIORS[kind](processors) if kind else np.full((processors, processors), 0.4)
        found[f"{method}/links_start"] = noisy(target, 0.03, random)
        found[f"{method}/links"] = noisy(target, 0.06 if kind else 0.2, random)
        if kind:
            np.fill_diagonal(target, 1)
            found[f"{method}/target"] = target.astype(np.float32)
    return found


def questions(n: int = 400, processors: int = 32) -> ARRAYS:
    """Circuits of n questions, types in turn: a common one, and of each type other processors that are linked more.

    A question is asked several times of that many.
    """
    random = np.random.default_rng(2)
    things = np.array([[0, 0], [0, 1]])
    asked = [[WORD[word] for word in QUESTIONS[TYPES[k % len(TYPES)]](things, random)] for k in range(n)]
    block = np.arange(processors) * len(TYPES) // processors
    made: dict[tuple[int, ...], np.ndarray] = {}
    for k, text in enumerate(asked):
        inside = np.equal.outer(block, block) & (block == k % len(TYPES))
        if tuple(text) not in made:
            made[tuple(text)] = noisy(np.where(inside, 0.65, 0.25), 0.08, random)
    return {
        "conditional/circuits": np.stack([made[tuple(text)] for text in asked]).astype(np.float16),
        "conditional/type": np.arange(n) % len(TYPES),
        "conditional/text": np.array(asked),
        "words": np.array(WORDS),
        "types": np.array(TYPES),
    }


def make(path: Path, parts: Sequence[ARRAYS] | None = None) -> Graphs:
    """Write the parts (everything) and read them as the report does."""
    arrays: ARRAYS = {}
    for part in [networks(), questions()] if parts is None else parts:
        arrays |= part
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return read(path)
