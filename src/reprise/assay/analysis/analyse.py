"""All analyses of the assay (Sec. 5 and 8 of the brief): measurements in, rows of analyses out."""

import pandas as pd

from reprise.assay.analysis.bootstrap import Row
from reprise.assay.analysis.checks import checks, environments
from reprise.assay.analysis.factors import factors
from reprise.assay.analysis.interventions import interventions, ranks
from reprise.assay.analysis.invariance import invariance, planted_cue
from reprise.assay.analysis.predictors import predictors
from reprise.assay.analysis.regret import selection
from reprise.assay.analysis.robustness import effective_robustness
from reprise.assay.analysis.settings import Settings
from reprise.assay.analysis.shapes import shapes
from reprise.assay.analysis.transfer import estimators, transfer
from reprise.assay.analysis.upstream import radar, upstream
from reprise.assay.analysis.wide import wide

OF_NETWORKS = (
    predictors,
    factors,
    transfer,
    interventions,
    ranks,
    shapes,
    selection,
    effective_robustness,
    estimators,
    checks,
)


def analyse(table: pd.DataFrame, models: pd.DataFrame, settings: Settings) -> list[Row]:
    """Rows of every analysis that the measurements allow, in the house format; each says `analysis=<name>` in setting.

    Args:
        table: measurements after `results.expand`.
        models: one row per architecture: model, n_params, error (upstream), any further `<name>_error`.
        settings: number of draws, scale of fits, thresholds, classes per data set.

    Raises ResultsError for a table that was not expanded, UserError for a data set without number of classes.
    """
    frame = wide(table)
    rows = [row for analysis in OF_NETWORKS for row in analysis(frame, settings)]
    rows += upstream(frame, models) + radar(frame, models)
    return rows + environments(table) + invariance(table, settings) + planted_cue(table)
