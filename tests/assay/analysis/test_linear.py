"""Linear fits from correlations equal least squares on every resample."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from reprise.assay.analysis import linear
from reprise.assay.analysis.bootstrap import resample
from reprise.errors import UserError

RANDOM = np.random.default_rng(0)
N = 40
FIRST, SECOND = RANDOM.normal(size=(2, N))
TARGET = FIRST - 0.5 * SECOND + RANDOM.normal(size=N)
GROUPS = np.repeat(["cnn", "mixer", "resnet", "vit"], 10)
WEIGHTS = resample(N, 20, 0, "linear")
DESIGN = linear.standardised([FIRST, SECOND, TARGET])
CORRELATIONS = linear.correlations(DESIGN, WEIGHTS)


def least_squares_r2(weights, *columns):
    chosen = np.repeat(np.arange(N), weights.astype(int))
    design = np.column_stack([np.ones(len(chosen)), *(column[chosen] for column in columns)])
    fitted = design @ np.linalg.lstsq(design, TARGET[chosen])[0]
    return r2_score(TARGET[chosen], fitted)


def test_correlations_are_numpys():
    for weights, found in zip(WEIGHTS, CORRELATIONS, strict=True):
        chosen = np.repeat(np.arange(N), weights.astype(int))
        np.testing.assert_allclose(found, np.corrcoef(DESIGN[chosen].T), atol=1e-10)


def test_r2_is_that_of_least_squares():
    both = linear.r2_with_second(CORRELATIONS[:, 0, 2], CORRELATIONS[:, 1, 2], CORRELATIONS[:, 0, 1])
    expected = [least_squares_r2(weights, FIRST, SECOND) for weights in WEIGHTS]
    np.testing.assert_allclose(both, expected)
    np.testing.assert_allclose(linear.r2_of_all(CORRELATIONS), expected)


def test_a_repeated_column_adds_nothing():
    ones = np.ones(3)
    np.testing.assert_allclose(linear.r2_with_second(0.6 * ones, 0.6 * ones, ones), 0.36)
    twice = linear.correlations(linear.standardised([FIRST, FIRST, TARGET]), WEIGHTS)
    np.testing.assert_allclose(linear.r2_of_all(twice), twice[:, 0, 2] ** 2, atol=1e-6)


def test_adjusted_r2_by_hand():
    weights = np.ones((3, 11))
    weights[1, 5:] = 0  # five networks drawn
    weights[2, 3:] = 0
    found = linear.adjusted(np.full(3, 0.5), weights, 2)
    np.testing.assert_allclose(found, [1 - 0.5 * 10 / 8, 1 - 0.5 * 4 / 2, np.nan])


def test_leave_groups_out_is_scikit_learns():
    """The fits are those of the sample; a draw judges them on its networks."""
    groups = LeaveOneGroupOut()
    predicted = cross_val_predict(LinearRegression(), DESIGN[:, :2], DESIGN[:, 2], groups=GROUPS, cv=groups)
    for weights, found in zip(WEIGHTS, linear.r2_without_groups(DESIGN, GROUPS, WEIGHTS), strict=True):
        assert found == pytest.approx(r2_score(DESIGN[:, 2], predicted, sample_weight=weights))


def test_leave_groups_out_exposes_a_fit_that_is_the_architecture():
    """Columns that tell architectures apart fit them all and foretell none."""
    place = np.repeat([0.0, 1.0, 2.0, 3.0], 10)
    target = np.repeat([0.0, 5.0, 1.0, 4.0], 10) + 0.1 * RANDOM.normal(size=N)
    design = linear.standardised([place, place**2, place**3, target])
    ones = np.ones((1, N))
    assert linear.r2_of_all(linear.correlations(design, ones))[0] > 0.9
    assert linear.r2_without_groups(design, GROUPS, ones)[0] < 0


def test_a_repeated_column_does_not_disturb_predictions():
    twice = linear.standardised([FIRST, SECOND, FIRST, TARGET])
    np.testing.assert_allclose(
        linear.r2_without_groups(twice, GROUPS, WEIGHTS), linear.r2_without_groups(DESIGN, GROUPS, WEIGHTS)
    )


def test_one_architecture_or_few_networks_cannot_be_crossed():
    assert np.isnan(linear.r2_without_groups(DESIGN, np.repeat("cnn", N), WEIGHTS)).all()
    assert np.isnan(linear.r2_without_groups(DESIGN[:4], np.array(list("aabb")), np.ones((1, 4)))).all()


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("raw", [0.0, 0.5, 1.0]),
        ("logit", [-np.log(19), 0.0, np.log(19)]),
        ("probit", stats.norm.ppf([0.05, 0.5, 0.95])),
    ],
)
def test_rates_are_clipped_half_an_image_from_the_ends(transform, expected):
    found = linear.transformed(np.array([0.0, 0.5, 1.0]), np.full(3, 10.0), transform)
    np.testing.assert_allclose(found, expected)


def test_errors_name_what_is_wrong():
    with pytest.raises(UserError, match="unknown transform 'log': choose one of logit, probit, raw"):
        linear.transformed(np.zeros(1), np.ones(1), "log")
    with pytest.raises(ValueError, match="constant"):
        linear.standardised([np.ones(4)])
