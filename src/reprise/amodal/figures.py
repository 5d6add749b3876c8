"""All figures and tables of the amodal wing by name: the data of each and, for a figure, how it is drawn.

`FIGURES` and `TABLES` are made of the results table, `PICTURES` of examples (`reprise.amodal.examples`). The animation
(`reprise.amodal.animation`) stands beside them: it is no drawing; its data are those of `strips`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import pandas as pd
from matplotlib.figure import Figure

from reprise.amodal import figures_motion, figures_pictures, figures_scores, tidy, tidy_examples
from reprise.amodal.examples import Example
from reprise.figures import Exhibit

Shown = TypeVar("Shown", pd.DataFrame, Figure)
Tidy = Callable[[pd.DataFrame], pd.DataFrame]
Draw = Callable[[pd.DataFrame], Figure]

FIGURES: dict[str, tuple[Tidy, Draw]] = {
    "diagram": (figures_motion.parts, figures_motion.diagram),
    "occlusion_rate": (tidy.occlusion_rate, figures_scores.occlusion_rate),
    "hidden_pixels": (tidy.hidden_pixels, figures_scores.hidden_pixels),
    "adaptation": (tidy.adaptation, figures_scores.adaptation),
    "ablations": (tidy.ablations, figures_scores.ablations),
    "reliability": (tidy.reliability, figures_scores.reliability),
}
PICTURES: dict[str, tuple[Callable[[Sequence[Example]], pd.DataFrame], Callable[[Sequence[Example]], Figure]]] = {
    "strips": (tidy_examples.strips, figures_pictures.strips),
    "concept": (tidy_examples.concept, figures_pictures.concept),
    "motion": (tidy_examples.motion, figures_motion.motion),
    "failures": (tidy_examples.failures, figures_pictures.failures),
}
ANIMATION = "animation"
TABLES: dict[str, Tidy] = {
    "methods": tidy.methods,
    "ablation_table": tidy.ablation_table,
}


def exhibits(examples: Sequence[Example]) -> dict[str, Exhibit]:
    """Every figure as `reprise.figures.draw` takes it; those that show pictures look at `examples` alone."""

    def of_examples(function: Callable[[Sequence[Example]], Shown]) -> Callable[[pd.DataFrame], Shown]:
        return lambda _: function(examples)

    return FIGURES | {name: (of_examples(data), of_examples(drawn)) for name, (data, drawn) in PICTURES.items()}
