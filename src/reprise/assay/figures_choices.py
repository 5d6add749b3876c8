"""Figures about networks (Sec. 4.3 and 4.4): what choices change, the shapes of ID against OOD accuracy, selection.

Tidy data (`reprise.assay.tidy`) in, Figure out. An architecture keeps its colour, a fine-tuning strategy its marker.
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from reprise.assay.figures_labels import EVERYTHING, METHODS, METRICS, RADAR, RULES, STRATEGIES
from reprise.assay.figures_proxies import NAMES, PALETTE, colors, interval_bar, rows_with_pairs, signed
from reprise.assay.tidy import PAIR, bounds, datasets, regimes
from reprise.figures import BLUE, GREY, INK, MUTED, ORANGE, grid, legend, panels, titles

MARKERS = {"full": "o", "head": "^"}
AUGMENT = {
    "identity": "none",
    "standard": "standard",
    "rand": "random",
    "random_color": "random color",
    "random_augment": "RandAugment",
    "augmix": "AugMix",
}
OF = {"id_error": "ID error", "ood_error": "OOD error", "corrupted_error": "corrupted error"} | {
    f"{space}_{name}": f"{'ID' if space == 'id' else 'OOD'} {words.replace('calibration error (ECE)', 'ECE')}"
    for space in ("id", "ood")
    for name, words in METRICS.items()
    if name != "error"
}


def regime(name: str) -> str:
    """A regime in words."""
    if name.startswith("fewshot_"):
        return f"{name.removeprefix('fewshot_')} a class"
    return {"full": "all data", EVERYTHING: "mean"}.get(name, name)


def level(by: str, name: str) -> str:
    """A level of a property of networks in words."""
    if by == "regime":
        return regime(name)
    if name.startswith("wise_ft_"):
        return f"WiSE-FT, α {float(name.removeprefix('wise_ft_')):g}"
    words = {"finetune": STRATEGIES, "augment": AUGMENT, "method": METHODS}
    return words.get(by, {}).get(name, name)


def interventions(data: pd.DataFrame) -> Figure:
    """Figure C: rows are metrics, x is the regime, colours the level; below 0 the level lowers the error."""
    rows = [name for name in OF if name in set(data["of"])]
    columns = [
        (dataset, factor)
        for dataset in datasets(data)
        for factor in ("augment", "finetune")
        if ((data["dataset"] == dataset) & (data["factor"] == factor)).any()
    ]
    size = {"width": max(2.4, 7.0 / len(columns)), "height": 1.45}
    figure, axes = grid(len(rows), len(columns), **size, sharex="col", sharey="row")
    for row, (of, line) in enumerate(zip(rows, axes, strict=True)):
        for (dataset, factor), ax in zip(columns, line, strict=True):
            part = data[(data["dataset"] == dataset) & (data["factor"] == factor)]
            levels = list(dict.fromkeys(part["level"]))
            names = regimes(part["regime"])
            ax.axhline(0, color=INK, linewidth=0.9)
            for k, name in enumerate(levels):
                curve = part[(part["level"] == name) & (part["of"] == of)].set_index("regime").reindex(names)
                shift = 0.18 * (k - (len(levels) - 1) / 2)
                color = PALETTE[k + 3 * (factor == "finetune")]
                for place, (_, mean) in enumerate(curve.iterrows()):
                    ends = (mean["difference_ci_low"], mean["difference_ci_high"])
                    interval_bar(ax, mean["difference"], ends, place + shift, vertical=True)
                label = f"{level(factor, name)} minus {level(factor, part['baseline'].iloc[0])}"
                places = np.arange(len(names)) + shift
                ax.plot(places, curve["difference"], "o", color=color, markersize=6, label=label, zorder=4)
            ax.set_xticks(range(len(names)), [regime(name) for name in names])
            ax.set_xlim(-0.5, len(names) - 0.5)
            ax.grid(False, axis="x")
            ax.margins(y=0.15)
            word = {"augment": "augmentation", "finetune": "fine-tuning"}[factor]
            titles(ax, NAMES.get(dataset, dataset) if row == 0 else "", note=word if row == 0 else "")
        line[0].set_ylabel(OF[of].replace(" error, ", "\nerror, "))
    for ax in axes[-1]:
        ax.set_xlabel("training images")
    figure.align_ylabels(axes[:, 0])
    legend(figure, list(axes.flat))
    return figure


def shapes(data: pd.DataFrame) -> Figure:
    """Figure D: OOD over ID accuracy, a tile per pair, a dot per network; few-shot networks are hollow."""
    tiles = {
        dataset: list(dict.fromkeys(zip(*(data.loc[data["dataset"] == dataset, name] for name in PAIR), strict=True)))
        for dataset in datasets(data)
    }
    # A row per training domain where that fits, so that its tiles stand side by side.
    columns = max(min(6, max(pd.Series([key[1] for key in keys]).value_counts())) for keys in tiles.values())
    rows = {dataset: -(-len(keys) // columns) for dataset, keys in tiles.items()}
    size = {"width": max(1.5, 4.6 / columns), "height": 1.62}
    figure, axes = grid(sum(rows.values()), columns, **size, sharex=True, sharey=True)
    figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    palette = colors(data["model"])
    top = 0
    for dataset, keys in tiles.items():
        places = list(axes[top : top + rows[dataset]].flat)
        top += rows[dataset]
        for spare in places[len(keys) :]:
            spare.set_axis_off()
        for key, ax in zip(keys, places, strict=False):
            part = data[(data[PAIR] == list(key)).all(axis=1)]
            _tile(ax, part, palette)
            last = ax in places[max(0, len(keys) - columns) : len(keys)]
            ax.tick_params(labelbottom=last, labelleft=ax in places[::columns])
            if last:
                ax.set_xlabel("ID accuracy", fontsize=8.5)
            if ax in places[::columns]:
                ax.set_ylabel(f"{dataset}: OOD acc.", fontsize=8.5)
    _keys(figure, data, palette)
    return figure


def _tile(ax: Axes, part: pd.DataFrame, palette: dict[str, str]) -> None:
    """One pair: dots, diagonal, lines of chance."""
    first = part.iloc[0]
    ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8)
    if np.isfinite(first["chance"]):
        ax.axhline(first["chance"], color=MUTED, linewidth=0.8, linestyle=":")
        ax.axvline(first["chance"], color=MUTED, linewidth=0.8, linestyle=":")
    for (model, finetune, full), dots in part.groupby(["model", "finetune", part["regime"] == "full"]):
        color = palette[str(model)]
        look: dict[str, Any] = {"facecolor": color if full else "white", "edgecolor": color, "linewidths": 0.8}
        marker = MARKERS.get(str(finetune), "s")
        ax.scatter(dots["id_accuracy"], dots["ood_accuracy"], s=13, marker=marker, alpha=0.85, **look)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=8)
    ax.set_yticks([0, 0.5, 1], ["0", ".5", "1"], fontsize=8)
    shape = first["shape"] or "–"
    ax.set_title(f"{first['train_domain']} → {first['test_domain']}", fontsize=8, pad=13)
    rho = f"ρ {signed(first['spearman_accuracy'])}" if np.isfinite(first["spearman_accuracy"]) else ""
    ax.annotate(
        f"{shape}, {rho}".rstrip(", "), (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", fontsize=8
    )


def _keys(figure: Figure, data: pd.DataFrame, palette: dict[str, str]) -> None:
    """The legend: colours are architectures, markers strategies, hollow dots few-shot networks."""
    dot: dict[str, Any] = {"linestyle": "none", "markersize": 5}
    handles = [Line2D([], [], marker="o", color=color, label=name, **dot) for name, color in palette.items()]
    handles += [
        Line2D([], [], marker=marker, color=INK, label=STRATEGIES[name], **dot)
        for name, marker in MARKERS.items()
        if name in set(data["finetune"])
    ]
    handles.append(Line2D([], [], marker="o", color=INK, markerfacecolor="white", label="few-shot", **dot))
    if data["chance"].notna().any():
        handles.append(Line2D([], [], color=MUTED, linestyle=":", linewidth=1, label="chance"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 5))


def selection(data: pd.DataFrame) -> Figure:
    """OOD accuracy lost by each rule of choosing a network; one dot per pair behind the average."""
    sets = datasets(data)
    names = [name for name in RULES if name in set(data["rule"])]
    look = {"heldout_ood": ORANGE, "id_val": BLUE, "random": GREY}
    figure, axes = panels(len(sets), width=3.7, height=1.2 + 0.4 * len(names), sharex=True, sharey=True)
    for dataset, ax in zip(sets, axes, strict=True):
        part = data[data["dataset"] == dataset]
        rows_with_pairs(ax, part, "rule", "regret", names, lambda name: ("mean over pairs", look[name]))
        ax.set_yticks(range(len(names)), [RULES[name] for name in names])
        ax.tick_params(labelbottom=True)
        titles(ax, NAMES.get(dataset, dataset), x="OOD accuracy below the best network's")
    return figure


BY = {
    "regime": "training images",
    "finetune": "fine-tuning",
    "augment": "augmentation",
    "model": "architecture",
    "method": "method",
}


def effective_robustness(data: pd.DataFrame) -> Figure:
    """Mean distance of networks from their pair's line, by each property; right of 0 is more robust than the line."""
    sets = datasets(data)
    keys = list(dict.fromkeys(zip(data["by"], data["level"], strict=True)))
    places: dict[tuple[str, str], float] = {}
    for key in keys:  # a gap between properties
        last = list(places)[-1] if places else None
        places[key] = (places[last] + (1 if key[0] == last[0] else 1.7)) if last else 0.0
    figure, axes = panels(len(sets), width=3.7, height=1.2 + 0.24 * (max(places.values()) + 1), sharey=True)
    low, high = bounds("residual")
    for dataset, ax in zip(sets, axes, strict=True):
        for _, row in data[data["dataset"] == dataset].iterrows():
            place = places[row["by"], row["level"]]
            interval_bar(ax, row["residual"], (row[low], row[high]), place)
            ax.plot(row["residual"], place, "o", color=PALETTE[list(BY).index(row["by"])], zorder=4)
        ax.axvline(0, color=INK, linewidth=0.9)
        ax.set_yticks(list(places.values()), [f"{BY[by]}: {level(by, name)}" for by, name in places])
        ax.set_ylim(max(places.values()) + 0.6, -0.6)
        titles(ax, NAMES.get(dataset, dataset), x="logit OOD accuracy above the line")
    return figure


def radar(data: pd.DataFrame) -> Figure:
    """A polar panel per architecture, a polygon per regime; every axis from 0 in the centre to 1, which is best."""
    keys = list(dict.fromkeys(zip(data["dataset"], data["model"], strict=True)))
    known = [name for name in RADAR if data[name].notna().any()]
    angles = np.linspace(0, 2 * np.pi, len(known), endpoint=False)
    polar = {"projection": "polar", "theta_offset": np.pi / 2, "theta_direction": -1, "rlabel_position": 90}
    figure, axes = panels(len(keys), columns=4, width=3.1, height=2.6, subplot_kw=polar)
    names = regimes(data["regime"])
    for (dataset, model), ax in zip(keys, axes, strict=True):
        part = data[(data["dataset"] == dataset) & (data["model"] == model)].set_index("regime")
        for k, name in enumerate(names):
            if name in part.index:
                values = part.loc[name, known].to_numpy(float)
                look = {"color": PALETTE[k], "label": regime(name), "marker": "os^Dv"[k % 5], "markersize": 3.5}
                ax.plot([*angles, angles[0]], [*values, values[0]], **look)
                ax.fill(angles, values, color=PALETTE[k], alpha=0.12)
        ax.set_ylim(0, 1)
        ax.set_yticks([0.25, 0.5, 0.75, 1], ["", ".5", "", "1"], fontsize=8, color=MUTED)
        ax.set_xticks(angles, [RADAR[name] for name in known], fontsize=8)
        ax.tick_params(axis="x", pad=-1)
        for angle, text in zip(angles, ax.get_xticklabels(), strict=True):  # away from the circle
            side = np.sin(angle)
            text.set_horizontalalignment("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
        ax.spines["polar"].set_color("#cfcfcf")
        ax.set_title(f"{dataset}, {model}", pad=8, loc="center")
    legend(figure, axes)
    return figure
