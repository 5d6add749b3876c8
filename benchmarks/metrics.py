"""Time of the assay wing's metrics against per-set loops; writes assay_metrics.md beside itself.

    OMP_NUM_THREADS=1 python benchmarks/metrics.py

Both run on one core over generated logits of the size of the laptop scale: per network one ID validation set of 179
samples and six test sets of 540 with standard errors, 18 corrupted sets of 540 without, and 2 x 6 adversarial sets of
64 of which only the error is wanted; 10 classes, float16.
"""

import os
import platform
import time
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torchmetrics.functional.classification import multiclass_calibration_error

from reprise.assay.metrics import METRICS, bootstrap_counts, measure

HERE = Path(__file__).resolve().parent
N_RUNS, N_CLASSES, DRAWS, REPEATS, SAMPLED = 250, 10, 200, 5, 200
# Per kind of set: sets of a network, samples of a set, bootstrap draws, metrics.
KINDS = {
    "ID validation": (1, 179, DRAWS, METRICS),
    "test": (6, 540, DRAWS, METRICS),
    "corrupted": (18, 540, 0, ("error", "nll", "ece", "demographic_disparity")),
    "adversarial": (12, 64, 0, ("error",)),
}


def logits_and_labels(n_runs: int, n_sets: int, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits (runs, sets, n, K) of networks that are right on about half the samples, and labels (n,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, N_CLASSES, n)
    logits = 2 * rng.normal(size=(n_runs, n_sets, n, N_CLASSES)).astype(np.float32)
    logits[..., np.arange(n), labels] += 3
    return logits.astype(np.float16), labels


def disparity_by_scanning(guess: np.ndarray, environment: np.ndarray) -> float:
    overall = np.bincount(guess, minlength=N_CLASSES) / len(guess)
    total = 0.0
    for inside in (environment, ~environment):
        if inside.any():
            share = np.bincount(guess[inside], minlength=N_CLASSES) / inside.sum()
            total += inside.mean() * np.abs(overall - share).sum() / 2
    return total


def ece_by_scanning(probabilities: np.ndarray, guess: np.ndarray, labels: np.ndarray) -> float:
    confidence = probabilities.max(axis=1)
    bins = np.minimum((10 * confidence).astype(int), 9)
    return sum(
        abs((guess[bins == b] == labels[bins == b]).mean() - confidence[bins == b].mean()) * (bins == b).mean()
        for b in np.unique(bins)
    )


def values_by_numpy(p: np.ndarray, z: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """The metrics of one set, plainly."""
    guess, at_label = p.argmax(axis=1), p[np.arange(len(y)), y]
    by_name = {
        "error": lambda: (guess != y).mean(),
        "nll": lambda: -np.log(at_label).mean(),
        "confidence": lambda: p.max(axis=1).mean(),
        "entropy": lambda: -(p * np.log(p)).sum(axis=1).mean(),
        "top5_accuracy": lambda: (np.argsort(z, axis=1)[:, -5:] == y[:, None]).any(axis=1).mean(),
        "top10_accuracy": lambda: (np.argsort(z, axis=1)[:, -10:] == y[:, None]).any(axis=1).mean(),
        "ece": lambda: ece_by_scanning(p, guess, y),
        "demographic_disparity": lambda: disparity_by_scanning(guess, (p * z).sum(axis=1) > z[np.arange(len(y)), y]),
    }
    return {name: by_name[name]() for name in names}


def values_by_libraries(p: np.ndarray, z: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """As `values_by_numpy`, with scikit-learn and torchmetrics where they have the metric."""
    classes = np.arange(N_CLASSES)
    by_name = {
        "error": lambda: 1 - accuracy_score(y, p.argmax(axis=1)),
        "nll": lambda: log_loss(y, p, labels=classes),
        "top5_accuracy": lambda: top_k_accuracy_score(y, z, k=5, labels=classes),
        "top10_accuracy": lambda: (np.argsort(z, axis=1)[:, -10:] == y[:, None]).any(axis=1).mean(),
        "ece": lambda: multiclass_calibration_error(
            torch.from_numpy(p), torch.from_numpy(y), N_CLASSES, 10, "l1"
        ).item(),
    }
    rest = tuple(name for name in names if name not in by_name)
    return {name: by_name[name]() for name in names if name in by_name} | values_by_numpy(p, z, y, rest)


def one_set(values, logits: np.ndarray, labels: np.ndarray, names: tuple[str, ...], draws: int, counts) -> dict:
    """Values of one set by `values`, and standard errors by measuring `draws` resamples of it."""
    z = logits.astype(np.float64)
    p = softmax(z, axis=1)
    found = {name: [value] for name, value in values(p, z, labels, names).items()}
    drawn = []
    for count in counts[:draws].astype(int):
        rows = np.repeat(np.arange(len(labels)), count)
        drawn.append(values(p[rows], z[rows], labels[rows], names))
    for name in names:
        found[name].append(np.std([draw[name] for draw in drawn], ddof=1) if drawn else np.nan)
    return found


def measure_everything(data: dict[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Seconds per kind of set, resampling matrices included."""
    bootstrap_counts.cache_clear()
    seconds = {}
    for kind, (_, _, draws, names) in KINDS.items():
        start = time.perf_counter()
        measure(*data[kind], names=names, draws=draws)
        seconds[kind] = time.perf_counter() - start
    return seconds


def loop_over_sets(values, logits, labels, names, draws, n_sampled: int) -> tuple[float, float]:
    """Seconds per set of the loop, and its largest difference from `measure` (values and standard errors)."""
    flat = logits.reshape(-1, *logits.shape[2:])[:n_sampled]
    counts = bootstrap_counts(len(labels), max(draws, 2), 0)
    start = time.perf_counter()
    theirs = [one_set(values, z, labels, names, draws, counts) for z in flat]
    seconds = (time.perf_counter() - start) / len(flat)
    ours = measure(flat, labels, names=names, draws=draws)
    apart = [
        np.abs(np.array([row[name][part] for row in theirs]) - ours[name][part]).max()
        for name in names
        for part in ((0, 1) if draws and name != "error" else (0,))
    ]
    return seconds, max(apart)


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    data = {
        kind: logits_and_labels(N_RUNS, n_sets, n, seed) for seed, (kind, (n_sets, n, *_)) in enumerate(KINDS.items())
    }
    repeats = [measure_everything(data) for _ in range(REPEATS)]
    totals = sorted(sum(seconds.values()) for seconds in repeats)
    ours = {kind: float(np.median([seconds[kind] for seconds in repeats])) for kind in KINDS}

    bootstrap_counts.cache_clear()
    start = time.perf_counter()
    for run in range(N_RUNS):
        for kind, (_, _, draws, names) in KINDS.items():
            measure(data[kind][0][run], data[kind][1], names=names, draws=draws)
    run_by_run = time.perf_counter() - start

    rows, sums, largest = [], {"numpy": 0.0, "libraries": 0.0}, {"numpy": 0.0, "libraries": 0.0}
    for kind, (n_sets, n, draws, names) in KINDS.items():
        loops = {}
        for way, values in (("numpy", values_by_numpy), ("libraries", values_by_libraries)):
            sampled = SAMPLED if not draws else 20 if way == "numpy" else 4
            per_set, apart = loop_over_sets(values, *data[kind], names, draws, sampled)
            loops[way] = per_set * n_sets * N_RUNS
            sums[way] += loops[way]
            largest[way] = max(largest[way], apart)
        rows.append(
            f"| {kind} | {n_sets * N_RUNS:,} of {n} | {len(names)} | {draws or 'none'} | {ours[kind]:.2f} "
            f"| {loops['numpy']:,.1f} | {loops['libraries']:,.1f} |"
        )
    total = float(np.median(totals))
    text = f"""# Metrics of all networks from their logits

Written by `benchmarks/metrics.py`. Hardware: one core of an x86-64 CPU (2-core machine), {cpu_model()};
numpy {np.__version__}, Python {platform.python_version()}.

Generated float16 logits of {N_RUNS} networks, {N_CLASSES} classes, as many sets as the laptop scale has. Seconds:

| sets | sets and samples | metrics | bootstrap draws | `measure` | loop, NumPy | loop, libraries |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}
| **all** | | | | **{total:.2f}** | {sums["numpy"]:,.0f} | {sums["libraries"]:,.0f} |
| times `measure` | | | | 1 | {sums["numpy"] / total:,.0f} | {sums["libraries"] / total:,.0f} |

`measure`: median of {REPEATS} ({totals[0]:.2f} to {totals[-1]:.2f} for all), one call per kind, drawing the resamples
included; called network by network instead, {N_RUNS * len(KINDS):,} calls, {run_by_run:.2f}. Reading files is not
included.

The loops take one set at a time and, for standard errors, measure each of the same {DRAWS} resamples anew from the
probabilities. "NumPy" is the plain code a user would write; "libraries" takes `accuracy_score`, `log_loss` and
`top_k_accuracy_score` of scikit-learn and torchmetrics' `multiclass_calibration_error`, plain NumPy for the rest.
Their times are those of {SAMPLED} sets of a kind (with standard errors 20, and 4 for the libraries), multiplied. On
these sets values and standard errors differ from those of `measure` by at most {largest["numpy"]:.0e} (NumPy) and
{largest["libraries"]:.0e} (libraries; torchmetrics computes in single precision).
"""
    (HERE / "assay_metrics.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
