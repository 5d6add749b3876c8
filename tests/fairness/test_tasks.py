"""How a data set is cut: official splits as they are, missing ones by the rule of its kind, nothing leaking."""

import numpy as np
import pytest

from reprise.data import arrays, faces
from reprise.data.arrays import DataError
from reprise.fairness import tasks
from reprise.fairness.tasks import Rows

N = 1200


def prepared(folder, splits, n=N, images=False):
    """n rows numbered by their first feature; P(y=1) = 0.3, P(a=1) = 0.4, a depends on y."""
    rng = np.random.default_rng(0)
    y = rng.random(n) < 0.3
    a = rng.random(n) < np.where(y, 0.6, 0.3)
    labels = np.column_stack([y, a, rng.random(n) < 0.5]).astype(np.uint8)
    x = np.column_stack([np.arange(n), rng.normal(5, 3, n), np.full(n, 2.0)]).astype(np.float32)
    if images:
        x = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, 3, 2, 2)).copy()
    content = {"x": x, "labels": labels}
    arrays.write(folder, name=folder.name, arrays=content, splits=splits, label_names=["hired", "sex", "other"])
    return folder


def cut(folder, **changes):
    return tasks.load(folder, **{"target": "hired", "protected": "sex", "draw": 0, "seed": 0, **changes})


CARDS = {
    "all": ({"all": (0, 1200)}, {"train": 600, "val": 300, "test": 300}),
    "train+test": ({"train": (0, 900), "test": (900, 1200)}, {"train": 600, "val": 300, "test": 300}),
    "train+val": ({"train": (0, 1000), "val": (1000, 1200)}, {"train": 700, "val": 200, "test": 300}),
    "official": (
        {"train": (0, 800), "val": (800, 1000), "test": (1000, 1200)},
        {"train": 800, "val": 200, "test": 200},
    ),
}


@pytest.fixture(params=CARDS)
def card(request, tmp_path):
    splits, sizes = CARDS[request.param]
    return prepared(tmp_path / "toy", splits, images=True), splits, sizes


def index_of(split):
    return np.asarray(split.x.index)


def test_sizes_follow_the_kind_of_card(card):
    folder, _, sizes = card
    found = {name: len(split) for name, split in cut(folder).items()}
    assert found.keys() == sizes.keys()
    assert found == pytest.approx(sizes, abs=3)  # rounded in each of the four cells of (y, a)


def test_splits_are_disjoint_and_exhaustive(card):
    folder, *_ = card
    rows = np.concatenate([index_of(split) for split in cut(folder).values()])
    assert sorted(rows.tolist()) == list(range(N))


def test_official_splits_stay_as_they_are(card):
    folder, splits, _ = card
    found = cut(folder)
    for name in ("val", "test"):
        if name in splits:
            assert index_of(found[name]).tolist() == list(range(*splits[name]))


def test_cut_parts_are_stratified_on_target_and_group(card):
    folder, splits, _ = card
    found = cut(folder)
    parts = [split for name, split in found.items() if name == "train" or name not in splits]
    rest = np.concatenate([2 * split.y + split.a for split in parts])
    for split in parts:
        for cell in range(4):
            expected = (rest == cell).mean() * len(split)
            assert abs((2 * split.y + split.a == cell).sum() - expected) <= 3


def test_rows_labels_and_groups_belong_together(card):
    folder, *_ = card
    labels = arrays.open_prepared(folder).arrays["labels"]
    for split in cut(folder).values():
        rows = index_of(split)
        np.testing.assert_array_equal(split.x[:][:, 0, 0, 0], (rows % 256).astype(np.uint8))
        np.testing.assert_array_equal(split.y, labels[rows, 0])
        np.testing.assert_array_equal(split.a, labels[rows, 1])


def test_draws_and_seeds_cut_differently_and_repeatably(tmp_path):
    folder = prepared(tmp_path / "toy", {"all": (0, N)}, images=True)
    rows = {key: tuple(index_of(cut(folder, **dict([key]))["test"])) for key in (("draw", 0), ("draw", 1), ("seed", 1))}
    assert len(set(rows.values())) == 3
    assert tuple(index_of(cut(folder)["test"])) == rows["draw", 0]
    other = cut(folder, protected="other")
    assert tuple(index_of(other["test"])) != rows["draw", 0]


def test_tables_are_standardised_by_the_training_rows_alone(tmp_path):
    splits = {"train": (0, 800), "val": (800, 1000), "test": (1000, 1200)}
    folder = prepared(tmp_path / "toy", splits)
    raw = np.asarray(arrays.open_prepared(folder).arrays["x"], np.float64)
    found = cut(folder)
    train = found["train"].x
    assert train.dtype == np.float32
    np.testing.assert_allclose(train[:, :2].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train[:, :2].std(axis=0), 1, atol=1e-5)
    mean, sd = raw[:800, :2].mean(axis=0), raw[:800, :2].std(axis=0)
    np.testing.assert_allclose(found["test"].x[:, :2], (raw[1000:, :2] - mean) / sd, atol=1e-4)
    assert found["test"].x[:, 0].mean() > 1.5  # its rows come later: their own mean would give 0
    for split in found.values():
        assert (split.x[:, 2] == 0).all()  # constant in training


def test_images_are_not_standardised_and_not_read_at_once(tmp_path):
    folder = prepared(tmp_path / "toy", {"all": (0, N)}, images=True)
    train = cut(folder)["train"].x
    assert isinstance(train, Rows)
    assert train.shape == (len(train), 3, 2, 2)
    assert train[np.array([3, 1])].dtype == np.uint8
    np.testing.assert_array_equal(train[2:4], train[np.array([2, 3])])


def test_unknown_labels_are_named(tmp_path):
    folder = prepared(tmp_path / "toy", {"all": (0, N)})
    with pytest.raises(DataError, match="no label named hird; it has hired, sex, other"):
        cut(folder, target="hird")
    with pytest.raises(DataError, match="no label named gender"):
        cut(folder, protected="gender")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "faces"
    sizes = {"n_pretrain": 5, "n_train": 40, "n_val": 20, "n_test": 10}
    options = faces.Options(draws=[0, 2], **sizes, d_mouth=-0.35, d_glasses=0.7, d_fair=-0.03)
    faces.prepare(folder, folder, options, seed=0)
    return folder


def test_generated_data_has_a_draw_per_repetition(drawn):
    data = arrays.open_prepared(drawn)
    for draw in (0, 2):
        found = tasks.load(drawn, "mouth", "group", draw=draw, seed=0)
        assert {name: len(split) for name, split in found.items()} == {"train": 40, "val": 20, "test": 10, "pairs": 20}
        for name, split in found.items():
            np.testing.assert_array_equal(split.x, data.arrays["x"][data.rows(f"{draw}/{name}")])
            np.testing.assert_array_equal(split.y, data.arrays["labels"][data.rows(f"{draw}/{name}"), 1])
    fair = tasks.load(drawn, "mouth", "group", draw=0, seed=0, prefix="fair_")
    np.testing.assert_array_equal(fair["test"].x, data.arrays["x"][data.rows("0/fair_test")])


def test_a_draw_that_was_not_made_is_named(drawn):
    with pytest.raises(DataError, match=r"no draw 1; add it to data\.faces\.draws in params\.yaml"):
        tasks.load(drawn, "mouth", "group", draw=1, seed=0)
