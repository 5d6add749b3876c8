"""The animation: typical tracks over time, with the outlines of what is visible, predicted and true, as one small GIF.

Written with Pillow. All frames share one palette; the same examples give the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reprise.amodal import paint
from reprise.amodal.examples import CHOSEN_BY, Example
from reprise.amodal.figures_pictures import fitted
from reprise.amodal.tidy_examples import of_role
from reprise.figures import INK, REPORTS

SIDE = 240  # pixels, about the longer side of a picture
PAD, LINE = 10, 18  # pixels around pictures, and of a line of text
SHOWN, LAST = 300, 1200  # milliseconds of a frame, and of the last one
COLORS = 48
LINES = (("visible", INK), ("true mask", paint.TRUE), ("SaVos (dashed)", paint.PREDICTED))
FONT = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")


def pictures(examples: Sequence[Example]) -> list[Image.Image]:
    """One picture per frame: the typical tracks side by side; a track that ends earlier rests on its last frame."""
    shown = of_role(examples, "typical")
    font = ImageFont.truetype(FONT, 12)
    found = []
    for t in range(max((len(example.frames) for example in shown), default=0)):
        panels = [Image.fromarray(_panel(example, min(t, len(example.frames) - 1))) for example in shown]
        width = PAD + sum(panel.width + PAD for panel in panels)
        height = max(panel.height for panel in panels) + 2 * PAD + 2 * LINE
        page = Image.new("RGB", (max(width, 340), height), "white")
        draw = ImageDraw.Draw(page)
        left = PAD
        for example, panel in zip(shown, panels, strict=True):
            page.paste(panel, (left, PAD + LINE))
            draw.text((left, PAD // 2), f"{example.dataset}, frame {example.first + t}", fill=INK, font=font)
            left += panel.width + PAD
        left = PAD
        for name, color in LINES:
            draw.line([(left, height - LINE + 2), (left + 18, height - LINE + 2)], fill=color, width=3)
            draw.text((left + 24, height - LINE - 6), name, fill=INK, font=font)
            left += 44 + round(font.getlength(name))
        found.append(page)
    return found


def _panel(example: Example, t: int) -> paint.Image:
    """The frame with the outlines of V, of the true and of the predicted mask."""
    picture = fitted(paint.faded(paint.photo(example.frames[t])), SIDE)
    predicted = example.visible[t] | example.hidden[CHOSEN_BY][t]
    picture = paint.outlined(picture, fitted(example.full[t], SIDE), paint.TRUE, width=3)
    picture = paint.outlined(picture, fitted(predicted, SIDE), paint.PREDICTED, width=3, dash=10)
    return paint.outlined(picture, fitted(example.visible[t], SIDE), INK, width=1)


def save(examples: Sequence[Example], name: str, paper: str, *, reports: Path = REPORTS) -> None:
    """Write `figures/<paper>/<name>.gif` under `reports`, aside first, then renamed; nothing without examples."""
    frames = pictures(examples)
    if not frames:
        return
    # One palette for all frames: colours do not flicker, and the file holds it once.
    column = Image.fromarray(np.concatenate([np.asarray(frame) for frame in frames]))
    palette = column.quantize(COLORS, dither=Image.Dither.NONE)
    first, *rest = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    path = reports / "figures" / paper / f"{name}.gif"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    durations = [SHOWN] * len(rest) + [LAST]
    first.save(aside, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0, optimize=False)
    aside.replace(path)
