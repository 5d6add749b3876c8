"""Analysis 6: a cloud of points for each shape, at the thresholds and beyond."""

import numpy as np
import pandas as pd
import pytest

from assay.analysis.frames import SETTINGS, value, values, wide_frame
from assay.tables import CLASSES, SHAPES, sweep_table
from reprise import results
from reprise.assay.analysis import shapes as module
from reprise.assay.analysis.settings import Settings, ShapeThresholds
from reprise.assay.analysis.shapes import classify, logit_r2, shapes
from reprise.assay.analysis.wide import wide
from reprise.errors import UserError

# The worse half spreads widely, the better half lies within 0.05: the same ID accuracies allow every shape.
INSIDE = np.concatenate([np.linspace(0.3, 0.8, 20), np.linspace(0.85, 0.9, 20)])
SHUFFLED = np.random.default_rng(0).permutation(40) / 39
CLOUDS = {
    "line": 0.2 + 0.6 * INSIDE,
    "vertical": 0.3 + 0.6 * SHUFFLED,
    "horizontal": 0.1 + 0.1 * SHUFFLED,
    "none": 0.5 + 0.02 * SHUFFLED,
    "decreasing": 0.8 - 0.4 * INSIDE,
}


def shape(i, o, chance=0.1, **thresholds):
    return classify(np.array(i), np.array(o), chance=chance, thresholds=ShapeThresholds(**thresholds))


@pytest.mark.parametrize("name", CLOUDS)
def test_each_shape_is_told(name):
    assert shape(INSIDE, CLOUDS[name]).name == name


def test_horizontal_comes_first():
    """A low cloud is horizontal even where it rises or falls perfectly."""
    assert shape(INSIDE, 0.1 + 0.1 * INSIDE).name == "horizontal"
    assert shape(INSIDE, 0.2 - 0.1 * INSIDE).name == "horizontal"


def test_horizontal_limit_depends_on_chance():
    """With ten classes the limit is 0.25, with two 0.5833."""
    low, high = np.full(40, 0.25), np.full(40, 0.251)
    assert [shape(INSIDE, o).name for o in (low, high)] == ["horizontal", "none"]
    assert shape(INSIDE, np.full(40, 0.58), chance=0.5).name == "horizontal"
    assert shape(INSIDE, np.full(40, 0.59), chance=0.5).name == "none"


def test_fewer_than_a_tenth_of_the_networks_may_be_better():
    o = np.full(40, 0.2)
    o[18:21] = 0.9
    assert shape(INSIDE, o).name == "horizontal"
    o[18:23] = 0.9
    assert shape(INSIDE, o).name != "horizontal"


def test_decreasing_must_be_significant():
    few = [0.5, 0.6, 0.7, 0.8], [0.8, 0.6, 0.7, 0.5]
    found = shape(*few)
    assert found.rho == pytest.approx(-0.8)
    assert found.p > 0.05
    assert found.name != "decreasing"
    assert shape(*few, p=0.5).name == "decreasing"


def test_vertical_is_judged_on_the_better_half():
    found = shape(INSIDE, CLOUDS["vertical"])
    assert found.iqr_id == pytest.approx(0.025)  # of 0.85..0.90, not of all
    assert found.iqr_ood == pytest.approx(np.subtract(*np.percentile(CLOUDS["vertical"][20:], [75, 25])))
    wide_top = np.linspace(0.3, 0.99, 40)
    assert shape(wide_top, CLOUDS["vertical"]).name == "none"
    assert shape(wide_top, CLOUDS["vertical"], vertical_iqr=0.2, vertical_ratio=1.0).name == "vertical"


def test_constant_accuracy_has_no_correlation():
    found = shape(np.full(40, 0.9), CLOUDS["vertical"])
    assert found.name == "vertical"
    assert np.isnan(found.rho)
    rows = shapes(wide_frame(40, id_error=0.1, ood_error=1 - CLOUDS["vertical"]), SETTINGS)
    assert not values(rows, "spearman_accuracy")
    assert not values(rows, "logit_r2")


def test_rows_of_a_pair():
    frame = wide_frame(40, id_error=1 - INSIDE, ood_error=1 - CLOUDS["line"])
    rows = shapes(frame, SETTINGS)
    assert value(rows, "shape", within="", shape="") == module.SHAPES.index("line") == 0
    assert value(rows, "spearman_accuracy", within="") == pytest.approx(1)
    assert value(rows, "chance", within="") == 0.1
    x, y = (np.log(a / (1 - a)) for a in (INSIDE, CLOUDS["line"]))
    assert value(rows, "logit_r2", within="") == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2)
    assert logit_r2(frame.assign(ood_error=frame["id_error"])) == pytest.approx(1)


def test_within_architectures_a_line_may_vanish():
    """Simpson: two clouds without trend, one above the other, are a line together."""
    random = np.random.default_rng(1)
    better = np.resize([0.0, 1.0], 60)
    i, o = (0.3 + 0.4 * better + 0.05 * random.uniform(size=60) for _ in range(2))
    rows = shapes(wide_frame(60, id_error=1 - i, ood_error=1 - o), SETTINGS)
    assert value(rows, "spearman_accuracy", within="") > 0.65
    assert abs(value(rows, "spearman_accuracy", within="model:cnn")) < 0.5
    assert value(rows, "shape", within="model:vit") != 0
    assert value(rows, "shape", within="regime:full") == 0


def test_counts_sum_to_the_pairs():
    table = results.expand(sweep_table(arms=("sweep",)))
    rows = shapes(wide(table), Settings(classes=CLASSES))
    counts = {name: value(rows, "count", dataset="digits", shape=name) for name in module.SHAPES}
    # Each training domain has five pairs; the table plants the shapes in turn, starting with vertical.
    assert counts == {"line": 6, "vertical": 12, "horizontal": 6, "none": 6, "decreasing": 0}
    assert sum(values(rows, "count", dataset="all")) == 32


@pytest.mark.parametrize("name", [*SHAPES, "decreasing"])
def test_the_synthetic_tables_have_the_shapes_they_promise(name):
    table = results.expand(sweep_table(relation=name, arms=("sweep",), seed=3))
    rows = shapes(wide(table), Settings(classes=CLASSES))
    assert value(rows, "count", dataset="digits", shape=name) >= 28


def test_unknown_classes_are_refused():
    frame = wide_frame(9, dataset="pacs", id_error=0.1, ood_error=0.2)
    with pytest.raises(UserError, match="number of classes of pacs"):
        shapes(frame, SETTINGS)


def test_networks_that_lack_an_accuracy_are_left_out():
    frame = wide_frame(41, id_error=np.append(1 - INSIDE, np.nan), ood_error=np.append(1 - CLOUDS["line"], 0.2))
    pd.testing.assert_frame_equal(
        results.table(shapes(frame, SETTINGS)), results.table(shapes(frame.iloc[:40], SETTINGS))
    )
