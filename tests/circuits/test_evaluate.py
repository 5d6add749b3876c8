"""Measurements of tiny data sets from predictions written by hand: the rows of the contract, values by hand."""

import numpy as np
import pytest
import torch

from reprise import results
from reprise.circuits.conditional import of_nlvr_mini
from reprise.circuits.evaluate import Prediction, circuits_of_texts, evaluate, graphs
from reprise.circuits.params import Evaluation, FewShot
from reprise.circuits.priors import matched
from reprise.data import arrays, nlvr_mini
from reprise.data.arrays import DataError
from reprise.results import ResultsError

EVALUATION = Evaluation(permutations=200, cut=0.01)
SHOTS = FewShot(dataset="letters", way=2, shots=[1, 3], queries=2, episodes=4)
MACS = {"nac": 1000, "perceiver": 900, "conditional": 1100}
KEYS = ("kept", "order", "cut", "kind", "shots", "episode")

# Of five classes, three of which training has; 6 test samples each way, 8 of each of the others.
TRAIN = np.array([0, 1, 1, 2])
TEST = np.array([0, 1, 1, 2, 0, 1])
FEW = np.repeat([3, 4], 8)


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "letters"
    every = np.concatenate([TRAIN, TEST, TEST[::-1], FEW])
    ends = np.cumsum([0, len(TRAIN), len(TEST), len(TEST), len(FEW)])
    names = ("iid/train", "iid/test", "turned/test", "others/few")
    arrays.write(
        folder,
        name="letters",
        arrays={"x": np.zeros((len(every), 1, 2, 2), np.uint8), "labels": every.astype(np.uint8)[:, None]},
        splits={name: (int(a), int(b)) for name, a, b in zip(names, ends[:-1], ends[1:], strict=True)},
        label_names=["letter"],
    )
    return folder


def answering(classes, n=3):
    """Logits of a network that answers so."""
    return np.eye(n, dtype=np.float32)[np.asarray(classes)]


def mistaken(count, truth=TEST):
    """Answers of which the first `count` are wrong."""
    found = truth.copy()
    found[:count] = (found[:count] + 1) % 3
    return answering(found)


LINKS = np.array([[1, 0.8, 0.0], [0.8, 1, 0.4], [0.0, 0.4, 1]], dtype=np.float32)
TARGET = np.array([[1, 0.8, 0.1], [0.8, 1, 0.4], [0.1, 0.4, 1]], dtype=np.float32)  # but for one link the same


def store(folder, method="nac", seed=0, **changes):
    found = {
        "n_params": np.array(77),
        "macs": np.array(MACS[method]),
        "iid/logits": mistaken(2),
        "turned/logits": mistaken(3, TEST[::-1]),
        "features": (np.random.default_rng(1).normal(size=(len(FEW), 3)) + 20 * (FEW == 3)[:, None]).astype(np.float32),
    }
    if method == "nac":
        found |= {
            "cut/logits": mistaken(3),
            "pruned/degree/1": mistaken(2),
            "pruned/random3/0.1875": mistaken(6),
            "links": np.stack([LINKS, LINKS]),
            "links_start": np.stack([LINKS, LINKS]) - np.float32(0.1) * (np.float32(0.8) == LINKS),
            "target": TARGET,
        }
    found |= changes
    path = folder / f"{method}.s{seed}.npz"
    np.savez(path, **{name: value for name, value in found.items() if value is not None})
    return Prediction(path, method, seed)


def table(folder, runs, **changes):
    rows = evaluate(folder, runs, EVALUATION, SHOTS, **{"seed": 3} | changes)
    frame = results.expand(results.table(rows))
    return frame.assign(**{key: "" for key in KEYS if key not in frame})


def picked(found, **wanted):
    wanted = {"method": "nac", "seed": 0, "test_domain": "iid"} | dict.fromkeys(KEYS, "") | wanted
    for name, value in wanted.items():
        found = found[found[name] == value]
    return found


def value(found, **wanted):
    rows = picked(found, **wanted)
    assert len(rows) == 1, f"{len(rows)} rows of {wanted}"
    return rows["value"].iloc[0]


def test_accuracies_by_hand(letters, tmp_path):
    found = table(letters, [store(tmp_path), store(tmp_path, "perceiver", 1)])
    assert value(found, metric="accuracy") == pytest.approx(4 / 6)
    assert value(found, metric="accuracy", test_domain="turned") == pytest.approx(3 / 6)
    assert value(found, metric="accuracy", method="perceiver", seed=1) == pytest.approx(4 / 6)
    assert value(found, metric="accuracy", cut="0.01") == pytest.approx(3 / 6)
    assert value(found, metric="accuracy", kept="1", order="degree") == pytest.approx(4 / 6)
    assert value(found, metric="accuracy", kept="0.1875", order="random3") == 0
    assert value(found, metric="chance", method="data") == pytest.approx(1 / 3)
    assert value(found, metric="majority", method="data") == pytest.approx(3 / 6)
    assert value(found, metric="n_params") == 77
    assert value(found, metric="macs") == 1000 and value(found, metric="macs", method="perceiver", seed=1) == 900


def test_columns(letters, tmp_path):
    found = table(letters, [store(tmp_path), store(tmp_path, "perceiver")])
    assert set(found["paper"]) == {"circuits"} and set(found["dataset"]) == {"letters"}
    assert set(found["split"]) == {"test"} and set(found["train_domain"]) == {"iid"}
    assert dict(zip(found["method"], found["model"], strict=True)) == {
        "data": "none", "nac": "nac", "perceiver": "perceiver",
    }  # fmt: skip
    assert dict(zip(found["test_domain"], found["shift"], strict=True)) == {
        "iid": "", "turned": "turned", "others": "others",
    }  # fmt: skip
    assert set(picked(found, metric="accuracy")["n"]) == {6}


def test_episodes_are_shared_by_the_methods_of_a_seed(letters, tmp_path):
    features = np.random.default_rng(2).normal(size=(len(FEW), 3)).astype(np.float32)
    runs = [store(tmp_path, "nac", 1, features=features), store(tmp_path, "perceiver", 1, features=5 * features - 1)]
    found = table(letters, [store(tmp_path), *runs])
    few = found[found["metric"] == "few_shot_accuracy"]
    assert len(few) == 3 * 2 * 4 and set(few["n"]) == {4} and set(few["test_domain"]) == {"others"}
    assert value(found, metric="few_shot_accuracy", test_domain="others", shots="3", episode="2") == 1  # classes apart
    sides = [few[(few["method"] == name) & (few["seed"] == 1)]["value"].tolist() for name in ("nac", "perceiver")]
    assert sides[0] == sides[1] and len(set(sides[0])) > 1


def test_no_few_shots_on_other_data_sets_or_of_diverged_networks(letters, tmp_path):
    elsewhere = SHOTS.model_copy(update={"dataset": "other"})
    rows = list(evaluate(letters, [store(tmp_path)], EVALUATION, elsewhere, seed=0))
    assert not any(row["metric"] == "few_shot_accuracy" for row in rows)
    diverged = np.full((len(FEW), 3), np.nan, np.float32)
    logits = np.full((6, 3), np.nan, np.float32)
    found = table(letters, [store(tmp_path, features=diverged, **{"iid/logits": logits})])
    assert "few_shot_accuracy" not in set(found["metric"])
    assert value(found, metric="accuracy") == 0


def test_a_data_set_without_new_classes_has_no_few_shots(letters, tmp_path):
    card = arrays.open_prepared(letters).card
    splits = {name: tuple(ends) for name, ends in card["splits"].items() if name != "others/few"}
    data = {name: np.asarray(values) for name, values in arrays.open_prepared(letters).arrays.items()}
    arrays.write(tmp_path / "letters", name="letters", arrays=data, splits=splits)
    with pytest.raises(DataError, match=r"few_shot\.dataset"):
        table(tmp_path / "letters", [store(tmp_path)])


def test_graphs_are_compared_with_their_prior_after_matching(letters, tmp_path):
    found = table(letters, [store(tmp_path)])
    assert value(found, metric="prior_error") == pytest.approx(2 * 0.1**2 / 6)  # 0 and not 0.1, both ways
    assert value(found, metric="prior_error_start") == pytest.approx(2 * (0.1**2 + 0.1**2) / 6)
    links = np.corrcoef([0.8, 0.0, 0.4], [0.8, 0.1, 0.4])[0, 1]
    assert value(found, metric="prior_correlation") == pytest.approx(links, abs=1e-6)
    # Degrees 0.8, 1.2, 0.4: their mean difference is 16/45, their mean 0.8.
    assert value(found, metric="degree_gini") == pytest.approx((3.2 / 9) / (2 * 0.8))


def test_a_prior_may_be_missing_or_even(letters, tmp_path):
    found = table(letters, [store(tmp_path, target=None)])
    assert not any(name.startswith("prior") for name in found["metric"]) and value(found, metric="degree_gini") > 0
    even = np.full((3, 3), 0.1, np.float32)
    found = table(letters, [store(tmp_path, target=even)])
    assert value(found, metric="prior_error") > 0 and "prior_correlation" not in set(found["metric"])


def test_graphs_for_figures_are_of_the_first_seed_in_the_order_of_the_target(tmp_path):
    moved = np.array([0, 2, 1])
    after, before = LINKS[moved][:, moved], (TARGET + LINKS) / 2
    there = {"links": np.stack([after, after]), "links_start": np.stack([TARGET, LINKS])}
    runs = [store(tmp_path, seed=2), store(tmp_path, seed=1, **there), store(tmp_path, "perceiver")]
    found = dict(graphs(runs))
    assert found.keys() == {"nac/links", "nac/links_start", "nac/target"}
    np.testing.assert_array_equal(found["nac/target"], TARGET)
    order = matched(torch.from_numpy(after), torch.from_numpy(TARGET)).numpy()
    assert order.tolist() != [0, 1, 2]
    # The same processors in both, whatever the start would match better.
    np.testing.assert_allclose(found["nac/links"], after[order][:, order])
    np.testing.assert_allclose(found["nac/links_start"], before[order][:, order])
    bare = dict(graphs([store(tmp_path, target=None)]))
    assert bare.keys() == {"nac/links", "nac/links_start"}
    np.testing.assert_array_equal(bare["nac/links"], LINKS)


def test_what_is_wrong_with_a_prediction_is_said(letters, tmp_path):
    with pytest.raises(ResultsError, match="is missing"):
        table(letters, [Prediction(tmp_path / "nac.s9.npz", "nac", 9)])
    with pytest.raises(ResultsError, match=r"of 5 samples, the data set has 6"):
        table(letters, [store(tmp_path, **{"cut/logits": mistaken(0)[:5]})])
    with pytest.raises(ResultsError, match="holds no iid/logits"):
        table(letters, [store(tmp_path, **{"iid/logits": None})])
    run = store(tmp_path)
    for damaged in (run.path.read_bytes()[:-300], b"no archive"):
        run.path.write_bytes(damaged)
        with pytest.raises(ResultsError, match="damaged"):
            table(letters, [run])


# ---------------------------------------------------------------- circuits of texts

RED, GREEN, BLUE = range(3)
SQUARE, CROSS, CORNER = range(3)
ASKED = [  # things, question, type
    ([(RED, CROSS)], "exists red cross .", 0),
    ([(RED, SQUARE)], "exists red cross .", 0),
    ([(BLUE, SQUARE)], "exists blue square .", 0),
    ([(BLUE, SQUARE), (BLUE, CROSS)], "count blue is 2", 1),
    ([(BLUE, SQUARE)], "count red is 1", 1),
    ([(RED, CROSS), (BLUE, CROSS)], "all cross are red", 3),
]
TRUTH = np.array([1, 0, 1, 1, 0, 0])
SOURCE = np.array([5, 5, 3, 2, 0, 4])  # whose circuit each picture goes through
# all cross are red: yes, (there is none); count blue is 2: no; exists blue square: yes; exists red cross: no;
# count red is 1: yes
SWAPPED = np.array([1, -1, 0, 1, 0, 1])


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "nlvr_mini"
    random = np.random.default_rng(0)
    shown = [nlvr_mini.picture(np.array(things), random) for things, _, _ in ASKED]
    text = np.array([[nlvr_mini.WORD[word] for word in words.split()] for _, words, _ in ASKED])
    arrays.write(
        folder,
        name="nlvr_mini",
        arrays={
            "x": np.rint(np.clip(np.array(shown * 2), 0, 1) * 255).astype(np.uint8),
            "text": np.tile(text, (2, 1)).astype(np.uint8),
            "type": np.tile([kind for *_, kind in ASKED], 2).astype(np.uint8),
            "labels": np.tile(TRUTH, 2).astype(np.uint8)[:, None],
        },
        splits={"iid/train": (0, 6), "iid/test": (6, 12)},
        label_names=["answer"],
        words=list(nlvr_mini.WORDS),
        types=list(nlvr_mini.TYPES),
    )
    return folder


def asked(folder, **changes):
    """Predictions of a conditional network: five different questions, circuits alike within a type."""
    circuits = np.zeros((6, 3, 3), np.float16)
    for row, links in enumerate([(1, 0), (1, 0), (0.75, 0.25), (0, 1), (0, 1), (0, 0)]):
        circuits[row, 0, 1:] = links
    found = {
        "turned/logits": None,
        "features": None,
        "iid/logits": answering(TRUTH ^ [1, 0, 0, 0, 0, 1], 2),
        "circuits": circuits,
        "circuits_start": circuits[::-1],
        "swapped/logits": answering([1, 1, 0, 1, 0, 0], 2),
        "swapped/from": SOURCE,
        "mixed/logits": answering(TRUTH ^ [1, 1, 1, 0, 0, 0], 2),
    }
    return store(folder, "conditional", **found | changes)


def test_answers_about_other_pictures(questions):
    data = arrays.open_prepared(questions)
    rows = data.rows("iid/test")
    answers, known = of_nlvr_mini(data.arrays["x"][rows], data.arrays["text"][rows][SOURCE])
    assert known.tolist() == (SWAPPED >= 0).tolist()
    assert answers[known].tolist() == SWAPPED[known].tolist()
    own, all_known = of_nlvr_mini(data.arrays["x"][rows], data.arrays["text"][rows])
    assert all_known.all() and own.tolist() == TRUTH.tolist()


def test_circuits_of_texts_by_hand(questions, tmp_path):
    found = table(questions, [asked(tmp_path)])
    about = {"method": "conditional"}
    assert value(found, metric="accuracy", **about) == pytest.approx(4 / 6)
    assert value(found, metric="accuracy", kind="exists", **about) == pytest.approx(2 / 3)
    assert value(found, metric="accuracy", kind="count", **about) == 1
    assert value(found, metric="accuracy", kind="all", **about) == 0
    assert picked(found, metric="accuracy", kind="more", **about).empty
    # Five pairs have an answer, of which 1, 0, 1, 0 and not 1 are given; the two differ in the third and the last.
    assert value(found, metric="swapped_accuracy", **about) == pytest.approx(4 / 5)
    assert value(found, metric="swapped_follows", **about) == 0.5
    assert value(found, metric="swapped_stays", **about) == 0.5
    assert picked(found, metric="swapped_follows", **about)["n"].item() == 2
    assert value(found, metric="mixed_accuracy", **about) == 0.5


def test_every_question_counts_once_in_similarities(questions, tmp_path):
    found = table(questions, [asked(tmp_path)])
    about = {"method": "conditional"}
    links = np.array([(1, 0), (0.75, 0.25), (0, 1), (0, 1), (0, 0)]) - [0.35, 0.45]
    links /= np.linalg.norm(links, axis=1, keepdims=True)
    cosines = links @ links.T
    kinds = np.array([0, 0, 1, 1, 3])
    alike = (kinds[:, None] == kinds) & ~np.eye(5, dtype=bool)
    within, between = cosines[alike].mean(), cosines[kinds[:, None] != kinds].mean()
    assert value(found, metric="similarity_within", **about) == pytest.approx(within, abs=1e-3)
    assert value(found, metric="similarity_between", **about) == pytest.approx(between, abs=1e-3)
    assert value(found, metric="similarity_gap", **about) == pytest.approx(within - between, abs=1e-3)
    assert picked(found, metric="similarity_gap", **about)["n"].item() == 5
    assert value(found, metric="retrieval", **about) == pytest.approx(4 / 5)  # no other question is of the last type
    assert value(found, metric="retrieval_chance", **about) == pytest.approx(4 / 20)
    # Before training the rows came in the opposite order.
    links = np.array([(0, 0), (0, 1), (0.75, 0.25), (1, 0), (1, 0)]) - [0.55, 0.25]
    links /= np.linalg.norm(links, axis=1, keepdims=True)
    cosines = links @ links.T
    gap = cosines[alike].mean() - cosines[kinds[:, None] != kinds].mean()
    assert value(found, metric="similarity_gap_start", **about) == pytest.approx(gap, abs=1e-3)
    # 15 ways to make two pairs of five; this one is the best.
    assert value(found, metric="similarity_p", **about) == pytest.approx(1 / 15, abs=0.04)


def test_circuits_for_figures(questions, tmp_path):
    run = asked(tmp_path)
    found = dict(circuits_of_texts(questions, [run]))
    assert found.keys() == {"conditional/circuits", "conditional/type", "conditional/text", "words", "types"}
    np.testing.assert_array_equal(found["conditional/circuits"], run.read()["circuits"])
    assert found["conditional/text"].shape == (6, 4) and found["conditional/type"].tolist() == [0, 0, 0, 1, 1, 3]
    assert [str(found["words"][k]) for k in found["conditional/text"][4]] == ["count", "red", "is", "1"]
    assert found["types"].tolist() == list(nlvr_mini.TYPES)
    assert not dict(circuits_of_texts(questions, [store(tmp_path)]))
