"""Evaluation on the test split: every measurement of the paper as rows of one tidy table.

A decision rule is judged by accuracy, balanced accuracy, signed gap (rate of group 1 minus rate of group 0), selection
rates and accuracies per group, with bootstrap intervals. Beside the rules stand the analyses of Sec. 3 and 5: probes of
the frozen representation, approximation of fair networks by merges, recovery of the unconstrained network, the people
whose decision flips, and the pair test (only where the data can draw the same person with either group's cues).
"""

from typing import Any

import numpy as np

from reprise.fairness.judging import Arrays, Row, Rows, bootstrap, judge, probe, standardise
from reprise.fairness.merge import fold, merged_score
from reprise.fairness.plan import UNCONSTRAINED
from reprise.fairness.thresholds import apply_group_thresholds, group_probability
from reprise.results import setting
from reprise.seeding import derive

HISTOGRAM = np.linspace(-3.0, 4.0, 71)  # edges of the bins of z2; the outermost bins take the rest
SCATTER_POINTS = 800


def evaluate(
    files: dict[str, str],
    fits: dict[str, Any] | None,
    *,
    dataset: str,
    model: str,
    target: str,
    arm: str,
    seed: int,
    heads: list[str],
    probe_c: float,
    probe_iterations: int,
    n_bootstrap: int,
    twin: str | None,
    scatter: str | None,
) -> list[Row]:
    """All rows of one (target, arm, seed).

    Args:
        files: split -> prediction file (`train`, `test` and, where there are any, `pairs`).
        fits: what `fits.fit` chose on validation; only the main arm has them.
        twin: test predictions of the twin arm, for the ceiling of agreement.
        scatter: strength whose approximation is also kept point by point, for the scatter figure.
    """
    train, test = (_load(files[name]) for name in ("train", "test"))
    y, a, n = test["y"], test["a"], len(test["y"])
    rows = Rows(dataset=dataset, model=model, target=target, arm=arm, seed=seed)

    def rule(method: str, decision: np.ndarray, truth: np.ndarray = y, **variant: Any) -> None:
        # One seed per rule, so that adding a rule leaves the intervals of the others alone.
        drawn = derive(seed, dataset, target, arm, method, setting(**variant))
        measures = judge(decision, truth, a) | bootstrap(decision, truth, a, n_bootstrap, drawn)
        for metric, value in measures.items():
            rows.add(method, metric, value, n, **variant)

    for key in sorted(name.removesuffix("/logits") for name in test if name.endswith("/logits")):
        method, level = key.split(".", 1)
        on_group = method in ("group", "sgd_probe")
        rule(method, test[f"{key}/logits"][:, 0] > 0, a if on_group else y, level=level)
    for key in sorted(name.removesuffix("/probability") for name in test if name.endswith("/probability")):
        method, level = key.split(".", 1)
        rule(method, test[f"{key}/probability"], level=level)
    for key in sorted(name.removesuffix("/features") for name in train if name.endswith("/features")):
        method, level = key.split(".", 1)
        if method == "sgd_probe":
            continue
        accuracy, auc = probe(train, test, key, c=probe_c, max_iter=probe_iterations)
        rows.add(method, "probe_accuracy", accuracy, n, level=level)
        rows.add(method, "probe_auc", auc, n, level=level)
    if "pairs" in files:
        _pair_test(rows, _load(files["pairs"]), fits, heads)
    if arm == "main":
        assert fits is not None
        majority = float(np.mean(train["y"])) > 0.5
        rows.add("constant", "accuracy", np.mean(y == majority), n)
        rows.add("labels", "ddp", y[a == 1].mean() - y[a == 0].mean(), n)
        rows.add("constant", "probe_accuracy", max(a.mean(), 1 - a.mean()), n, level="majority")
        _second_heads(rows, test, heads)
        _merged(rule, rows, test, fits, heads)
        rates = [train["y"][train["a"] == group].mean() for group in (0, 1)]
        disadvantaged = int(rates[1] < rates[0])  # decided once, on training labels
        other = _load(twin) if twin else {}
        _approximated(rows, test, fits, heads, other, scatter)
        _recovered(rule, rows, train, test, fits, heads)
        _flips(rows, test, fits, heads, other, disadvantaged)
    return rows.rows


def _load(path: str) -> Arrays:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _near(fits: dict[str, Any]) -> int:
    """Index of the near-parity tolerance (the last one asked for)."""
    return len(fits["epsilons"]) - 1


def _second_heads(rows: Rows, test: Arrays, heads: list[str]) -> None:
    """How well each group head separates the groups, and how close to 0/1 it is."""
    a = test["a"]
    for loss in heads:
        z2 = test[f"two_headed.{loss}/logits"][:, 1]
        cut = 0.5 if loss == "mse_linear" else 0.0
        rows.add("two_headed", "group_head_accuracy", np.mean((z2 > cut) == a), len(a), level=loss)
        scale = z2 if loss == "mse_linear" else 1 / (1 + np.exp(-z2))
        distance = np.minimum(np.abs(scale), np.abs(scale - 1))
        rows.add("two_headed", "share_within_0.1", np.mean(distance <= 0.1), len(a), level=loss)
        rows.add("two_headed", "share_within_0.25", np.mean(distance <= 0.25), len(a), level=loss)
        rows.add("two_headed", "share_undecided", np.mean((scale > 0.25) & (scale < 0.75)), len(a), level=loss)
        for group in (0, 1):
            counts, _ = np.histogram(np.clip(z2[a == group], HISTOGRAM[0], HISTOGRAM[-1] - 1e-9), HISTOGRAM)
            for left, count in zip(HISTOGRAM[:-1], counts, strict=True):
                rows.add("two_headed", "z2_count", count, len(a), level=loss, group=group, bin=f"{left:.1f}")


def _merged(rule: Any, rows: Rows, test: Arrays, fits: dict[str, Any], heads: list[str]) -> None:
    """Merges, their relatives, and the fold of a merge into one linear head."""
    a, n = test["a"], len(test["a"])
    base = test[f"{UNCONSTRAINED}.0/logits"][:, 0]
    near = _near(fits)
    for loss in heads:
        task, group = test[f"two_headed.{loss}/logits"].T
        chosen = fits[f"merge.{loss}"]
        for k, epsilon in enumerate(fits["epsilons"]):
            if loss != heads[0] and k != near:
                continue
            decision = merged_score(task, group, chosen["b"][k], chosen["c"][k]) > 0
            rule("merge", decision, level=loss, eps="near" if k == near else f"{epsilon:.6f}")
        rows.add("merge", "b", chosen["b"][near] * group.std(), n, level=loss, unit="sd")
    z1, z2 = test[f"two_headed.{heads[0]}/logits"].T
    probability = group_probability(z2, heads[0])
    perceived = (probability > 0.5).astype(a.dtype)

    first = fits[f"merge.{heads[0]}"]
    b, c = first["b"][near], first["c"][near]
    key = f"two_headed.{heads[0]}"
    weight, bias = fold(test[f"{key}/weight"], test[f"{key}/bias"], b, c)
    folded = test[f"{key}/features"].astype(float) @ weight + bias
    score = z1 + b * z2 + c
    rows.add("fold", "max_logit_difference", np.abs(folded - score).max(), n)
    rows.add("fold", "equal_decisions", np.mean((folded > 0) == (score > 0)), n)
    worse = np.diff(fits["frontier"]["accuracy"])
    rows.add("merge", "frontier_decreases", float((worse < 0).sum()), len(worse) + 1)
    rows.add("merge", "validation_gap", abs(first["gap"][near]), n)

    plug = fits["plug_in"]
    rule("plug_in", merged_score(1 / (1 + np.exp(-z1)) - 0.5, probability, plug["b"][0], plug["c"][0]) > 0)
    equal = fits["equal_opportunity"]
    rule("merge_equal_opportunity", merged_score(z1, z2, equal["b"][0], equal["c"][0]) > 0)
    for name, group in (("oracle", a), ("perceived", perceived)):
        for k, epsilon in enumerate(fits["epsilons"]):
            t = [fits[name]["t0"][k], fits[name]["t1"][k]]
            rule(name, apply_group_thresholds(z1, group, t), eps="near" if k == near else f"{epsilon:.6f}")
    for name, group in (("lipton", a), ("lipton_perceived", perceived)):
        if name in fits:
            for k, t in enumerate(fits[name]["t"]):
                rule(name, apply_group_thresholds(base, group, t), step=f"{k:02d}")
    if "threshold_optimizer" in fits:
        rule("threshold_optimizer", _randomised(base, a, fits["threshold_optimizer"]))


def _randomised(score: np.ndarray, a: np.ndarray, rules: dict[str, Any]) -> np.ndarray:
    """Probability of a positive decision under fairlearn's mixture of two thresholds per group."""
    probability = np.zeros(len(score))
    for group, rule in rules.items():
        for p, operator, threshold in zip(rule["p"], rule["operator"], rule["threshold"], strict=True):
            passed = score > threshold if operator == ">" else score < threshold
            probability += p * (passed & (a == int(group)))
    return probability


def _approximated(
    rows: Rows, test: Arrays, fits: dict[str, Any], heads: list[str], twin: Arrays, scatter: str | None
) -> None:
    """How well a merge imitates each fair network, with floors (raw, shift), an unsupervised match and the ceiling."""
    n = len(test["y"])
    z1, z2 = test[f"two_headed.{heads[0]}/logits"].T
    for name in sorted(fits):
        if not name.startswith("agree."):
            continue
        level, chosen = name.removeprefix("agree."), fits[name]
        key = f"ddp_squared.{level}/logits"
        fair = test[key][:, 0]
        decision = fair > 0
        score = merged_score(z1, z2, chosen["b"], chosen["c"])
        matched = chosen["matched"]
        others = {
            "agreement": score > 0,
            "agreement_raw": z1 > 0,
            "agreement_shift": z1 + chosen["shift_c"] > 0,
            "agreement_matched": merged_score(z1, z2, matched["b"][0], matched["c"][0]) > 0,
        }
        if key in twin:
            others["agreement_seed2seed"] = twin[key][:, 0] > 0
        for metric, other in others.items():
            rows.add("approximation", metric, np.mean(other == decision), n, level=level)
        p, q = decision.mean(), (score > 0).mean()
        chance = p * q + (1 - p) * (1 - q)
        rows.add(
            "approximation",
            "kappa",
            (np.mean((score > 0) == decision) - chance) / max(1 - chance, 1e-12),
            n,
            level=level,
        )
        rows.add("approximation", "logit_r2", _r2(np.column_stack([z1, z2]), fair), n, level=level)
        rows.add("approximation", "logit_r2_task_only", _r2(z1[:, None], fair), n, level=level)
        rows.add("approximation", "b", chosen["b"], n, level=level)
        if level == scatter:
            for i in np.linspace(0, n - 1, min(n, SCATTER_POINTS)).astype(int):
                common = {"level": level, "i": i, "group": int(test["a"][i])}
                rows.add("scatter", "fair_logit", fair[i], n, **common)
                rows.add("scatter", "merge_logit", score[i], n, **common)
                rows.add("scatter", "shift_logit", z1[i] + chosen["shift_c"], n, **common)


def _r2(x: np.ndarray, y: np.ndarray) -> float:
    """Share of the variance of y explained by the best affine function of x."""
    design = np.column_stack([x, np.ones(len(x))])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(1 - residual.var() / max(y.var(), 1e-12))


def _recovered(rule: Any, rows: Rows, train: Arrays, test: Arrays, fits: dict[str, Any], heads: list[str]) -> None:
    """Undoing fairness: the fair logit plus the group head, against a new threshold alone and a refitted last layer."""
    from sklearn.linear_model import LogisticRegression

    z2 = test[f"two_headed.{heads[0]}/logits"][:, 1]
    for name in sorted(fits):
        if not name.startswith("recover."):
            continue
        level = name.removeprefix("recover.")
        fair = test[f"ddp_squared.{level}/logits"][:, 0]
        for method, chosen in (("recovered", fits[name]["merge"]), ("rethresholded", fits[name]["shift"])):
            rule(method, merged_score(fair, z2, chosen["b"][0], chosen["c"][0]) > 0, level=level)
        rows.add("recovered", "b", fits[name]["merge"]["b"][0], len(fair), level=level)
        x, x_test = standardise(train[f"ddp_squared.{level}/features"], test[f"ddp_squared.{level}/features"])
        rule("refitted", LogisticRegression(max_iter=300).fit(x, train["y"]).predict(x_test), level=level)


def _flips(rows: Rows, test: Arrays, fits: dict[str, Any], heads: list[str], twin: Arrays, disadvantaged: int) -> None:
    """Who is affected: decisions that change against a reference, by direction, true and perceived group (Sec. 5).

    Purity: of the people moved up (0 -> 1), the share of the disadvantaged group; of those moved down, the share of the
    other one. The noise between two unconstrained networks is the yardstick. `band`: people whose merged decision
    would change if the group head alone said the opposite.
    """
    a, n = test["a"], len(test["a"])
    base_key = f"{UNCONSTRAINED}.0/logits"
    base = test[base_key][:, 0] > 0
    z1, z2 = test[f"two_headed.{heads[0]}/logits"].T
    perceived = (group_probability(z2, heads[0]) > 0.5).astype(int)
    near, chosen = _near(fits), fits[f"merge.{heads[0]}"]
    b, c = chosen["b"][near], chosen["c"][near]
    merged = merged_score(z1, z2, b, c) > 0
    pairs = {"merge_vs_head": ("near", z1 > 0, merged), "merge": ("near", base, merged)}
    for key in sorted(test):
        if key.startswith("ddp_squared.") and key.endswith("/logits"):
            level = key.removeprefix("ddp_squared.").removesuffix("/logits")
            pairs[f"ddp_squared.{level}"] = (level, base, test[key][:, 0] > 0)
    if base_key in twin:
        pairs["seed_noise"] = ("0", base, twin[base_key][:, 0] > 0)
    for name, (level, before, after) in pairs.items():
        method = "flips." + name.split(".")[0]
        for direction, moved, favoured in (
            ("up", ~before & after, disadvantaged),
            ("down", before & ~after, 1 - disadvantaged),
        ):
            count = int(moved.sum())
            for true in (0, 1):
                for seen in (0, 1):
                    cell = moved & (a == true) & (perceived == seen)
                    rows.add(
                        method, "flips", cell.sum(), n, level=level, direction=direction, true=true, perceived=seen
                    )
            if count:
                rows.add(
                    method,
                    "purity_perceived",
                    np.mean(perceived[moved] == favoured),
                    count,
                    level=level,
                    direction=direction,
                )
                rows.add(method, "purity_true", np.mean(a[moved] == favoured), count, level=level, direction=direction)
    if heads[0] == "mse_linear":
        settled, swapped = perceived.astype(float), 1.0 - perceived
    else:  # a logit: the opposite view of the group is the opposite sign
        settled, swapped = z2, -z2
    band = (merged_score(z1, swapped, b, c) > 0) != (merged_score(z1, settled, b, c) > 0)
    for group in (0, 1):
        rows.add("merge", "band", band[a == group].sum(), n, group=group)


def _pair_test(rows: Rows, pairs: Arrays, fits: dict[str, Any] | None, heads: list[str]) -> None:
    """The same person with either group's cues (rows 2i and 2i + 1): effect on the logit and flips of the decision.

    `favours_1`: positive only as group 1; `favours_0`: positive only as group 0.
    """

    def measure(method: str, logit: np.ndarray, **variant: Any) -> None:
        zero, one = logit[0::2], logit[1::2]
        rows.add(method, "pair_effect", np.mean(one - zero), len(zero), **variant)
        rows.add(method, "pair_favours_1", np.mean((one > 0) & (zero <= 0)), len(zero), **variant)
        rows.add(method, "pair_favours_0", np.mean((zero > 0) & (one <= 0)), len(zero), **variant)

    for key in sorted(name.removesuffix("/logits") for name in pairs if name.endswith("/logits")):
        method, level = key.split(".", 1)
        if method in ("group", "sgd_probe"):
            continue
        logits = pairs[f"{key}/logits"]
        measure(method, logits[:, 0], level=level)
        if logits.shape[1] > 1:
            boundary = 0.5 if level == "mse_linear" else 0.0
            measure("group_head", logits[:, 1] - boundary, level=level)
    if fits is not None:
        z1, z2 = pairs[f"two_headed.{heads[0]}/logits"].T
        near, chosen = _near(fits), fits[f"merge.{heads[0]}"]
        measure("merge", merged_score(z1, z2, chosen["b"][near], chosen["c"][near]), level=heads[0], eps="near")
