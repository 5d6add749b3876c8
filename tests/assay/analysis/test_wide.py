"""From long to wide: every number stands where it was measured, and the means are plain means."""

import numpy as np
import pandas as pd
import pytest

from assay.tables import DOMAINS, sweep_table
from reprise import results
from reprise.assay.analysis.wide import measures, sweep, wide

LONG = results.expand(sweep_table())
WIDE = wide(LONG)


def measured(network, metric, shift, split="test"):
    """Rows of the long table of one network of the wide table."""
    rows = LONG[(LONG["run"] == network.run) & (LONG["alpha"] == network.alpha) & (LONG["metric"] == metric)]
    return rows[(rows["shift"] == shift) & (rows["split"] == split)]


def test_one_row_per_network_and_ordered_pair():
    chosen = sweep(WIDE)
    assert chosen.groupby("dataset").size().to_dict() == {"colored": 64, "digits": 960}
    assert (chosen.groupby(["dataset", "train_domain", "test_domain"]).size() == 32).all()
    assert not WIDE.duplicated(["run", "alpha", "test_domain"]).any()
    assert (WIDE["train_domain"] != WIDE["test_domain"]).all()


@pytest.mark.parametrize("place", [0, 200, 777])
def test_columns_hold_what_was_measured(place):
    network = sweep(WIDE).iloc[place]
    ood = measured(network, "error", "ood").set_index("test_domain")["value"]
    assert network.id_error == measured(network, "error", "id")["value"].item()
    assert network.id_val_error == measured(network, "error", "id", "val")["value"].item()
    assert network.ood_error == ood[network.test_domain]
    assert network.corrupted_nll == pytest.approx(measured(network, "nll", "corrupted")["value"].mean())
    assert network.heldout_error == pytest.approx(ood.drop(network.test_domain).mean())
    estimate = measured(network, "estimate_doc", "ood").set_index("test_domain")["value"]
    assert network.estimate_doc == estimate[network.test_domain]
    assert (network.n_id, network.n_ood) == (540, 540)


def test_equal_networks_tie_in_their_means():
    """Two networks of equal errors have equal held-out errors, whatever the order of summation."""
    errors = [0.1, 0.2, 0.3, 0.7, 0.15, 0.35]
    rows = [
        {
            "dataset": "digits", "train_domain": "pen", "test_domain": test, "shift": "ood", "split": "test",
            "metric": "error", "value": value, "n": 9, "model": "cnn", "method": "erm", "seed": 0,
            "run": run, "arm": "sweep",
        }
        for run, order in (("a", errors), ("b", errors[::-1]))
        for test, value in zip("uvwxyz", order, strict=True)
    ]  # fmt: skip
    found = wide(pd.DataFrame(rows)).sort_values("ood_error")
    assert (found["heldout_error"].to_numpy()[::2] == found["heldout_error"].to_numpy()[1::2]).all()


def test_no_held_out_domain_no_held_out_error():
    found = wide(results.expand(sweep_table(domains=DOMAINS[:2], arms=("sweep",))))
    assert found.loc[found["dataset"] == "digits", "heldout_error"].isna().all()
    assert found.loc[found["dataset"] == "colored", "heldout_error"].notna().all()


def test_order_of_the_rows_changes_nothing():
    shuffled = LONG.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(wide(shuffled), WIDE)


def test_standard_errors_are_no_metrics():
    assert not [name for name in WIDE if str(name).endswith("_stderr")]
    assert measures(WIDE) == [
        "error", "nll", "ece", "demographic_disparity", "adversarial_error_large", "adversarial_error_small",
    ]  # fmt: skip


def test_networks_without_the_settings_others_have():
    assert set(WIDE.loc[WIDE["arm"] == "sweep", "alpha"]) == {""}
    assert set(WIDE.loc[WIDE["finetune"] == "wise_ft", "alpha"]) == {"0", "0.5", "1"}
    assert set(WIDE.loc[WIDE["arm"] == "invariance", "draw"]) == {"0", "1", "2"}
    assert not np.isfinite(WIDE.loc[WIDE["arm"] == "invariance", "id_nll"]).any()


def test_a_table_that_was_not_expanded_is_refused():
    with pytest.raises(results.ResultsError, match="expand first"):
        wide(sweep_table(arms=("planted_cue",)))
