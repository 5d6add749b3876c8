"""Measurements of a tiny video set: the rows of the contract, values computed by hand from the masks."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from reprise import results
from reprise.amodal import evaluate as module
from reprise.amodal import metrics
from reprise.amodal.evaluate import COMPLETIONS, Prediction, convex_hull, evaluate, predictions
from reprise.amodal.params import Evaluation
from reprise.amodal.tracks import Tracks, Truth
from reprise.data.arrays import DataError
from reprise.data.videos import OTHER, Track, VideoWriter
from reprise.results import ResultsError

SHAPE = HEIGHT, WIDTH = 20, 33
SETTINGS = Evaluation(occlusion=[0.1, 0.7], threshold=0.5, completion_threshold=0.2, bootstrap=50)


def video(speed, start, n=8, bar=(14, 18), top=4, second=None):
    """A 6 x 8 rectangle that passes behind a bar at `speed`, and perhaps one that stands in front of all."""
    full = np.zeros((n, *SHAPE), dtype=bool)
    for t in range(n):
        full[t, top : top + 6, start + speed * t : start + speed * t + 8] = True
    owner = np.where(full, 1, 0).astype(np.uint8)
    flow = np.zeros((n, 4, *SHAPE), dtype=np.float16)
    flow[:, 0], flow[:, 2] = speed * full, -speed * full
    owner[:, :, slice(*bar)] = OTHER
    flow[:, :, :, slice(*bar)] = 0
    tracks = [Track(1, full)]
    if second is not None:
        front = np.zeros((n, *SHAPE), dtype=bool)
        front[:, second : second + 4, 2:30] = True
        owner[front] = 2
        flow = np.where(front[:, None], 0, flow)
        tracks.append(Track(2, front, occluded=False))
    flow[-1, :2], flow[0, 2:] = 0, 0
    return np.zeros((n, 3, *SHAPE), dtype=np.uint8), owner, flow, tracks


def short(n=2):
    """A track of two frames, too short for an inner one."""
    frames, owner, flow, (track, *_) = video(1, 8, n=5)
    return frames, owner, flow, [Track(1, track.amodal[1 : 1 + n], start=1)]


VIDEOS = {
    "train": [video(1, 8)],
    # Two directions of motion past the bar, a still object behind it, a short track, two objects in one video.
    "test": [video(1, 6), video(2, 2), video(0, 8), short(), video(1, 8, second=8)],
    "unseen": [video(1, 7, bar=(13, 19)), video(1, 10)],
}


def prepare(folder):
    everything = [one for split in VIDEOS.values() for one in split]
    tracks = [track for *_, found in everything for track in found]
    with VideoWriter(
        folder,
        name="tiny",
        frames=sum(len(frames) for frames, *_ in everything),
        height=HEIGHT,
        width=WIDTH,
        videos=len(everything),
        tracks=len(tracks),
        track_frames=sum(len(track.amodal) for track in tracks),
    ) as writer:
        for split, videos in VIDEOS.items():
            for one in videos:
                writer.video(*one)
            writer.split(split)
        writer.finish()
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("data") / "tiny")


def masks(data, split):
    """Visible, hiding and full masks of all occluded tracks, one after another."""
    tracks = Tracks(data, split)
    truth = Truth(tracks)
    owner = [tracks.data.arrays["owner"][first : first + length] for _, _, first, length, _ in tracks.table]
    visible = [found == name for found, name in zip(owner, tracks.table[:, 1], strict=True)]
    hiding = [(found != 0) & ~seen for found, seen in zip(owner, visible, strict=True)]
    return [np.concatenate(parts) for parts in (visible, hiding, [truth.track(k) for k in range(len(tracks))])]


def store(path, data, method="savos", seed=0, adapted=None, splits=("test", "unseen"), probability=None):
    """A prediction file: of the truth itself, or of what `probability` makes of it."""
    arrays = {"n_params": np.array(1234)}
    for split in splits:
        full = masks(data, split)[2]
        arrays[f"{split}/probability"] = (full * 255 if probability is None else probability(full)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return Prediction(path, method, seed, adapted)


def noise(full):
    return np.random.default_rng(5).integers(0, 256, full.shape)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("predictions")
    return [
        store(folder / "savos.s0.npz", data),
        store(folder / "savos.s1.npz", data, seed=1, probability=noise),
        store(folder / "completion.s0.npz", data, method="completion", probability=noise),
        store(folder / "savos.s0.a50.npz", data, adapted=50, splits=("unseen",)),
    ]


@pytest.fixture(scope="module")
def table(data, runs):
    return results.expand(results.table(evaluate(data, runs, SETTINGS, seed=3)))


RATES = ("0", "0.1", "0.2", "0.3", "0.5", "0.6")  # that occur
KEYS = ("by", "rate", "subset", "bin", "adapted")


def picked(table, **wanted):
    wanted = {"test_domain": "test", "seed": 0} | dict.fromkeys(KEYS, "") | wanted
    for name, value in wanted.items():
        table = table[table[name] == value]
    return table


def value(table, **wanted):
    found = picked(table, **wanted)
    assert len(found) == 1, f"{len(found)} rows of {wanted}"
    return found["value"].iloc[0]


def scored(data, split="test"):
    """Numbers of the scored object-frames, by the definition."""
    visible, _, full = masks(data, split)
    lengths = Tracks(data, split).lengths
    place = np.concatenate([np.arange(length) for length in lengths])
    last = np.repeat(lengths, lengths) - 1
    rate = 1 - visible.sum((1, 2)) / full.sum((1, 2))
    return np.flatnonzero((place > 0) & (place < last) & (rate > 0.1 + 1e-9) & (rate < 0.7 - 1e-9))


# ---------------------------------------------------------------- the rows


def test_columns(table):
    assert set(table["paper"]) == {"amodal"}
    assert set(table["dataset"]) == {"tiny"}
    assert set(table["train_domain"]) == {"train"}
    assert set(table["split"]) == {"test"}
    assert set(zip(table["test_domain"], table["shift"], strict=True)) == {("test", ""), ("unseen", "unseen")}
    assert set(zip(table["method"], table["model"], table["seed"], strict=True)) == {
        ("data", "none", 0),
        ("visible", "none", 0),
        ("convex", "none", 0),
        ("savos", "savos", 0),
        ("savos", "savos", 1),
        ("completion", "unet", 0),
    }


def test_metrics_and_keys(table):
    """What there is of one run, and where; the contract of all that is made from the table."""
    ious = {"iou_full", "iou_occluded"}
    expected = {(m, (("by", by),)) for m in ious for by in ("frame", "image", "video")}
    expected |= {(f"{m}_{end}", (("by", "video"),)) for m in ious for end in ("low", "high")}
    expected |= {(m, ()) for m in ("recall_revealed", "recall_never_revealed", "false_positive", "n_params")}
    one = table[(table["method"] == "savos") & (table["seed"] == 1) & (table["test_domain"] == "test")]
    found = {(row["metric"], tuple((k, row[k]) for k in KEYS if row[k])) for row in one.to_dict("records")}
    rates = {key for key in found if key[1] and key[1][0][0] == "rate"}
    subsets = {key for key in found if ("by", "frame") in key[1] and len(key[1]) == 2}
    bins = {key for key in found if key[1] and key[1][0][0] == "bin"}
    assert found - rates - subsets - bins == expected
    assert rates == {(m, (("rate", rate),)) for m in ious for rate in RATES}
    names = {key[1][1][1] for key in subsets}
    assert subsets == {(m, (("by", "frame"), ("subset", name))) for m in ious for name in names}
    assert {"box_grows", "never_revealed"} <= names <= {"box_grows", "never_revealed", "shape_changes", "fast"}
    assert bins == {(f"reliability_{m}", (("bin", str(k)),)) for m in ("confidence", "accuracy") for k in range(10)}


def test_adapted_runs_are_judged_on_the_new_distribution_alone(table, data):
    adapted = table[table["adapted"] != ""]
    assert set(adapted["adapted"]) == {"50"}
    assert set(adapted["test_domain"]) == {"unseen"}
    assert "n_params" not in set(adapted["metric"])
    assert value(table, method="savos", test_domain="unseen", metric="iou_full", by="frame", adapted="50") == 1.0


def test_another_threshold_is_a_variant_of_its_own(data, tmp_path):
    """The same probabilities as PCNet-M's, at its threshold: the same scores, beside those at the method's own."""
    path = store(tmp_path / "p.npz", data, probability=noise).path
    judged = [Prediction(path, "completion", 0), Prediction(path, "savos", 0), Prediction(path, "savos", 0, None, 0.2)]
    table = results.expand(results.table(evaluate(data, judged, SETTINGS, seed=0)))
    table = table[(table["by"] == "frame") & (table["subset"] == "") & (table["test_domain"] == "test")]
    for metric in ("iou_full", "iou_occluded"):
        found = table[table["metric"] == metric].set_index(["method", "threshold"])["value"]
        assert found["savos", "0.2"] == found["completion", ""] != found["savos", ""]
    assert set(table[table["threshold"] != ""]["method"]) == {"savos"}


def test_baselines_have_no_probability(table):
    for name in ("visible", "convex"):
        metrics_of = set(table[table["method"] == name]["metric"])
        assert not {"n_params", "reliability_confidence", "reliability_accuracy"} & metrics_of


# ---------------------------------------------------------------- the values


def test_a_perfect_prediction(table, data):
    for split in ("test", "unseen"):
        place = {"method": "savos", "test_domain": split}
        ious = picked(table, **place, by="frame").set_index("metric")["value"]
        assert ious.to_dict() == {"iou_full": 1.0, "iou_occluded": 1.0}
        for by in ("image", "video"):
            assert value(table, **place, metric="iou_full", by=by) == 1.0
        assert value(table, **place, metric="iou_occluded_low", by="video") == pytest.approx(1.0)
        assert value(table, **place, metric="recall_revealed") == 1.0
        assert value(table, **place, metric="false_positive") == 0.0
        assert value(table, **place, metric="reliability_accuracy", bin="0") == 0.0
        assert value(table, **place, metric="reliability_accuracy", bin="9") == 1.0
    assert value(table, method="savos", metric="recall_never_revealed") == 1.0
    assert value(table, method="savos", metric="n_params") == 1234


def test_visible_masks_alone(table, data):
    """IoU = 1 - r, nothing hidden found, nothing wrong."""
    visible, _, full = masks(data, "test")
    chosen = scored(data)
    rate = 1 - visible.sum((1, 2)) / full.sum((1, 2))
    found = value(table, method="visible", metric="iou_full", by="frame")
    assert found == pytest.approx(1 - rate[chosen].mean(), abs=1e-6)
    assert value(table, method="visible", metric="iou_occluded", by="frame") == pytest.approx(0.0, abs=1e-6)
    for metric in ("recall_revealed", "recall_never_revealed", "false_positive"):
        assert value(table, method="visible", metric=metric) == 0.0
    assert set(picked(table, method="visible", by="frame")["n"]) == {len(chosen)}


@pytest.mark.parametrize(("method", "seed", "threshold"), [("savos", 1, 0.5), ("completion", 0, 0.2)])
@pytest.mark.parametrize("split", ["test", "unseen"])
def test_values_by_definition(table, data, method, seed, threshold, split):
    """Noise, thresholded and composed with full masks, averaged over objects, images and videos."""
    visible, hiding, full = masks(data, split)
    hidden = (noise(full) / 255 > threshold) & hiding
    tracks = Tracks(data, split)
    video = np.repeat(tracks.table[:, 0], tracks.lengths)
    image = np.concatenate([first + np.arange(n) for first, n in tracks.table[:, 2:4]])
    chosen = scored(data, split)
    place = {"method": method, "seed": seed, "test_domain": split}
    for metric, one, other in (("iou_full", visible | hidden, full), ("iou_occluded", hidden, full & hiding)):
        iou = {int(k): metrics.iou(one[k], other[k]) for k in chosen}
        assert value(table, **place, metric=metric, by="frame") == pytest.approx(np.mean(list(iou.values())))
        for by, group in (("image", image), ("video", video)):
            means = [np.mean([iou[int(k)] for k in chosen if group[k] == g]) for g in np.unique(group[chosen])]
            assert value(table, **place, metric=metric, by=by) == pytest.approx(np.mean(means))
            assert set(picked(table, **place, metric=metric, by=by)["n"]) == {len(means)}
        low, high = (value(table, **place, metric=f"{metric}_{end}", by="video") for end in ("low", "high"))
        assert min(means) <= low <= value(table, **place, metric=metric, by="video") <= high <= max(means)
    low, high = metrics.enlarged_boxes(visible[chosen])
    rows, columns = np.indices(SHAPE)
    near = np.array(
        [(a <= rows) & (rows < c) & (b <= columns) & (columns < d) for (a, b), (c, d) in zip(low, high, strict=True)]
    )
    wrong, right = hiding[chosen] & ~full[chosen] & near, (hiding & full)[chosen]
    share = hidden[chosen][wrong].mean()
    assert value(table, **place, metric="false_positive") == pytest.approx(share)
    recalls = [picked(table, **place, metric=f"recall_{name}") for name in ("revealed", "never_revealed")]
    least, most = (f(float(found["value"].iloc[0]) for found in recalls if len(found)) for f in (min, max))
    assert least - 1e-9 <= hidden[chosen][right].mean() <= most + 1e-9


def test_image_and_frame_averages_differ_where_an_image_holds_two_objects(tmp_path):
    """Two tracks of one video count once per image: the first is found, the second is missed."""
    frames, owner, flow, (first,) = video(1, 8)
    second = np.zeros_like(first.amodal)
    second[:, 12:18] = first.amodal[:, 4:10]
    bar = owner == OTHER
    owner[second & ~bar] = 2
    with VideoWriter(
        tmp_path / "two", name="two", frames=24, height=HEIGHT, width=WIDTH, videos=3, tracks=4, track_frames=32
    ) as writer:
        writer.video(*video(1, 8))
        writer.split("train")
        writer.video(frames, owner, flow, [first, Track(2, second)])
        writer.video(*video(1, 8))
        writer.split("test")
        writer.finish()
    full = masks(tmp_path / "two", "test")[2]
    np.savez(
        tmp_path / "p.npz",
        **{"test/probability": (255 * full * (np.arange(24) // 8 != 1)[:, None, None]).astype(np.uint8), "n_params": 1},
    )
    found = results.expand(
        results.table(evaluate(tmp_path / "two", [Prediction(tmp_path / "p.npz", "savos", 0)], SETTINGS, seed=0))
    )
    found = found[(found["method"] == "savos") & (found["metric"] == "iou_occluded") & (found["rate"] == "")]
    found = found[found["subset"] == ""].set_index("by")["value"]
    assert found["frame"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["image"] == pytest.approx((0.5 + 1) / 2, abs=1e-6)
    assert found["video"] == pytest.approx((0.5 + 1) / 2, abs=1e-6)


def test_bins_of_occlusion_rate(table, data):
    """All inner frames, scored or not."""
    visible, hiding, full = masks(data, "test")
    lengths = Tracks(data, "test").lengths
    inner = np.concatenate([(np.arange(n) > 0) & (np.arange(n) < n - 1) for n in lengths])
    hidden = (full & ~visible).sum((1, 2))  # of 6 x 8 pixels
    iou = metrics.iou(visible | ((noise(full) > 127) & hiding), full)
    total = 0
    for rate in RATES:
        low = round(10 * float(rate))
        those = inner & (10 * hidden // 48 == low)
        rows = picked(table, method="savos", seed=1, metric="iou_full", rate=rate)
        assert rows["n"].iloc[0] == those.sum()
        assert rows["value"].iloc[0] == pytest.approx(iou[those].mean())
        total += those.sum()
    assert total == inner.sum()


def test_subsets(table, data):
    tracks = Tracks(data, "test")
    visible, hiding, full = masks(data, "test")
    video, chosen = np.repeat(tracks.table[:, 0], tracks.lengths), scored(data)
    # Two columns of the still object are never seen, nor the two lower rows of the one behind another object.
    always = [k for k in chosen if video[k] in (3, 5)]
    rows = picked(table, method="visible", metric="iou_full", by="frame", subset="never_revealed")
    assert rows["n"].iloc[0] == len(always) == 12
    # The box of eight columns grows where just five or fewer are seen at one side.
    grows = [k for k in chosen if 1.5 * np.ptp(np.flatnonzero(visible[k].any(0))) + 1.5 < 8]
    rows = picked(table, method="savos", seed=1, metric="iou_occluded", by="frame", subset="box_grows")
    assert rows["n"].iloc[0] == len(grows) > 0
    hidden = (noise(full) > 127) & hiding
    expected = np.mean([metrics.iou(hidden[k], (full & hiding)[k]) for k in grows])
    assert rows["value"].iloc[0] == pytest.approx(expected)


def test_facts(table, data):
    facts = table[(table["method"] == "data") & (table["test_domain"] == "test")].set_index("metric")["value"]
    visible, _, full = masks(data, "test")
    assert facts["tracks"] == 5
    assert facts["videos"] == 5
    assert facts["frames"] == 4 * 8 + 2
    assert facts["short_tracks"] == 1
    assert facts["hidden_outside_occluders"] == 0
    assert facts["occlusion_rate"] == pytest.approx((1 - visible.sum((1, 2)) / full.sum((1, 2))).mean())
    assert 0 < facts["never_revealed"] < 1
    assert set(facts.index) == {
        "occlusion_rate", "never_revealed", "hidden_outside_occluders", "tracks", "videos", "frames", "short_tracks",
    }  # fmt: skip


def test_never_revealed_share_of_a_still_object(data):
    """All of what it hides, pixel by pixel; none of an object that passes behind the bar as a whole."""
    tracks = Tracks(data, "test")
    frames, _, _ = module.measure(tracks, "test", [], SETTINGS)
    video = np.repeat(tracks.table[:, 0], tracks.lengths)
    hidden = metrics.of_kind(frames.candidates, metrics.HIDDEN)
    never = metrics.of_kind(frames.candidates, metrics.HIDDEN, metrics.REVEALED)
    assert hidden[video == 3].sum() == never[video == 3].sum() == 8 * 2 * 6
    assert hidden[video == 2].sum() > 0
    assert never[video == 2].sum() == 0


# ---------------------------------------------------------------- baselines


def test_convex_hull_by_hand():
    ring = np.zeros((3, 7, 7), dtype=bool)
    ring[0, 1:6, 1:6] = True
    ring[0, 2:5, 2:5] = False
    ring[1, 1, 1] = ring[1, 5, 1] = ring[1, 1, 5] = True  # a right triangle
    hull = convex_hull(ring)
    expected = np.zeros((7, 7), dtype=bool)
    expected[1:6, 1:6] = True
    np.testing.assert_array_equal(hull[0], expected)
    np.testing.assert_array_equal(hull[1], expected & (np.add.outer(range(7), range(7)) <= 6))
    assert not hull[2].any()


def test_convex_hull_holds_every_pixel_between_two_of_the_mask():
    random = np.random.default_rng(1)
    masks = random.random((20, 15, 17)) < 0.05
    hulls = convex_hull(masks)
    for one, hull in zip(masks, hulls, strict=True):
        points = np.argwhere(one)
        assert hull[one].all()
        middles = (points[:, None] + points[None]) // 2
        even = ((points[:, None] + points[None]) % 2 == 0).all(-1)
        assert all(hull[y, x] for y, x in middles[even])


def test_convex_hulls_are_confined_to_what_hides(data, table):
    """The bar in the middle of the rectangle is filled; the same hull beside a bar finds nothing."""
    visible, hiding, full = masks(data, "test")
    hidden = convex_hull(visible) & hiding
    expected = np.mean([metrics.iou(visible[k] | hidden[k], full[k]) for k in scored(data)])
    assert value(table, method="convex", metric="iou_full", by="frame") == pytest.approx(expected)
    assert expected > value(table, method="visible", metric="iou_full", by="frame")


# ---------------------------------------------------------------- what may go wrong


def test_without_the_truth(data, tmp_path, runs):
    folder = tmp_path / "blind"
    shutil.copytree(data, folder)
    (folder / "amodal.npy").unlink()
    with pytest.raises(DataError, match=re.escape("amodal.npy is missing: run `dvc repro -f -s prepare@blind`")):
        list(evaluate(folder, runs, SETTINGS, seed=0))
    card = json.loads((folder / "card.json").read_text())
    del card["arrays"]["amodal.npy"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(DataError, match=r"has no hidden truth \(amodal.npy\), without which"):
        list(evaluate(folder, runs, SETTINGS, seed=0))


def test_missing_and_strange_predictions(data, tmp_path):
    with pytest.raises(ResultsError, match=r"none.npz is missing: run `dvc repro`"):
        list(evaluate(data, [Prediction(tmp_path / "none.npz", "savos", 0)], SETTINGS, seed=0))
    part = store(tmp_path / "part.npz", data, splits=("unseen",))
    with pytest.raises(ResultsError, match=r"part.npz holds no prediction for split 'test'"):
        list(evaluate(data, [part], SETTINGS, seed=0))
    fewer = store(tmp_path / "fewer.npz", data, probability=lambda full: full[1:])
    with pytest.raises(
        ResultsError, match=r"test/probability is uint8 \(33, 20, 33\), the video set has \(34, 20, 33\)"
    ):
        list(evaluate(data, [fewer], SETTINGS, seed=0))
    np.savez(
        tmp_path / "other.npz", **{f"{s}/probability": masks(data, s)[2].astype(np.uint8) for s in ("test", "unseen")}
    )
    with pytest.raises(ResultsError, match="does not say how many parameters"):
        list(evaluate(data, [Prediction(tmp_path / "other.npz", "savos", 0)], SETTINGS, seed=0))


def test_scored_are_inner_frames_strictly_between_the_bounds():
    inside, rate = np.array([True] * 5 + [False]), np.array([0.1, 0.101, 0.4, 0.699, 0.7, 0.4])
    assert module.scored(inside, rate, SETTINGS).tolist() == [False, True, True, True, False, False]


def test_no_frame_to_score(data):
    settings = SETTINGS.model_copy(update={"occlusion": [0.9, 0.95]})
    with pytest.raises(DataError, match=r"no inner frame of split 'test' has an occlusion rate between 0.9 and 0.95"):
        list(evaluate(data, [], settings, seed=0))


def test_compressed_predictions_are_read_too(data, tmp_path):
    full = {split: masks(data, split)[2].astype(np.uint8) * 255 for split in ("test", "unseen")}
    np.savez_compressed(
        tmp_path / "p.npz", **{f"{split}/probability": found for split, found in full.items()}, n_params=1
    )
    rows = evaluate(data, [Prediction(tmp_path / "p.npz", "savos", 0)], SETTINGS, seed=0)
    found = [row["value"] for row in rows if row["method"] == "savos" and row["metric"] == "iou_full"]
    assert found == pytest.approx([1.0] * len(found))


# ---------------------------------------------------------------- which files, which threshold


def test_files_of_the_runs(data, tmp_path):
    """Adapted runs where there is a new distribution, after one step or more."""
    task = SimpleNamespace(runs={"savos": [0, 1], "per_frame": [0]})
    adaptation = SimpleNamespace(methods=["savos"], steps=[0, 50, 100])
    evaluation = SimpleNamespace(completion_threshold=0.2)
    block = SimpleNamespace(tasks={"tiny": task, "old": task}, adaptation=adaptation, evaluation=evaluation)
    found = predictions(block, tmp_path, data)
    assert [(run.path.stem, run.threshold) for run in found[-2:]] == [("savos.s0", 0.2), ("savos.s1", 0.2)]
    found = found[:-2]
    trained = ["savos.s0", "savos.s1", "per_frame.s0"]
    adapted = ["savos.s0.a50", "savos.s0.a100", "savos.s1.a50", "savos.s1.a100"]
    assert [run.path for run in found] == [tmp_path / f"{name}.npz" for name in [*trained, *adapted]]
    assert [(run.method, run.seed, run.adapted) for run in found[2:5]] == [
        ("per_frame", 0, None),
        ("savos", 0, 50),
        ("savos", 0, 100),
    ]
    with VideoWriter(
        tmp_path / "old", name="old", frames=8, height=HEIGHT, width=WIDTH, videos=1, tracks=1, track_frames=8
    ) as writer:
        writer.video(*video(1, 8))
        writer.split("test")
        writer.finish()
    assert [run.path.stem for run in predictions(block, tmp_path, tmp_path / "old")] == [*trained, *trained[:2]]


def test_damaged_predictions_are_named(data, tmp_path):
    run = store(tmp_path / "p.npz", data)
    whole = run.path.read_bytes()
    for size in (len(whole) // 2, 10, 0):  # without the directory at its end an archive cannot be opened
        run.path.write_bytes(whole[:size])
        with pytest.raises(ResultsError, match=r"p\.npz is damaged .*: predict it again"):
            list(evaluate(data, [run], SETTINGS, seed=0))
    flipped = bytearray(whole)
    middle = whole.index(b"probability.npy") + 2000
    flipped[middle] ^= 255
    run.path.write_bytes(flipped)
    with pytest.raises(ResultsError, match=r"p\.npz is damaged"):
        list(evaluate(data, [run], SETTINGS, seed=0))


def test_thresholds_of_stored_probabilities():
    """Stored k stands for k / 255: greater than the threshold is greater than the level."""
    for threshold in (0.0, 0.2, 0.5, 0.6, 1.0):
        level = module.level(threshold)
        for k in range(256):
            assert (k > level) == (k / 255 > threshold)
    assert {module.threshold(name, SETTINGS) for name in COMPLETIONS} == {0.2}
    assert module.threshold("supervised_image", SETTINGS) == 0.5
    assert module.threshold("savos", SETTINGS) == 0.5
