"""Figures of how the method works: its diagram, and the motion and the merge of the two passes on a typical track.

For the diagram its parts in, Figure out; for the motion examples in.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from reprise.amodal import paint, tidy_examples
from reprise.amodal.examples import Example
from reprise.amodal.tidy_examples import of_role
from reprise.figures import BLUE, GREEN, GREY, INK, MUTED, ORANGE, grid, legend, titles

SERIES: dict[str, tuple[str, dict[str, Any]]] = {
    "visible": ("mean flow of the visible part (input)", {"color": GREY, "marker": "s", "linestyle": "-"}),
    "amodal": ("amodal motion, with the predicted residual", {"color": ORANGE, "marker": "^", "linestyle": "-"}),
    "true": ("true displacement of the full mask", {"color": BLUE, "marker": "o", "linestyle": "--"}),
}
MERGE: dict[str, tuple[str, dict[str, Any]]] = {
    "weight": ("weight of the forward pass", {"color": INK, "marker": "o"}),
    "gap": ("difference of both passes", {"color": GREEN, "marker": "D", "linestyle": "--"}),
}
ARROWS = 9  # about as many stand beside one another in a picture


def motion(examples: Sequence[Example]) -> Figure:
    """A frame with its flow, the motion into each frame, and the weight and the disagreement of the two passes."""
    shown = of_role(examples, "typical")
    figure, axes = grid(len(shown), 3, width=3.7, height=3.0)
    for example, (picture, moved, merged) in zip(shown, axes, strict=True):
        data = tidy_examples.motion([example])
        _flow(picture, example, data)
        for axis, fill in (("x", "full"), ("y", "none")):
            for name, (label, look) in SERIES.items():
                words = f"{label}, {'right' if axis == 'x' else 'down'}"
                moved.plot(data["frame"], data[f"{name}_{axis}"], label=words, linewidth=1.1, fillstyle=fill, **look)
        moved.axhline(0, color=MUTED, linewidth=0.7)
        titles(moved, "", note="motion into the frame", x="frame", y="pixels (right, down)")
        for name, (label, look) in MERGE.items():
            merged.plot(data["frame"], data[name], label=label, **look)
        for ax in (moved, merged):
            ax.xaxis.set_major_locator(MaxNLocator(7, integer=True))
        merged.set_ylim(-0.03, 1.03)
        titles(merged, "", note="mean over pixels where it may hide", x="frame", y="share, probability")
    legend(figure, list(axes.flat), columns=3)
    return figure


def _flow(ax: Axes, example: Example, data: pd.DataFrame) -> None:
    """The scored frame in the middle: flow of the visible part, and the amodal motion into the frame after it."""
    middle = np.flatnonzero(example.scored)
    t = int(middle[(len(middle) - 1) // 2])  # never the last frame shown
    ax.imshow(paint.faded(paint.photo(example.frames[t])), interpolation="none")
    step = max(1, max(example.visible.shape[1:]) // ARROWS // 2)
    rows, columns = np.nonzero(example.visible[t])
    chosen = (rows % step == 0) & (columns % step == 0)
    rows, columns = rows[chosen], columns[chosen]
    x, y = example.flow[t, :, rows, columns].astype(float).T
    style: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 0.5}
    ax.quiver(columns, rows, x, y, color=INK, width=0.008, label="flow of the visible part (twice as long)", **style)
    after = data.iloc[t + 1]
    centre = np.argwhere(example.full[t]).mean(axis=0)
    ax.quiver(
        centre[1],
        centre[0],
        after["amodal_x"],
        after["amodal_y"],
        color=ORANGE,
        width=0.016,
        label="amodal motion (twice as long)",
        zorder=4,
        **style,
    )
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    titles(ax, example.dataset, note=f"video {example.video}, object {example.object_id}, frame {example.first + t}")


# ---------------------------------------------------------------- the diagram

KINDS = {"input": "#eef4fb", "network": "#dcebdc", "step": "#fdf1dc", "loss": "#f6dfdf"}
NAMES = {"input": "input", "network": "network, trained", "step": "fixed computation", "loss": "comparison, the loss"}
PARTS = (  # name, kind, centre, width, text, what follows
    ("crops", "input", (0.9, 3.0), 1.55, "crop of frame t:\nimage, V, flow", ("encoder",)),
    ("encoder", "network", (2.75, 3.0), 1.3, "encoder", ("lstm",)),
    ("lstm", "network", (4.5, 3.0), 1.4, "LSTM over\nframes ≤ t", ("mask", "flow")),
    ("mask", "network", (6.65, 3.7), 2.2, "mask decoder:\nmask and merge logit", ("warp",)),
    ("flow", "network", (6.65, 2.3), 2.2, "motion decoder:\nresidual motion", ("motion",)),
    ("given", "input", (4.35, 1.3), 1.7, "flow of V,\nits mean beyond", ("motion",)),
    ("motion", "step", (6.65, 1.3), 2.2, "amodal motion\n= flow + residual", ("warp",)),
    ("warp", "step", (9.0, 3.0), 1.5, "warp to\nframe t + 1", ("merge",)),
    ("reversed", "step", (9.0, 1.3), 1.5, "the same from\nthe other side:\nframes ≥ t + 2", ("merge",)),
    ("merge", "step", (11.05, 3.0), 1.65, "weigh the two:\nprobability P\nof frame t + 1", ("loss", "final", "agree")),
    ("loss", "loss", (13.3, 3.95), 2.3, "against visible mask V\nof frame t + 1,\noutside the others O", ()),
    ("final", "step", (13.3, 2.65), 2.3, "when testing:\nV, and P > ½ inside O", ()),
    ("agree", "loss", (13.3, 1.3), 2.3, "warped once more:\nconsistent with P\nof frame t + 2", ()),
)  # fmt: skip
TALL = 0.84
BREAK = " / "  # of lines, in the stored parts


def parts(_: pd.DataFrame) -> pd.DataFrame:
    """The parts of the method, whatever was measured."""
    return pd.DataFrame(
        [
            {
                "part": name,
                "kind": kind,
                "x": x,
                "y": y,
                "width": width,
                "text": text.replace("\n", BREAK),
                "to": " ".join(after),
            }
            for name, kind, (x, y), width, text, after in PARTS
        ]
    )


def diagram(data: pd.DataFrame) -> Figure:
    """The method as boxes and arrows, from the crop of a frame to what is compared with the next visible mask."""
    figure, axes = grid(1, 1, width=10.6, height=3.5)
    ax = axes[0, 0]
    ax.set_axis_off()
    ax.set_xlim(0, 14.6)
    ax.set_ylim(0.7, 4.55)
    boxes = data.set_index("part")
    labelled: set[str] = set()
    for _, box in boxes.iterrows():
        label = NAMES[box["kind"]] if box["kind"] not in labelled else None
        labelled.add(box["kind"])
        ax.add_patch(
            FancyBboxPatch(
                (box["x"] - box["width"] / 2, box["y"] - TALL / 2),
                box["width"],
                TALL,
                boxstyle="round,pad=0,rounding_size=0.1",
                facecolor=KINDS[box["kind"]],
                edgecolor=INK,
                linewidth=1.8 if box["kind"] == "network" else 0.9,
                linestyle="--" if box["kind"] == "loss" else "-",
                label=label,
            )
        )
        ax.text(box["x"], box["y"], box["text"].replace(BREAK, "\n"), ha="center", va="center", fontsize=8.5)
        for name in box["to"].split():
            ax.add_patch(_arrow(box, boxes.loc[name]))
    legend(figure, [ax], columns=4)
    return figure


def _arrow(start: pd.Series, end: pd.Series) -> FancyArrowPatch:
    """From one box to another: sideways, or up or down where one stands above the other."""
    if start["x"] == end["x"]:
        side = np.sign(end["y"] - start["y"]) * TALL / 2
        ends = (start["x"], start["y"] + side), (end["x"], end["y"] - side)
    else:
        ends = (start["x"] + start["width"] / 2, start["y"]), (end["x"] - end["width"] / 2, end["y"])
    return FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=11, color=INK, linewidth=1, shrinkA=0, shrinkB=0)
