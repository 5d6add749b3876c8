"""Time and accuracy of the exact merge search against the paper's grid search; writes merge_search.md beside itself.

    OMP_NUM_THREADS=1 python benchmarks/merge_search.py

Both run on one core over the same synthetic validation scores: n = 20,000, 21 tolerances from 0.001 to the
unconstrained |DDP| (exclusive), 200 x 200 pairs in [-15, 15] and four passes per tolerance for the grid.
"""

import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from reference.merge_reference import grid_search, judge_by_broadcasting, judge_by_counting  # noqa: E402
from reprise.fairness.merge import demographic_parity_gap, fit_merge, merged_score  # noqa: E402

N, REPEATS, SEED = 20_000, 15, 0


def two_headed_scores(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """z1, z2, y, a of a two-headed network: a task logit and a bimodal squared-loss group score."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 2, n)
    evidence = 0.40 * (1 - 2 * a) + rng.normal(size=n)
    y = (evidence + 0.35 * rng.normal(size=n) > 0).astype(int)
    z1 = 2.2 * (evidence + 0.08 * (1 - 2 * a) + 0.55 * rng.normal(size=n))
    cue = 1.41 * (2 * a - 1) + rng.normal(size=n)
    z2 = 1 / (1 + np.exp(-2.8 * cue)) + 0.08 * rng.normal(size=n)
    return z1, z2, y, a


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    z1, z2, y, a = two_headed_scores(N, SEED)
    ddp = demographic_parity_gap(z1 > 0, a)
    epsilons = np.linspace(0.001, abs(ddp), 22)[:-1]

    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        fit = fit_merge(z1, z2, y, a, epsilons=epsilons)
        seconds.append(time.perf_counter() - start)
    ours = float(np.median(seconds))

    start = time.perf_counter()
    grid = np.array([grid_search(z1, z2, y, a, epsilon)[0] for epsilon in epsilons])
    theirs = time.perf_counter() - start

    bs, cs = np.linspace(-15, 15, 200)[::20], np.linspace(-15, 15, 200)
    start = time.perf_counter()
    plain = judge_by_broadcasting(z1, z2, y, a, bs, cs)
    plainly = (time.perf_counter() - start) * 20 * 4 * len(epsilons)
    assert np.allclose(plain, judge_by_counting(z1, z2, y, a, bs, cs), rtol=0, atol=1e-12)

    for b, c, accuracy, size, epsilon in zip(fit.b, fit.c, fit.accuracy, fit.gap, epsilons, strict=True):
        decision = merged_score(z1, z2, b, c) > 0
        assert (decision == y).mean() == accuracy
        assert abs(demographic_parity_gap(decision, a)) == abs(size) <= epsilon
    rows = [
        f"| {epsilon:.4f} | {mine:.5f} | {other:.5f} | {mine - other:+.5f} | {b:.3f} | {c:.3f} |"
        for epsilon, mine, other, b, c in zip(epsilons, fit.accuracy, grid, fit.b, fit.c, strict=True)
    ]
    text = f"""# The merge search: exact in c, against the paper's grid

Written by `benchmarks/merge_search.py`. Hardware: one core of an x86-64 CPU (2-core machine), {cpu_model()};
numpy {np.__version__}, Python {platform.python_version()}.

Synthetic validation scores of a two-headed network, n = {N:,}: task head accuracy {((z1 > 0) == y).mean():.3f},
DDP {ddp:+.3f}, group head accuracy {((z2 > 0.5) == a).mean():.3f}; {len(epsilons)} tolerances.

| search | seconds, all tolerances | times `fit_merge` |
|---|---|---|
| `fit_merge`, median of {REPEATS} (fastest {min(seconds):.3f}, slowest {max(seconds):.3f}) | {ours:.3f} | 1 |
| grid of the release, numpy broadcasting over c | {plainly:.0f} | {plainly / ours:.0f} |
| grid of the release, tuned numpy (see below) | {theirs:.1f} | {theirs / ours:.0f} |

Accuracy on validation equal or better for {(fit.accuracy >= grid).sum()} of {len(epsilons)} tolerances; difference
{(fit.accuracy - grid).min():+.5f} to {(fit.accuracy - grid).max():+.5f}.

Both grids judge the same {4 * 200 * 200 * len(epsilons):,} pairs (b, c), each on all {N:,} people: 200 x 200 pairs, 4
passes, {len(epsilons)} tolerances. Broadcasting compares a (200, n) block per b and takes means; its time is that of
10 of the 200 values of b in one pass, multiplied (the cost does not depend on the values). The tuned grid sorts the
people by label and group beforehand, so that one pair costs one comparison over all of them and four counts of
contiguous booleans; it was run in full. `fit_merge` includes everything: checks, coarse grid, refinement, solutions
and the whole frontier ({len(fit.frontier.gap)} points).

| tolerance | accuracy, `fit_merge` | accuracy, grid | difference | b | c |
|---|---|---|---|---|---|
{chr(10).join(rows)}
"""
    (HERE / "merge_search.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
