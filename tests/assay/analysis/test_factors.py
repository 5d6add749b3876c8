"""Analysis 2: a planted structure of factors comes back; the scree and its random counterpart."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.decomposition import FactorAnalysis

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from reprise.assay.analysis import factors as module
from reprise.assay.analysis.factors import factors
from reprise.assay.analysis.settings import Settings

GROUPS = {
    "id_error": 0, "id_nll": 0, "corrupted_error": 0,
    "ood_error": 1, "ood_nll": 1, "corrupted_nll": 1,
    "id_ece": 2, "ood_ece": 2, "corrupted_ece": 2,
}  # fmt: skip


def planted(n=400, seed=0):
    """Nine metrics that three hidden factors move; ID error falls where its factor rises."""
    random = np.random.default_rng(seed)
    hidden = random.normal(size=(3, n))
    return wide_frame(n, **{name: 5 - 2 * hidden[k] + 0.6 * random.normal(size=n) for name, k in GROUPS.items()})


FRAME = planted()
THREE = Settings(classes={}, n_factors=3)
ROWS = factors(FRAME, THREE)
LOADINGS = np.array([[value(ROWS, "loading", factor=k, variable=v) for v in GROUPS] for k in (1, 2, 3)])


def test_planted_factors_are_found():
    top = np.abs(LOADINGS).argmax(0)
    assert {tuple(top[:3] == top[0]), tuple(top[3:6] == top[3]), tuple(top[6:] == top[6])} == {(True, True, True)}
    assert len({top[0], top[3], top[6]}) == 3
    assert np.abs(LOADINGS).max(0).min() > 0.9
    assert np.sort(np.abs(LOADINGS), axis=0)[:2].max() < 0.2


def test_factors_come_in_order_with_id_error_positive():
    sizes = (LOADINGS**2).sum(1)
    assert (np.diff(sizes) <= 0).all()
    assert (LOADINGS[:, list(GROUPS).index("id_error")] >= 0).all()


def test_counts_of_factors():
    assert value(ROWS, "kaiser") == 3
    assert value(ROWS, "parallel_count") == 3
    eigenvalues = [value(ROWS, "eigenvalue", component=k) for k in range(1, 10)]
    assert sum(eigenvalues) == pytest.approx(9)
    assert (np.diff(eigenvalues) <= 0).all()
    assert {row["n"] for row in ROWS} == {400}


def test_noise_has_no_factor_beyond_parallel_analysis():
    random = np.random.default_rng(1)
    noise = wide_frame(300, **{name: random.normal(size=300) for name in GROUPS})
    rows = factors(noise, THREE)
    assert value(rows, "parallel_count") == 0
    assert value(rows, "kaiser") > 2


def test_standardised_within_each_pair_not_across():
    frame = planted(60)
    other = planted(60, seed=1).assign(test_domain="color")
    other[list(GROUPS)] = other[list(GROUPS)] * 7 + 100
    table = module.standardised_within_pairs(pd.concat([frame, other], ignore_index=True))
    expected = np.vstack([stats.zscore(part[list(table)].to_numpy()) for part in (frame, other)])
    np.testing.assert_allclose(table.to_numpy(), expected)


def test_likelihood_needs_the_covariance_only():
    """The condensed table gives the loadings of the whole one."""
    values_ = module.standardised_within_pairs(FRAME).to_numpy()
    whole = FactorAnalysis(3, rotation="varimax", svd_method="lapack", tol=1e-8, max_iter=5000).fit(values_).components_
    found = module.fit(FRAME, THREE, "digits").loadings
    np.testing.assert_allclose(sorted((found**2).sum(1)), sorted((whole**2).sum(1)), rtol=1e-2)
    np.testing.assert_allclose((found**2).sum(0), (whole**2).sum(0), rtol=1e-2)


def test_order_of_the_networks_changes_nothing():
    shuffled = factors(FRAME.sample(frac=1, random_state=0), THREE)
    for k in (1, 2, 3):
        found = [value(shuffled, "loading", factor=k, variable=v) for v in GROUPS]
        np.testing.assert_allclose(found, LOADINGS[k - 1], atol=1e-3)


def test_columns_that_cannot_be_used_are_left_out():
    frame = planted(80).assign(id_demographic_disparity=0.1, ood_nll=np.nan)
    rows = factors(frame, SETTINGS)
    assert len(values(rows, "loading", variable="id_nll")) == 4
    assert not values(rows, "loading", variable="id_demographic_disparity")
    assert not values(rows, "loading", variable="ood_nll")


def test_too_small_a_table_gives_no_rows():
    assert factors(planted(9), SETTINGS) == []
    assert factors(wide_frame(50, id_error=np.arange(50.0), ood_error=1.0), SETTINGS) == []
