"""A task of the assay: which images a network is trained and judged on."""

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from reprise.assay.tasks import Task, check_domains, first_per_class
from reprise.data import arrays
from reprise.data.arrays import DataError

SPLITS = {
    "pen/train": (0, 60),
    "pen/val": (60, 70),
    "pen/test": (70, 100),
    "font/train": (100, 160),
    "font/val": (160, 170),
    "font/test": (170, 200),
}


@pytest.fixture
def folder(tmp_path):
    """Two domains of 100 images, each image's pixels its row; class 2 has three images in pen/train, class 3 none."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200).astype(np.uint8)
    labels[[7, 20, 41]] = 2
    labels[170:] = 3
    x = np.broadcast_to(np.arange(200, dtype=np.uint8)[:, None, None, None], (200, 3, 4, 4)).copy()
    content = {"x": x, "labels": labels[:, None]}
    arrays.write(
        tmp_path / "toy",
        name="toy",
        arrays=content,
        splits=SPLITS,
        label_names=["class"],
        classes=["a", "b", "c", "d"],
        domains=["pen", "font"],
    )
    return tmp_path / "toy"


@pytest.fixture
def task(folder):
    return Task(folder)


def first_by_counting(y, k):
    seen, found = defaultdict(int), []
    for row, label in enumerate(y):
        seen[label] += 1
        if seen[label] <= k:
            found.append(row)
    return found


def test_card(task):
    assert (task.classes, task.shape) == (4, (3, 4, 4))  # a class without images counts
    assert task.labels.dtype == np.int64


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_is_its_rows(task, name):
    split = task.split(*name.split("/"))
    assert split.rows.tolist() == list(range(*SPLITS[name]))
    assert len(split) == len(split.x) == len(split.y) == len(split.rows)
    np.testing.assert_array_equal(split.x[:, 0, 0, 0], split.rows)
    np.testing.assert_array_equal(split.y, task.labels[split.rows])
    assert isinstance(split.x, np.memmap)  # stays on disk
    assert split.x.dtype == np.uint8


def test_whole_training_split(task):
    full = task.train("pen", "full")
    assert full.rows.tolist() == list(range(60))
    assert isinstance(full.x, np.memmap)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_few_shot_takes_the_first_of_each_class_in_order(task, k):
    few = task.train("pen", f"fewshot_{k}")
    expected = first_by_counting(task.labels[:60], k)
    assert few.rows.tolist() == expected
    assert np.bincount(few.y).tolist() == [k, k, min(k, 3)]  # all there are where a class has fewer
    np.testing.assert_array_equal(few.x[:, 0, 0, 0], few.rows)
    assert few.rows.tolist() == task.train("pen", f"fewshot_{k}").rows.tolist()


def test_few_shot_subsets_are_nested(task):
    rows = [set(task.train("font", f"fewshot_{k}").rows.tolist()) for k in (1, 2, 5, 20)]
    assert all(smaller < larger for smaller, larger in pairwise(rows))
    assert min(min(chosen) for chosen in rows) >= 100  # of its own domain


def test_more_shots_than_images_is_the_full_regime(task):
    assert task.train("pen", "fewshot_1000").rows.tolist() == task.train("pen", "full").rows.tolist()


def test_first_per_class_by_hand():
    assert first_per_class(np.array([2, 0, 2, 2, 0, 5]), 2).tolist() == [0, 1, 2, 4, 5]
    assert first_per_class(np.array([3, 3, 3]), 1).tolist() == [0]
    assert first_per_class(np.array([], int), 4).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_first_per_class_by_counting(seed):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, rng.integers(1, 9), size=rng.integers(1, 80))
    for k in (1, 2, 5, 100):
        assert first_per_class(y, k).tolist() == first_by_counting(y, k)


def test_a_sample_is_a_fixed_subset_in_order(task):
    sample = task.sample("pen", "test", 12, seed=3)
    assert len(sample) == 12
    assert (np.diff(sample.rows) > 0).all()
    assert sample.rows[0] >= 70 and sample.rows[-1] < 100
    np.testing.assert_array_equal(sample.x[:, 0, 0, 0], sample.rows)
    np.testing.assert_array_equal(sample.y, task.labels[sample.rows])
    assert sample.rows.tolist() == task.sample("pen", "test", 12, seed=3).rows.tolist()


def test_samples_are_independent_draws(task):
    sample = task.sample("pen", "test", 12, seed=3).rows - 70
    assert sample.tolist() != list(range(12))
    assert sample.tolist() != (task.sample("pen", "test", 12, seed=4).rows - 70).tolist()
    assert sample.tolist() != (task.sample("font", "test", 12, seed=3).rows - 170).tolist()


def test_a_larger_sample_holds_the_smaller_one(task):
    small, large = (set(task.sample("pen", "test", n, seed=3).rows.tolist()) for n in (5, 12))
    assert small < large


@pytest.mark.parametrize("n", [None, 30, 31, 1000])
def test_a_sample_as_large_as_the_split_is_the_split(task, n):
    sample = task.sample("pen", "test", n, seed=0)
    assert sample.rows.tolist() == list(range(70, 100))
    assert isinstance(sample.x, np.memmap)


def test_every_image_is_as_likely_in_a_sample(task):
    counts = np.zeros(30)
    for seed in range(400):
        counts[task.sample("pen", "test", 6, seed).rows - 70] += 1
    assert np.abs(counts - 80).max() < 4 * np.sqrt(400 * 0.2 * 0.8)


def test_unknown_domain_or_split(task):
    with pytest.raises(DataError, match=r"toy has no split 'ink/test'; it has font/test, font/train, font/val"):
        task.split("ink", "test")
    with pytest.raises(DataError, match=r"toy has no split 'pen/extra'"):
        task.sample("pen", "extra", 3, seed=0)
    with pytest.raises(DataError, match=r"toy has no split 'ink/train'"):
        task.train("ink", "fewshot_3")


def test_check_domains(task):
    check_domains(task, ["pen", "font"], ("train", "val", "test"))
    with pytest.raises(DataError) as caught:
        check_domains(task, ["pen", "ink", "chalk"], ("val", "test"))
    assert str(caught.value) == (
        "data set toy has no chalk/test, chalk/val, ink/test; its domains: pen, font"  # the first three
    )


def test_missing_data_names_the_command(tmp_path):
    with pytest.raises(DataError, match=r"card\.json is missing: run `dvc repro prepare@digits`"):
        Task(tmp_path / "digits")
