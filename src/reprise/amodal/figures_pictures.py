"""Figures that show pictures: strips of a typical track, the two priors, the worst tracks.

Examples (`reprise.amodal.examples`) in, Figure out. What is predicted is orange, what is true is blue
(`reprise.amodal.paint`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reprise.amodal import paint
from reprise.amodal.examples import CHOSEN_BY, FAILURES, Example
from reprise.amodal.figures_labels import METHODS, NEVER, REVEALED
from reprise.amodal.metrics import area
from reprise.amodal.paint import GAP, Image
from reprise.amodal.tidy_examples import compared, of_role
from reprise.figures import INK, MUTED, PURPLE, grid


def strips(examples: Sequence[Example]) -> Figure:
    """Every second frame of a typical track from V and O to the final mask and where it is wrong, for two methods."""
    shown = of_role(examples, "typical")
    figure, axes = sheets([[_strip(example)] for example in shown], below=1.35)
    for example, (ax,) in zip(shown, axes, strict=True):
        ax.set_title(f"{example.dataset}: frames of video {example.video}, object {example.object_id}", pad=18)
    width, height = figure.get_size_inches()
    scale = figure.add_axes((LEFT / width, 1.0 / height, 2.6 / width, 0.1 / height))
    figure.colorbar(
        ScalarMappable(cmap=colormaps[paint.HEAT]), cax=scale, orientation="horizontal", label="predicted probability P"
    )
    swatches(
        figure,
        {
            "visible": paint.VISIBLE,
            "predicted hidden part, or wrongly added": paint.PREDICTED,
            "true hidden part, or missed": paint.TRUE,
            "predicted and true": paint.AGREED,
        },
    )
    return figure


def _strip(example: Example) -> "Sheet":
    """Every second frame, without the first and the last, which are never scored."""
    places = range(1, len(example.frames) - 1, 2)
    shape = example.visible.shape[1:]
    truth = example.full & example.occluders
    rows = [
        ("frame", [paint.photo(example.frames[t]) for t in places]),
        ("visible mask V", [paint.layers(shape, (example.visible[t], INK)) for t in places]),
        ("others O", [paint.layers(shape, (example.occluders[t], INK)) for t in places]),
        ("true mask M", [_masked(example, example.full, paint.TRUE, t) for t in places]),
    ]
    for method in compared(example):
        name, hidden = METHODS[method], example.hidden[method]
        rows += [
            (f"{name}: P", [paint.heat(example.probability[method][t]) for t in places]),
            (f"{name}: final mask", [_masked(example, hidden, paint.PREDICTED, t) for t in places]),
            (
                f"{name}: difference",
                [paint.difference(example.visible[t], hidden[t], truth[t]) for t in places],
            ),
        ]
    return Sheet(rows, [str(example.first + place) for place in places])


def _masked(example: Example, hidden: np.ndarray, color: str, t: int) -> Image:
    """V in grey and a hidden part in its colour."""
    return paint.layers(example.visible.shape[1:], (hidden[t], color), (example.visible[t], paint.VISIBLE))


PRIORS = ("revealed", "never_revealed")
MOST = 5  # frames of a track
ADDED = PURPLE


def concept(examples: Sequence[Example]) -> Figure:
    """Two tracks of each data set: whose hidden part other frames show, and much of whose hidden part none shows."""
    found = {(example.dataset, example.role): example for example in of_role(examples, *PRIORS)}
    names = list(dict.fromkeys(name for name, _ in found))
    figure, axes = sheets([[_priors(found[name, role]) for role in PRIORS] for name in names], below=0.65)
    for name, line in zip(names, axes, strict=True):
        for role, ax in zip(PRIORS, line, strict=True):
            example = found[name, role]
            hidden = area(example.full & example.occluders)[example.scored].sum()
            share = area(example.revealed)[example.scored].sum() / hidden
            ax.set_title(name, pad=32)
            note = f"other frames show {share:.0%} of what is hidden"
            ax.annotate(note, (0, 1), (0, 19), xycoords="axes fraction", textcoords="offset points", fontsize=9)
        line[1].set_yticklabels([])
    swatches(
        figure,
        {
            "visible": paint.VISIBLE,
            "hidden, seen in another frame": REVEALED,
            "hidden, never seen": NEVER,
            "others": paint.OTHERS,
            "found by SaVos": paint.AGREED,
            "wrongly added by SaVos": ADDED,
        },
    )
    return figure


def _priors(example: Example) -> "Sheet":
    """Frames spread over the track; the hidden part by what other frames show; the same with what SaVos found on it."""
    inner = np.arange(1, len(example.frames) - 1)
    places = inner[np.rint(np.linspace(0, len(inner) - 1, min(MOST, len(inner)))).astype(int)]
    truth, found = example.full & example.occluders, example.hidden[CHOSEN_BY]

    def layers(t: int, *more: tuple[np.ndarray, str]) -> Image:
        kinds = [(truth[t] & ~example.revealed[t], NEVER), (truth[t] & example.revealed[t], REVEALED)]
        ground = [(example.occluders[t], paint.OTHERS), (example.visible[t], paint.VISIBLE)]
        return paint.layers(truth.shape[1:], *ground, *kinds, *more)

    rows = [
        ("frame", [paint.photo(example.frames[t]) for t in places]),
        ("hidden part", [layers(t) for t in places]),
        ("SaVos", [layers(t, (found[t] & truth[t], paint.AGREED), (found[t] & ~truth[t], ADDED)) for t in places]),
    ]
    return Sheet(rows, [str(example.first + place) for place in places])


def failures(examples: Sequence[Example]) -> Figure:
    """The worst frames of the worst tracks: outlines of the predicted and of the true mask, and their difference."""
    names = list(dict.fromkeys(example.dataset for example in of_role(examples, "failure")))
    figure, axes = grid(2 * len(names), FAILURES, width=1.5, height=1.45)
    for ax in axes.flat:
        ax.set_axis_off()
    for k, name in enumerate(names):
        worst = [example for example in of_role(examples, "failure") if example.dataset == name]
        for example, above, below in zip(worst, axes[2 * k], axes[2 * k + 1], strict=False):
            hidden = example.hidden[CHOSEN_BY][0]
            picture = fitted(paint.faded(paint.photo(example.frames[0])), LARGE)
            outlines = [(example.full[0], paint.TRUE, 0), (example.visible[0] | hidden, paint.PREDICTED, 9)]
            for mask, color, dash in outlines:
                picture = paint.outlined(picture, fitted(mask, LARGE), color, width=3, dash=dash)
            above.imshow(picture, interpolation="none")
            above.set_anchor("SW")
            wrong = paint.difference(example.visible[0], hidden, example.full[0] & example.occluders[0])
            below.imshow(fitted(wrong, LARGE), interpolation="none")
            below.set_anchor("NW")
            note = f"IoU {example.iou_occluded(CHOSEN_BY)[0]:.2f}\n{example.rate[0]:.0%} hidden"
            above.set_title(note, fontsize=8.5, fontweight="normal")
        place = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes[2 * k, 0].annotate(name, (0, 1), (0, 30), fontweight="bold", fontsize=10.5, **place)
    swatches(
        figure,
        {
            "visible": paint.VISIBLE,
            "true outline; missed": paint.TRUE,
            "predicted outline (dashed); wrongly added": paint.PREDICTED,
            "predicted and true": paint.AGREED,
        },
    )
    return figure


# ---------------------------------------------------------------- sheets of pictures

SMALL, LARGE = 96, 192  # about as many pixels has the longer side of a picture, however large its window is
PANEL = 0.92  # inches, the longer side of a picture in a sheet
LEFT, ABOVE, BETWEEN = 1.5, 0.62, 0.25  # inches beside, above and between sheets


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """An image or mask enlarged by a whole factor, or thinned out by one, to about `side` pixels."""
    longest = max(image.shape[:2])
    thin = max(1, round(longest / side))
    return paint.enlarged(image[::thin, ::thin], max(1, round(side / longest)))


@dataclass(frozen=True)
class Sheet:
    """Pictures in rows, which have names, and columns, which have labels."""

    rows: Sequence[tuple[str, Sequence[Image]]]
    columns: Sequence[str]

    @property
    def picture(self) -> tuple[float, float]:
        """Height and width of one picture in inches."""
        height, width, _ = self.rows[0][1][0].shape
        return PANEL * height / max(height, width), PANEL * width / max(height, width)

    @property
    def inches(self) -> tuple[float, float]:
        height, width = self.picture
        return len(self.rows) * height, len(self.columns) * width

    def draw(self, ax: Axes) -> None:
        pictures = [[fitted(image, SMALL) for image in images] for _, images in self.rows]
        height, width, _ = pictures[0][0].shape
        ax.imshow(paint.sheet(pictures), interpolation="none", aspect="auto")
        names = [name for name, _ in self.rows]
        ax.set_yticks([r * (height + GAP) + height / 2 - 0.5 for r in range(len(names))], names)
        ax.set_xticks([c * (width + GAP) + width / 2 - 0.5 for c in range(len(self.columns))], self.columns)
        ax.tick_params(length=0, labeltop=True, labelbottom=False, pad=2, labelsize=8.5)
        ax.grid(False)
        for side in ax.spines.values():
            side.set_visible(False)


def sheets(lines: Sequence[Sequence[Sheet]], *, below: float) -> tuple[Figure, list[list[Axes]]]:
    """Sheets in lines, of a size to show every picture equally large; `below` are inches for legends."""
    across = [max(line[c].inches[1] for line in lines) for c in range(len(lines[0]))]
    down = [max(sheet.inches[0] for sheet in line) for line in lines]
    width = LEFT + sum(across) + BETWEEN * len(across)
    height = sum(down) + ABOVE * len(down) + below
    figure = Figure(figsize=(width, height))
    axes: list[list[Axes]] = []
    top = height
    for line, tall in zip(lines, down, strict=True):
        top -= ABOVE
        axes.append([])
        for c, sheet in enumerate(line):
            left = LEFT + sum(across[:c]) + BETWEEN * c
            own_height, own_width = sheet.inches
            place = left / width, (top - own_height) / height, own_width / width, own_height / height
            axes[-1].append(figure.add_axes(place))
            sheet.draw(axes[-1][-1])
        top -= tall
    return figure, axes


def swatches(figure: Figure, colors: Mapping[str, str]) -> None:
    """A legend of colours below everything."""
    patches = [Patch(facecolor=color, edgecolor=MUTED, linewidth=0.5, label=name) for name, color in colors.items()]
    columns = max(1, min(len(patches), round(figure.get_figwidth() / 3.0)))
    if figure.get_layout_engine():
        figure.legend(handles=patches, loc="outside lower center", ncols=columns)
    else:
        figure.legend(handles=patches, loc="lower center", ncols=columns)
