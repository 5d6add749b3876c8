"""Estimates of OOD accuracy without OOD labels, baselines beyond "Assaying OOD Generalization" (brief, Sec. 8).

ATC (average thresholded confidence, Garg et al. 2022), DoC (difference of confidences, Guillory et al. 2021) and
agreement on the line (ALine-S and ALine-D, Baek et al. 2022). Notation as in `metrics`: logits (*runs, n, K), labels
(n,) or (*runs, n). ID and OOD logits may differ in n; leading axes broadcast, so that `id_logits[:, None]` serves
several OOD sets per run. ATC and DoC estimate the OOD *error*, agreement on the line the OOD *accuracy*.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from reprise.assay.metrics import Outputs, checked, confidence, error, judged
from reprise.errors import UserError

SCORES = {
    "confidence": lambda outputs: outputs.confidences,
    "negative_entropy": lambda outputs: -outputs.entropies,
}


def unchanged(id_logits: ArrayLike, id_labels: ArrayLike) -> Float[np.ndarray, "*runs"]:
    """OOD error if nothing changed: the ID error."""
    return error(id_logits, id_labels)


def atc(
    id_val_logits: ArrayLike, id_val_labels: ArrayLike, ood_logits: ArrayLike, score: str = "confidence"
) -> Float[np.ndarray, "*runs"]:
    """Estimated OOD error, in [0, 1]: the share of OOD samples whose score lies below a threshold.

    The threshold t makes share{score < t} on ID validation equal to the ID error (Garg et al., eq. (1)-(2)); with m
    errors it is the score that m others precede. Where scores tie, the share is the next smaller one there is.
    """
    if score not in SCORES:
        raise UserError(f"unknown score {score!r}; choose from {', '.join(SCORES)}")
    known = judged(id_val_logits, id_val_labels)
    n_wrong = known.wrong.sum(axis=-1, keepdims=True)
    n = known.wrong.shape[-1]
    ordered = np.sort(SCORES[score](known), axis=-1)
    threshold = np.take_along_axis(ordered, np.minimum(n_wrong, n - 1), axis=-1)
    threshold = np.where(n_wrong == n, np.inf, threshold)
    return (SCORES[score](Outputs(checked(ood_logits))) < threshold).mean(axis=-1)


def doc(id_val_logits: ArrayLike, id_val_labels: ArrayLike, ood_logits: ArrayLike) -> Float[np.ndarray, "*runs"]:
    """Estimated OOD error: ID error plus the fall of the mean confidence; not clipped, it may leave [0, 1]."""
    return error(id_val_logits, id_val_labels) + confidence(id_val_logits) - confidence(ood_logits)


class AgreementEstimates(NamedTuple):
    """Estimated OOD accuracy of each run by the simple and by the pairwise algorithm."""

    aline_s: Float[np.ndarray, " runs"]
    aline_d: Float[np.ndarray, " runs"]


def agreement_on_the_line(
    id_predictions: Int[np.ndarray, "runs n_id"],
    ood_predictions: Int[np.ndarray, "runs n_ood"],
    id_accuracy: Float[np.ndarray, " runs"],
) -> AgreementEstimates:
    """Estimated OOD accuracies, in (0, 1), of runs that predict the same samples (Baek et al. 2022, Algorithm 1).

    Rates are clipped to [1/(2n), 1 - 1/(2n)] before the probit. NaN with fewer than three runs, or when all pairs
    agree equally often on ID: then there is no line.
    """
    id_predictions, ood_predictions = np.asarray(id_predictions), np.asarray(ood_predictions)
    accuracy = np.asarray(id_accuracy, dtype=np.float64)
    if accuracy.ndim != 1 or {id_predictions.ndim, ood_predictions.ndim} != {2}:
        raise UserError("agreement needs predictions of shape (runs, n) and accuracies of shape (runs,)")
    (n_runs, n_id), (n_ood_runs, n_ood) = id_predictions.shape, ood_predictions.shape
    if not n_runs == n_ood_runs == len(accuracy):
        raise UserError(f"agreement of {n_runs} runs on ID and {n_ood_runs} on OOD, with {len(accuracy)} ID accuracies")
    if not n_id or not n_ood:
        raise UserError("agreement needs at least one sample on ID and one on OOD")
    return estimates_on_the_line(
        probit(pairwise_agreement(id_predictions), n_id),
        probit(pairwise_agreement(ood_predictions), n_ood),
        probit(accuracy, n_id),
    )


def estimates_on_the_line(
    id_agreement: Float[np.ndarray, "runs runs"],
    ood_agreement: Float[np.ndarray, "runs runs"],
    id_accuracy: Float[np.ndarray, " runs"],
) -> AgreementEstimates:
    """ALine-S and ALine-D from probits of agreement (symmetric, diagonal unused) and of ID accuracy.

    ALine-S: the least-squares line of OOD on ID agreement over pairs i < j, slope a, taken as that of the accuracies.
    ALine-D: w minimising sum_{i<j} ((w_i + w_j)/2 - c_ij)^2, c_ij = ood_ij + a ((acc_i + acc_j)/2 - id_ij). Its normal
    equations over all R (R-1)/2 pairs, (R-2) w_i + sum_j w_j = 2 r_i with r_i = sum_{j != i} c_ij, are solved by hand:
    sum_j w_j = sum_i r_i / (R-1).
    """
    n_runs = len(id_accuracy)
    first, second = np.triu_indices(n_runs, k=1)
    x, y = id_agreement[first, second], ood_agreement[first, second]
    if n_runs < 3 or np.ptp(x) == 0:
        return AgreementEstimates(np.full(n_runs, np.nan), np.full(n_runs, np.nan))
    slope = ((x - x.mean()) @ (y - y.mean())) / ((x - x.mean()) ** 2).sum()
    simple = y.mean() + slope * (id_accuracy - x.mean())

    target = ood_agreement + slope * ((id_accuracy[:, None] + id_accuracy) / 2 - id_agreement)
    row_sums = target.sum(axis=1) - target.diagonal()
    pairwise = (2 * row_sums - row_sums.sum() / (n_runs - 1)) / (n_runs - 2)
    return AgreementEstimates(ndtr(simple), ndtr(pairwise))


def pairwise_agreement(predictions: Int[np.ndarray, "runs n"]) -> Float[np.ndarray, "runs runs"]:
    """Share of samples on which two runs predict the same class; one run at a time, so that memory stays small."""
    agreement = np.empty((len(predictions), len(predictions)))
    for row, own in zip(agreement, predictions, strict=True):
        row[:] = (predictions == own).mean(axis=-1)
    return agreement


def probit(rate: Float[np.ndarray, "..."], n: int) -> Float[np.ndarray, "..."]:
    """Quantile of the standard normal at a rate out of n, clipped to [1/(2n), 1 - 1/(2n)] so that it is finite."""
    return ndtri(np.clip(rate, 1 / (2 * n), 1 - 1 / (2 * n)))
