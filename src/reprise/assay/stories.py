"""What was measured about claims of the assay that do not hold: one line each for the ledger."""

import pandas as pd

from reprise.assay.measures import TRANSFERRED, average, rows_of


def augmentation_story(table: pd.DataFrame) -> str:
    """The gain of augmentation by regime, and what it costs on ID data."""
    parts = []
    for regime in ("all", "full", "fewshot_10"):
        keys = {"factor": "augment", "level": "rand", "baseline": "standard", "regime": regime}
        gain = average(table, "interventions", "difference", of="ood_error", **keys)
        share = average(table, "interventions", "share_negative", of="ood_error", **keys)
        cost = average(table, "interventions", "difference", of="id_error", **keys)
        if gain and share and cost:
            parts.append(
                f"{regime}: OOD accuracy {-gain.value:+.3f}, better in {share.value:.0%} of the matched comparisons, "
                f"ID accuracy {-cost.value:+.3f}"
            )
    return "; ".join(parts) + "."


def invariance_story(table: pd.DataFrame) -> str:
    """Every method's difference from ERM under training-domain validation."""
    found = rows_of(table, "invariance", "minus_erm", selection="training_domain", average="pairs", dataset="digits")
    ordered = found.sort_values("value", ascending=False)
    return ", ".join(f"{m} {v:+.3f}" for m, v in zip(ordered["method"], ordered["value"], strict=True)) + "."


def shapes_story(table: pd.DataFrame) -> str:
    """Counts of each shape, over all networks and within one architecture, where ID accuracy spreads less."""
    found = rows_of(table, "shapes", "count", dataset="digits")
    if found.empty:
        return "."
    counts = {
        name: ", ".join(f"{int(v)} {s}" for s, v in zip(part["shape"], part["value"], strict=True) if v)
        for name, part in found.groupby("within", sort=True)
        if not str(name).startswith("regime")
    }
    return (
        "; ".join(f"{str(name).removeprefix('model:') or 'all networks'}: {text}" for name, text in counts.items())
        + "."
    )


def factor_story(table: pd.DataFrame) -> str:
    """On which factor ID error and ID calibration error load most, and how they load on each other's."""
    found = rows_of(table, "factors", "loading", dataset="digits")
    if found.empty:
        return "."
    parts = []
    for variable in ("id_error", "id_ece"):
        loadings = found[found["variable"] == variable].set_index("factor")["value"]
        parts.append(f"{variable}: " + ", ".join(f"factor {k} {v:+.2f}" for k, v in loadings.items()))
    return "; ".join(parts) + "."


def strategies_story(table: pd.DataFrame) -> str:
    """OOD accuracy of each fine-tuning strategy against full fine-tuning, matched."""
    found = rows_of(
        table, "interventions", "difference", dataset="digits", average="pairs", factor="finetune", baseline="full",
        regime="full", of="ood_error",
    )  # fmt: skip
    if found.empty:
        return "."
    return ", ".join(f"{m} {-v:+.3f}" for m, v in zip(found["level"], found["value"], strict=True)) + "."


def transfer_story(table: pd.DataFrame) -> str:
    """The rank correlation of every metric on OOD with the same metric on ID data, with its interval."""
    found = {m: average(table, "transfer", "spearman", of=m) for m in ("adversarial_error_small", *TRANSFERRED)}
    return ", ".join(f"{m} {o.value:.3f} [{o.low:.3f}, {o.high:.3f}]" for m, o in found.items() if o is not None) + "."
