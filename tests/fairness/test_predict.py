"""Predictions: every network once, on the right rows, with what each later stage needs and nothing more."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from reprise.data import arrays, faces
from reprise.fairness import tasks
from reprise.fairness.networks import apply, build, restore, state
from reprise.fairness.plan import Run
from reprise.fairness.predict import predict

ROWS = 25  # training rows whose features are kept


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "faces"
    sizes = {"n_pretrain": 5, "n_train": 40, "n_val": 20, "n_test": 10}
    faces.prepare(folder, folder, faces.Options(draws=[3], **sizes, d_mouth=-0.35, d_glasses=0.7, d_fair=-0.03), seed=0)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "toy"
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (200, 2)).astype(np.uint8)
    content = {"x": rng.normal(size=(200, 4)).astype(np.float32), "labels": labels}
    arrays.write(folder, name="toy", arrays=content, splits={"all": (0, 200)}, label_names=["hired", "sex"])
    return folder


def run(method="ddp_squared", level="10", arm="main", target="mouth", dataset="faces"):
    return Run(dataset, target, arm, method, level, 3)


def network(seed, heads, backbone="convnet", shape=(3, 32, 32)):
    torch.manual_seed(seed)
    return build(backbone, shape, heads).eval()


def saved(folder, members, backbone="convnet", shape=(3, 32, 32)):
    """Random weights for every run, as the training stage leaves them."""
    for k, member in enumerate(members):
        made = network(k, 2 if member.method == "two_headed" else 1, backbone, shape)
        save_file(state(made) | {"loss_curve": np.zeros(2, np.float32)}, folder / f"{member.label}.safetensors")
    starts = {f"random/{k}": v for k, v in state(network(8, 1, backbone, shape).backbone).items()}
    if backbone == "convnet":
        starts |= {f"pretrained/{k}": v for k, v in state(network(9, 1).backbone).items()}
    save_file(starts, folder / "starts")


def predicted(folder, members, data, **changes):
    fixed = {"seed": 0, "protected": "group", "backbone": "convnet", "max_rows": ROWS}
    return predict(
        [m.as_job() for m in members], str(data), str(folder), str(folder / "starts"), **{**fixed, **changes}
    )


def test_main_arm(tmp_path, images):
    members = [run("unconstrained", "0"), run(), run("two_headed", "mse_linear"), run("sgd_probe", "10")]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    splits = tasks.load(images, "mouth", "group", draw=3, seed=0)
    for name, n in (("val", 20), ("test", 10), ("pairs", 20)):
        np.testing.assert_array_equal(found[f"{name}/y"], splits[name].y)
        np.testing.assert_array_equal(found[f"{name}/a"], splits[name].a)
        for k, member in enumerate(members):
            logits = found[f"{name}/{member.key}/logits"]
            assert (logits.shape, logits.dtype) == ((n, 2 if member.method == "two_headed" else 1), np.float64)
            heads = logits.shape[1]
            np.testing.assert_allclose(logits, apply(network(k, heads), splits[name].x)[0], rtol=1e-5, atol=1e-6)
    assert not any(key.startswith("train/") and key.endswith("/logits") for key in found)
    for key in ("unconstrained.0", "ddp_squared.10", "two_headed.mse_linear", "anchor.pretrained", "anchor.random"):
        assert found[f"train/{key}/features"].shape == (ROWS, 32)
        assert found[f"test/{key}/features"].shape == (10, 32)
        assert f"val/{key}/features" not in found
    assert not any("sgd_probe" in key and key.endswith("features") for key in found)


def test_kept_training_rows_are_a_sample_that_fits_its_labels(tmp_path, images):
    members = [run()]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    train = tasks.load(images, "mouth", "group", draw=3, seed=0)["train"]
    features = apply(network(0, 1), train.x)[1]
    rows = [int(np.abs(features - row).sum(axis=1).argmin()) for row in found["train/ddp_squared.10/features"]]
    assert len(set(rows)) == ROWS
    np.testing.assert_array_equal(found["train/y"], train.y[rows])
    np.testing.assert_array_equal(found["train/a"], train.a[rows])
    everybody = predicted(tmp_path, members, images, max_rows=1000)
    np.testing.assert_array_equal(everybody["train/y"], train.y)


def test_last_layer_is_kept_for_the_fold(tmp_path, images):
    members = [run("two_headed", "mse_linear")]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    key = "test/two_headed.mse_linear"
    expected = found[f"{key}/features"] @ found[f"{key}/weight"].T + found[f"{key}/bias"]
    np.testing.assert_allclose(found[f"{key}/logits"], expected, rtol=1e-4, atol=1e-5)


def test_anchors_are_the_backbones_before_training(tmp_path, images):
    members = [run()]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    test = tasks.load(images, "mouth", "group", draw=3, seed=0)["test"]
    for origin, seed in (("random", 8), ("pretrained", 9)):
        expected = apply(network(seed, 1), test.x)[1]
        np.testing.assert_allclose(found[f"test/anchor.{origin}/features"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arm", ["twin", "group"])
def test_arms_that_are_not_probed_keep_no_features(tmp_path, images, arm):
    members = [run("group", "0", arm) if arm == "group" else run(arm=arm)]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    assert f"test/{members[0].key}/logits" in found
    assert not any(key.endswith("/features") for key in found)


def test_fair_control_is_judged_on_its_own_faces(tmp_path, images):
    members = [run(arm="fair")]
    saved(tmp_path, members)
    found = predicted(tmp_path, members, images)
    fair = tasks.load(images, "mouth", "group", draw=3, seed=0, prefix="fair_")
    np.testing.assert_array_equal(found["test/y"], fair["test"].y)
    np.testing.assert_allclose(found["test/ddp_squared.10/logits"], apply(network(0, 1), fair["test"].x)[0], atol=1e-5)
    assert not any("anchor" in key for key in found)


def test_random_mixture_of_linear_classifiers(tmp_path, table):
    member = run("exponentiated_gradient", "0.01", target="hired", dataset="toy")
    plain = run("unconstrained", "0", target="hired", dataset="toy")
    saved(tmp_path, [plain, member], "mlp", (4,))
    linear = np.array([[1.0, 0, 0, 0], [0, -2, 0, 0], [0, 0, 0, 0]])
    mixture = {"linear": linear, "intercept": np.array([0.0, 0.5, 1.0]), "mixture": np.array([0.5, 0.3, 0.2])}
    save_file(mixture, tmp_path / f"{member.label}.safetensors")
    found = predicted(tmp_path, [plain, member], table, protected="sex", backbone="mlp")
    x = tasks.load(table, "hired", "sex", draw=3, seed=0)["test"].x
    expected = 0.5 * (x[:, 0] > 0) + 0.3 * (x[:, 1] < 0.25) + 0.2
    np.testing.assert_allclose(found["test/exponentiated_gradient.0.01/probability"], expected)
    assert "train/exponentiated_gradient.0.01/probability" not in found
    assert "test/anchor.random/features" in found
    assert "test/anchor.pretrained/features" not in found


def test_restored_network_is_the_trained_one(tmp_path, images):
    members = [run()]
    saved(tmp_path, members)
    one, two = predicted(tmp_path, members, images), predicted(tmp_path, members, images)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[key], two[key]) for key in one)
    assert restore(state(network(0, 1)), "convnet", (3, 32, 32)).head.out_features == 1
