"""All figures and tables of the assay by name: the data of each and, for a figure, how it is drawn."""

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from reprise.assay import figures_choices, figures_methods, figures_proxies, tidy

Tidy = Callable[[pd.DataFrame], pd.DataFrame]
Draw = Callable[[pd.DataFrame], Figure]

FIGURES: dict[str, tuple[Tidy, Draw]] = {
    "predictors": (tidy.predictors, figures_proxies.predictors),
    "predictors_heatmap": (tidy.predictors_heatmap, figures_proxies.predictors_heatmap),
    "factors": (tidy.factors, figures_proxies.factors),
    "scree": (tidy.scree, figures_proxies.scree),
    "transfer": (tidy.transfer, figures_proxies.transfer),
    "upstream": (tidy.upstream, figures_proxies.upstream),
    "estimators": (tidy.estimators, figures_proxies.estimators),
    "interventions": (tidy.interventions, figures_choices.interventions),
    "shapes": (tidy.shapes, figures_choices.shapes),
    "selection": (tidy.selection, figures_choices.selection),
    "effective_robustness": (tidy.effective_robustness, figures_choices.effective_robustness),
    "radar": (tidy.radar, figures_choices.radar),
    "planted_cue": (tidy.planted_cue, figures_methods.planted_cue),
    "invariance": (tidy.invariance, figures_methods.invariance),
    "strategies": (tidy.strategies, figures_methods.strategies),
}
TABLES: dict[str, Tidy] = {
    "predictor_averages": tidy.predictor_averages,
    "domains": tidy.domains,
    "shape_counts": tidy.shape_counts,
    "estimator_errors": tidy.estimator_errors,
}
