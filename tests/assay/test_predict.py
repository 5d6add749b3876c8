"""Predictions: every network once, on the right images, and the networks derived from finished ones."""

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from assay import tiny
from assay.tiny import run
from reprise import architectures, jobs
from reprise.assay import predict as module
from reprise.assay.architectures import as_input, features_of, logits_of, state
from reprise.assay.attacks import Attack, perturb
from reprise.assay.corruptions import corrupt, image_seeds
from reprise.assay.evaluate import Labels
from reprise.assay.planted import reduced
from reprise.assay.predict import average, greedy_soup, predict, refit
from reprise.assay.tasks import Task
from reprise.errors import UserError
from reprise.seeding import derive

SEED = 3
ATTACKS = {
    name: {"method": "pgd", "loss": "ce", "norm": "l2", "eps": eps, "steps": 3}
    for name, eps in (("small", 0.3), ("large", 10.0))
}
EVALUATION = {
    "corruptions": ["gaussian_noise", "contrast"],
    "severities": [1, 5],
    "attacks": ATTACKS,
    "attacked": 5,
    "max_images": None,
    "bootstrap": 10,
}
NONE = {"names": [], "alphas": 3}
ALL = {"names": ["lp_ft", "wise_ft", "soups", "last_layer"], "alphas": 3}

FULL, HEAD, FULL_RAND, HEAD_RAND = (
    run(finetune=finetune, augment=augment) for augment in ("standard", "rand") for finetune in ("full", "head")
)
FEW = run(regime="fewshot_2", augment="standard")
LP_FT = run(arm="strategies", finetune="lp_ft", augment="standard")
SWEEP = [FULL, HEAD, FULL_RAND, HEAD_RAND, FEW, LP_FT]

CLEAN = {"val/a", "test/a", "test/b", "test/c"}
CORRUPTED = {f"corrupted/{kind}/{severity}" for kind in EVALUATION["corruptions"] for severity in (1, 5)}
ADVERSARIAL = {f"adversarial/{name}/{domain}" for name in ATTACKS for domain in tiny.DOMAINS}


@pytest.fixture(autouse=True)
def on_the_processor(monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", None)
    monkeypatch.setenv("REPRISE_ACCELERATOR", "cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.prepare(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def task(data):
    return Task(data)


def save(folder, members, shape=(3, 16, 16), classes=3):
    """Random weights for every run, as the training stage leaves them; their start is `folder`/start.safetensors."""
    save_file(tiny.body(tiny.pretrained(folder, members[0].model, shape)), folder / "start.safetensors")
    for k, member in enumerate(members):
        made = tiny.network(k, member.model, shape, classes)
        found = state(made) if member.finetune != "head" else state(made.head)
        prefix = "head." if member.finetune == "head" else ""
        save_file({f"{prefix}{name}": value for name, value in found.items()}, folder / f"{member.id}.safetensors")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save(tmp_path_factory.mktemp("weights"), SWEEP)


def job(members, data, weights, strategies=NONE, domains=tiny.DOMAINS, **changes):
    return {
        "runs": [member.as_job() for member in members],
        "folder": str(data),
        "weights": str(weights),
        "start": str(weights / "start.safetensors"),
        "seed": SEED,
        "domains": list(domains),
        "evaluation": EVALUATION | changes,
        "strategies": strategies,
    }


@pytest.fixture(scope="module")
def found(data, weights):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "_workdir", None)
        patch.setenv("REPRISE_ACCELERATOR", "cpu")
        return predict(**job(SWEEP, data, weights, ALL))


def restored(weights, member, shape=(3, 16, 16), classes=3):
    """A stored network, in full: the body of a head-only run is the one it started from."""
    stored = load_file(weights / f"{member.id}.safetensors")
    if member.finetune == "head":
        stored |= load_file(weights / "start.safetensors")
    network = architectures.build(member.model, shape, classes)
    network.load_state_dict({name: torch.from_numpy(value) for name, value in stored.items()})
    return network.eval()


def of(found, name):
    return {key.removeprefix(f"{name}/"): value for key, value in found.items() if key.startswith(f"{name}/")}


def close(one, other):
    np.testing.assert_allclose(np.float32(one), np.float32(other), rtol=2e-3, atol=2e-3)


# ---------------------------------------------------------------- what is kept


def test_sets_and_shapes(found):
    assert {key.split("/")[0] for key in found} == {member.id for member in SWEEP} | {
        "wise_ft-0", "wise_ft-0.5", "wise_ft-1", "uniform_soup", "greedy_soup", "last_layer",
    }  # fmt: skip
    assert {value.dtype for value in found.values()} == {np.dtype(np.float16)}
    for member in SWEEP[:5]:
        assert set(of(found, member.id)) == CLEAN | CORRUPTED | ADVERSARIAL
    for name in (LP_FT.id, "wise_ft-0.5", "uniform_soup", "greedy_soup", "last_layer"):
        assert set(of(found, name)) == CLEAN  # beyond the sweep, clean images alone
    for key, value in found.items():
        assert value.shape == (5 if "adversarial" in key else 8, 3)


def test_order_of_the_runs_and_company_have_no_effect(found, data, weights):
    alone = predict(**job([HEAD_RAND], data, weights))
    assert set(alone) == {f"{HEAD_RAND.id}/{name}" for name in CLEAN | CORRUPTED | ADVERSARIAL}
    for key, value in alone.items():
        close(value, found[key])


@pytest.mark.parametrize("member", [FULL, HEAD, HEAD_RAND, LP_FT])
def test_logits_are_those_of_the_network_restored_in_full(found, task, weights, member):
    network = restored(weights, member)
    for domain in tiny.DOMAINS:
        close(found[f"{member.id}/test/{domain}"], logits_of(network, task.split(domain, "test").x))
    close(found[f"{member.id}/val/a"], logits_of(network, task.split("a", "val").x))


def test_batch_statistics_are_those_of_the_start(data, tmp_path):
    member = run(model="assay.resnet", finetune="head")
    weights = save(tmp_path, [member])
    found = predict(**job([member], data, weights))
    close(found[f"{member.id}/test/b"], logits_of(restored(weights, member), Task(data).split("b", "test").x))


@pytest.mark.parametrize("member", [FULL, HEAD])
def test_corrupted_images_have_seeds_of_their_rows(found, task, weights, member):
    part = task.split("a", "test")
    for kind in EVALUATION["corruptions"]:
        seeds = image_seeds(derive(SEED, "assay", "tiny"), part.rows, kind, 5)
        images = corrupt(torch.from_numpy(np.array(part.x)), kind, 5, seeds)
        close(found[f"{member.id}/corrupted/{kind}/5"], logits_of(restored(weights, member), images))


def test_heads_share_the_features_of_the_body(data, weights, monkeypatch):
    counted = []
    monkeypatch.setattr(module, "features_of", lambda network, x: counted.append(len(x)) or features_of(network, x))
    predict(**job([HEAD, HEAD_RAND], data, weights))
    assert len(counted) == len(CLEAN | CORRUPTED)
    counted.clear()
    predict(**job([FULL, FULL_RAND], data, weights))
    assert len(counted) == 2 * len(CLEAN | CORRUPTED)


@pytest.mark.parametrize("member", [FULL, HEAD, FEW])
def test_attacks_never_help(found, task, member):
    """On the same images: a sample of five of each test split. What is wrong already stays as it is."""
    errors = {name: [] for name in ("clean", *ATTACKS)}
    for domain in tiny.DOMAINS:
        sample = task.sample(domain, "test", 5, SEED)
        y, places = sample.y, np.searchsorted(task.split(domain, "test").rows, sample.rows)
        clean = found[f"{member.id}/test/{domain}"][places]
        wrong = clean.argmax(1) != y
        errors["clean"].append(wrong.mean())
        for name in ATTACKS:
            attacked = found[f"{member.id}/adversarial/{name}/{domain}"]
            close(attacked[wrong], clean[wrong])
            assert (attacked.argmax(1) != y)[wrong].all()
            errors[name].append((attacked.argmax(1) != y).mean())
    assert np.mean(errors["clean"]) < np.mean(errors["large"])


@pytest.mark.parametrize("crop", [None, 12])
def test_attacked_images_are_a_random_sample_of_each_test_split(crop, data, task, tmp_path, monkeypatch):
    """Drawn for themselves: not the first of those that are judged."""
    member = run(crop=crop)
    weights = save(tmp_path, [member], (3, crop or 16, crop or 16))
    given = []
    monkeypatch.setattr(module, "perturb", lambda network, x, y, *_, correct: given.append((x, y, correct)) or x)
    found = of(predict(**job([member], data, weights, max_images=6, attacked=4)), member.id)
    samples = {domain: task.sample(domain, "test", 4, SEED) for domain in tiny.DOMAINS}
    network = restored(weights, member, (3, crop or 16, crop or 16))
    first = []
    for domain, sample in samples.items():
        assert (np.diff(sample.rows) > 0).all()
        images = torch.from_numpy(np.array(sample.x))
        expected = logits_of(network, images if crop is None else images[:, :, 2:14, 2:14])
        for name in ATTACKS:
            close(found[f"adversarial/{name}/{domain}"], expected)
        first.append(np.isin(sample.rows, task.sample(domain, "test", 6, SEED).rows[:4]).all())
    assert not all(first)
    assert len(given) == len(ATTACKS)  # all domains in one pass
    for x, y, correct in given:
        assert x.shape == (12, 3, crop or 16, crop or 16)
        np.testing.assert_array_equal(y, np.concatenate([sample.y for sample in samples.values()]))
        np.testing.assert_array_equal(correct, logits_of(network, x).argmax(1) == y.numpy())


@pytest.mark.parametrize("member", [FULL, HEAD, FEW])
def test_attacked_logits_are_those_of_attacking_every_image(member, task, data, weights):
    """Each attack for itself: what one finds must not leave its trace in what the others found."""
    attacks = {
        "tiny": {"method": "pgd", "loss": "ce", "norm": "l2", "eps": 0.02, "steps": 2},
        "apgd": {"method": "apgd", "loss": "dlr", "norm": "linf", "eps": 0.1, "steps": 4},
        "large": ATTACKS["large"],
    }
    found = of(predict(**job([member], data, weights, attacks=attacks)), member.id)
    network = restored(weights, member).requires_grad_(False)
    samples = [task.sample(domain, "test", 5, SEED) for domain in tiny.DOMAINS]
    x = as_input(torch.cat([torch.from_numpy(np.array(sample.x)) for sample in samples]))
    y = torch.from_numpy(np.concatenate([sample.y for sample in samples]))
    assert 0 < (logits_of(network, x).argmax(1) == y.numpy()).sum() < len(y)
    logits = {}
    for name, settings in attacks.items():
        seed = derive(SEED, "assay", "attack", name) % 2**63
        logits[name] = logits_of(network, perturb(network, x, y, Attack(**settings), seed))
        for k, domain in enumerate(tiny.DOMAINS):
            close(found[f"adversarial/{name}/{domain}"], logits[name][5 * k : 5 * k + 5])
    names = list(attacks)
    for one, other in zip(names, names[1:] + names[:1], strict=True):  # more than `close` lets pass
        assert np.abs(logits[one] - logits[other]).max() > 0.01


def test_nothing_to_attack(task, data, tmp_path):
    """A network that is wrong about every image keeps its logits."""
    weights = save(tmp_path, [FULL])
    stored = load_file(weights / f"{FULL.id}.safetensors")
    stored["head.bias"] += np.array([0, 0, 1e4], np.float32)
    save_file(stored, weights / f"{FULL.id}.safetensors")
    judge = module._Judge(FULL, task, module._clean(FULL, task, list(tiny.DOMAINS), None, SEED), EVALUATION, SEED)
    judge.victims = {domain: (x, torch.zeros_like(y)) for domain, (x, y) in judge.victims.items()}
    network = restored(weights, FULL).requires_grad_(False)
    found = judge.attacked(network)
    assert set(found) == ADVERSARIAL
    for name, value in found.items():
        close(value, logits_of(network, judge.victims[name.split("/")[-1]][0]))


@pytest.mark.parametrize("arm", ["sweep", "invariance", "planted_cue"])
def test_sets_are_functions_that_read_when_they_are_called(arm, data, monkeypatch):
    """Whole splits come from the disk as they are, and nothing is reduced before it is needed."""
    member = run(arm=arm, sources="a+b" if arm != "sweep" else "a")
    made = []
    monkeypatch.setattr(module, "reduced", lambda x, grayscale: made.append(grayscale) or reduced(x, grayscale))
    sets = module._clean(member, Task(data), list(tiny.DOMAINS), None, SEED)
    assert all(map(callable, sets.values()))
    assert not made
    for name, images in sets.items():
        split, domain = name.split("/")
        part = Task(data).split(domain, split).x
        if arm == "planted_cue":
            np.testing.assert_array_equal(images(), reduced(part, False))
        else:
            assert isinstance(images(), np.memmap)
            np.testing.assert_array_equal(images(), part)
    assert len(made) == (len(sets) if arm == "planted_cue" else 0)


def test_corrupted_images_are_made_anew_for_each_network(found, data, weights, tmp_path, monkeypatch):
    """Heads need them once, for the features of their body; finished networks do not need them."""
    made = []
    monkeypatch.setattr(module, "corrupt", lambda x, kind, *rest: made.append(kind) or corrupt(x, kind, *rest))
    monkeypatch.setattr(jobs, "_workdir", tmp_path)
    again = predict(**job([FULL, FULL_RAND], data, weights))
    assert len(made) == 2 * len(CORRUPTED)
    made.clear()
    again |= predict(**job([HEAD, HEAD_RAND], data, weights))
    assert len(made) == len(CORRUPTED)
    for member in (FULL, FULL_RAND, HEAD, HEAD_RAND):
        for name in CORRUPTED:
            close(again[f"{member.id}/{name}"], found[f"{member.id}/{name}"])
    made.clear()
    predict(**job([FULL, FULL_RAND, HEAD, HEAD_RAND], data, weights))
    assert not made


def test_a_sample_of_the_test_split(task, data, weights):
    found = of(predict(**job([FULL], data, weights, max_images=6, attacked=4)), FULL.id)
    network = restored(weights, FULL)
    for domain in tiny.DOMAINS:
        sample = task.sample(domain, "test", 6, SEED)
        assert len(sample) == 6
        close(found[f"test/{domain}"], logits_of(network, sample.x))
        assert found[f"adversarial/small/{domain}"].shape == (4, 3)
    assert found["val/a"].shape == (8, 3)  # validation is never cut
    seeds = image_seeds(derive(SEED, "assay", "tiny"), task.sample("a", "test", 6, SEED).rows, "contrast", 1)
    images = corrupt(torch.from_numpy(np.array(task.sample("a", "test", 6, SEED).x)), "contrast", 1, seeds)
    close(found["corrupted/contrast/1"], logits_of(network, images))


def test_crops_are_centred(data, task, tmp_path):
    members = [run(crop=12), run(crop=12, finetune="head")]
    weights = save(tmp_path, members, (3, 12, 12))
    found = predict(**job(members, data, weights))
    part = task.split("a", "test")
    middle = torch.from_numpy(np.array(part.x))[:, :, 2:14, 2:14]
    seeds = image_seeds(derive(SEED, "assay", "tiny"), part.rows, "contrast", 1)
    for member in members:
        network = restored(weights, member, (3, 12, 12))
        close(found[f"{member.id}/test/a"], logits_of(network, middle))
        images = corrupt(middle.contiguous(), "contrast", 1, seeds)
        close(found[f"{member.id}/corrupted/contrast/1"], logits_of(network, images))


def test_cropping_reads_nothing(task):
    """A view of what lies on disk; without a crop, the map itself."""
    split = task.split("a", "test")
    assert module._centred(split, None) is split.x
    for side, first in ((16, 0), (15, 0), (13, 1), (12, 2)):
        view = module._centred(split, side)
        assert isinstance(view, np.memmap) and np.shares_memory(view, split.x)
        np.testing.assert_array_equal(view, split.x[:, :, first : first + side, first : first + side])


def test_images_too_small_for_the_crop(task):
    with pytest.raises(
        UserError, match=r"images of \(16, 16\) pixels are too small for crops of 17: enlarge image_size"
    ):
        module._centred(task.split("a", "test"), 17)


def test_restored_networks_need_no_gradient(data, weights, monkeypatch):
    """Attacks ask for that of the images alone."""
    seen = []

    def watched(network, x, y, *rest, correct):
        seen.append((network.training, [weight.requires_grad for weight in network.parameters()]))
        return x

    monkeypatch.setattr(module, "perturb", watched)
    predict(**job([FULL, HEAD], data, weights))
    assert len(seen) == 2 * len(ATTACKS)
    assert not any(training or any(required) for training, required in seen)
    assert all(required for _, required in seen)


def test_large_logits_stay_finite(data, task, tmp_path):
    """Beyond what float16 holds; a network that diverged stays so."""
    weights = save(tmp_path, [FULL])
    stored = load_file(weights / f"{FULL.id}.safetensors")
    large = {name: value * np.float32(1e7) if name.startswith("head.") else value for name, value in stored.items()}
    save_file(large, weights / f"{FULL.id}.safetensors")
    found = predict(**job([FULL], data, weights))[f"{FULL.id}/test/b"]
    expected = logits_of(restored(weights, FULL), task.split("b", "test").x)
    assert (np.abs(expected) > 7e4).any()
    assert found.dtype == np.float16
    np.testing.assert_array_equal(found, np.clip(expected, -6e4, 6e4).astype(np.float16))
    half = module._half(np.array([[1e30, -1e30, np.nan, 0.1]], np.float32))
    np.testing.assert_array_equal(half, np.array([[6e4, -6e4, np.nan, 0.1]], np.float16))


# ---------------------------------------------------------------- the other arms


def test_invariance_arm_is_validated_on_every_domain_of_its_pool(data, task, tmp_path):
    members = [run(arm="invariance", sources="a+b", method=method) for method in ("erm", "irm")]
    weights = save(tmp_path, members)
    found = predict(**job(members, data, weights, ALL))
    names = {f"{split}/{domain}" for split in ("val", "test") for domain in tiny.DOMAINS}
    assert set(found) == {f"{member.id}/{name}" for member in members for name in names}
    close(found[f"{members[1].id}/val/c"], logits_of(restored(weights, members[1]), task.split("c", "val").x))


@pytest.mark.parametrize("limit", [None, 6])
def test_planted_cue_on_reduced_images(limit, tmp_path):
    data = tiny.prepare(tmp_path / "cued", classes=2, name="cued")
    fixed = {"arm": "planted_cue", "sources": "a+b", "model": "assay.mlp", "finetune": "scratch"}
    erm, gray = (run(method=method, **fixed) for method in ("erm", "erm_grayscale"))
    weights = save(tmp_path, [erm, gray], (2, 8, 8), classes=2)
    found = predict(**job([erm, gray], data, weights, ALL, domains=["c"], max_images=limit))
    assert set(found) == {f"{member.id}/{name}" for member in (erm, gray) for name in ("val/a", "val/b", "test/c")}
    for member in (erm, gray):
        network = restored(weights, member, (2, 8, 8), classes=2)
        images = reduced(Task(data).sample("c", "test", limit, SEED).x, member is gray)
        assert len(images) == (limit or 8)
        close(found[f"{member.id}/test/c"], logits_of(network, images))
        for domain in "ab":  # validation is never cut
            images = reduced(Task(data).split(domain, "val").x, member is gray)
            close(found[f"{member.id}/val/{domain}"], logits_of(network, images))


@pytest.mark.parametrize("arm", ["sweep", "invariance", "planted_cue"])
def test_evaluation_finds_a_label_for_every_image(arm, tmp_path):
    data = tiny.prepare(tmp_path / "cued", classes=2, name="cued")
    planted = arm == "planted_cue"
    member = run(arm=arm, sources="a" if arm == "sweep" else "a+b", model="assay.mlp" if planted else "assay.cnn")
    weights = save(tmp_path, [member], (2, 8, 8) if planted else (3, 16, 16), classes=2)
    limits = {"max_images": 6, "attacked": 4}
    found = of(predict(**job([member], data, weights, domains=["c"], **limits)), member.id)
    labels = Labels(data, SEED, *limits.values())
    assert {name: len(value) for name, value in found.items()} == {
        name: len(labels(name, member.domains[0])) for name in found
    }


# ---------------------------------------------------------------- after a kill


def test_finished_networks_are_taken_up(data, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "_workdir", tmp_path)
    fake = {f"{FULL.id}/val/a": np.full((8, 3), 7, np.float16)}
    np.savez(tmp_path / f"{FULL.id}.npz", **fake)
    found = predict(**job([FULL, HEAD], data, weights))
    assert list(of(found, FULL.id)) == ["val/a"]
    np.testing.assert_array_equal(found[f"{FULL.id}/val/a"], 7)
    assert {path.name for path in tmp_path.iterdir()} == {f"{FULL.id}.npz", f"{HEAD.id}.npz"}
    kept = jobs.load(tmp_path / f"{HEAD.id}.npz")
    assert set(kept) == {f"{HEAD.id}/{name}" for name in CLEAN | CORRUPTED | ADVERSARIAL}


def test_a_killed_job_ends_as_if_nothing_had_happened(found, data, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPRISE_ENGINE", "sequential")
    todo = job(SWEEP, data, weights, ALL)
    judged, attacked = [], module._Judge.attacked

    def counting(judge, network):
        judged.append(1)
        if len(judged) == 3:
            raise KeyboardInterrupt
        return attacked(judge, network)

    monkeypatch.setattr(module._Judge, "attacked", counting)
    with pytest.raises(KeyboardInterrupt):
        jobs.run("predict", "reprise.assay.predict:predict", [todo])
    assert len(list(tmp_path.rglob("*.work/*.npz"))) == 2
    (path,) = jobs.run("predict", "reprise.assay.predict:predict", [todo])
    assert len(judged) == 3 + 3  # of five networks of the sweep, two were finished
    again = jobs.load(path)
    assert again.keys() == found.keys()
    for key, value in again.items():
        np.testing.assert_array_equal(value, found[key])
    assert not list(tmp_path.rglob("*.work"))


# ---------------------------------------------------------------- derived networks


def test_wise_ft_goes_from_the_head_only_run_to_lp_ft(found, weights, task):
    for name in CLEAN:
        close(found[f"wise_ft-0/{name}"], found[f"{HEAD.id}/{name}"])
        close(found[f"wise_ft-1/{name}"], found[f"{LP_FT.id}/{name}"])
    ends = [restored(weights, member).state_dict() for member in (HEAD, LP_FT)]
    middle = restored(weights, FULL)
    middle.load_state_dict({name: (value + ends[1][name]) / 2 for name, value in ends[0].items()})
    close(found["wise_ft-0.5/test/b"], logits_of(middle, task.split("b", "test").x))


def test_average_by_hand():
    one = {"w": torch.tensor([1.0, 3.0]), "num_batches_tracked": torch.tensor(7)}
    other = {"w": torch.tensor([5.0, -1.0]), "num_batches_tracked": torch.tensor(100)}
    assert average([one, other])["w"].tolist() == [3.0, 1.0]
    assert average([one, other], [0.75, 0.25])["w"].tolist() == [2.0, 2.0]
    assert average([one, other])["num_batches_tracked"] == 7
    assert average([one])["w"].tolist() == [1.0, 3.0]


def test_uniform_soup_is_of_the_first_regime_and_augmentation(found, weights, task):
    """All weights fine-tuned, LP-FT among them; not heads, other augmentations or few images."""
    members = [restored(weights, member).state_dict() for member in (FULL, LP_FT)]
    soup = restored(weights, FULL)
    soup.load_state_dict(average(members))
    close(found["uniform_soup/test/c"], logits_of(soup, task.split("c", "test").x))


def test_soup_of_one_network_is_that_network(data, weights):
    found = predict(**job([FULL, HEAD], data, weights, {"names": ["soups"], "alphas": 2}))
    for name in CLEAN:
        close(found[f"uniform_soup/{name}"], found[f"{FULL.id}/{name}"])
        close(found[f"greedy_soup/{name}"], found[f"{FULL.id}/{name}"])


def test_greedy_soup_is_no_worse_than_its_best_member(found, task):
    y = task.split("a", "val").y
    scores = {name: (found[f"{name}/val/a"].argmax(1) == y).mean() for name in (FULL.id, LP_FT.id, "greedy_soup")}
    assert scores["greedy_soup"] >= max(scores[FULL.id], scores[LP_FT.id])


def test_soups_are_made_of_every_length_and_rate(data, tmp_path):
    """Of the first regime and augmentation; the greedy one chooses among the same networks."""
    members = [FULL, run(augment="standard", lr=0.02), run(augment="standard", length="3 epochs"), FULL_RAND, FEW]
    weights = save(tmp_path, members)
    found = predict(**job(members, data, weights, {"names": ["soups"], "alphas": 2}))
    task, ingredients = Task(data), [restored(weights, member).state_dict() for member in members[:3]]
    val, y = task.split("a", "val").x, task.split("a", "val").y

    def network(weights_):
        made = restored(weights, FULL)
        made.load_state_dict(weights_)
        return made

    def accuracy(weights_):
        return (logits_of(network(weights_), val).argmax(1) == y).mean()

    x = task.split("c", "test").x
    close(found["uniform_soup/test/c"], logits_of(network(average(ingredients)), x))
    close(found["greedy_soup/test/c"], logits_of(network(greedy_soup(ingredients, accuracy)), x))


def test_greedy_soup_by_hand():
    """Numbers 1, 3, 9 and 10 in the order of their closeness to 2: each joins where the mean comes no farther off."""

    def score(weights):
        return -abs(weights["w"].item() - 2.5)

    members = [{"w": torch.tensor(value)} for value in (10.0, 1.0, 9.0, 3.0)]
    # 3 (off by 0.5); with 1: 2 (0.5, kept); with 9: 13/3 (no); with 10: 14/3 (no)
    assert greedy_soup(members, score)["w"] == 2.0
    # The order of the members has no effect where no two are equally good.
    assert greedy_soup(members[::-1], score)["w"] == 2.0
    assert greedy_soup(members[:1], score)["w"] == 10.0


@pytest.mark.parametrize("seed", range(5))
def test_greedy_soup_never_falls_below_the_best(seed):
    random = np.random.default_rng(seed)
    members = [{"w": torch.from_numpy(random.normal(size=2))} for _ in range(6)]

    def score(weights):
        return float((9 * weights["w"]).sin().sum())

    assert score(greedy_soup(members, score)) >= max(map(score, members))


@pytest.mark.parametrize("present", [(0, 1, 2), (0, 2), (1, 2, 3), (0, 1)])
def test_refit_is_scikit_learns_logistic_regression(present):
    """Two classes, where it has one row of weights, and classes that validation lacks."""
    random = np.random.default_rng(0)
    y = np.array(present)[np.arange(60) % len(present)]
    features = (random.normal(size=(60, 6)) * 3 + 5 + random.normal(size=(4, 6))[y]).astype(np.float32)
    weight, bias = refit(features, y, 4)
    assert weight.shape == (4, 6) and bias.shape == (4,)
    assert weight.dtype == bias.dtype == torch.float32
    expected = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, y)
    logits = torch.from_numpy(features) @ weight.T + bias
    fresh = (random.normal(size=(500, 6)) * 3 + 5).astype(np.float32)
    probabilities = (torch.from_numpy(fresh) @ weight.T + bias).softmax(1).numpy()
    np.testing.assert_allclose(probabilities[:, present], expected.predict_proba(fresh), atol=2e-4)
    np.testing.assert_array_equal(logits.argmax(1).numpy(), expected.predict(features))


def test_refit_of_a_feature_that_does_not_vary():
    """A rectified feature that is zero everywhere."""
    features = np.zeros((20, 3), np.float32)
    features[:, 0] = np.arange(20)
    weight, bias = refit(features, (np.arange(20) > 9).astype(int), 2)
    assert weight.isfinite().all() and bias.isfinite().all()
    assert weight[:, 1:].abs().max() == 0


def test_refit_needs_two_classes():
    with pytest.raises(UserError, match="two classes or more"):
        refit(np.ones((4, 2), np.float32), np.zeros(4, int), 3)


def test_last_layer_is_refitted_on_validation(found, weights, task):
    network = restored(weights, FULL)
    part = task.split("a", "val")
    head = refit(features_of(network, part.x).numpy(), part.y, 3)
    for name in CLEAN:
        split, domain = name.split("/")
        features = features_of(network, task.split(domain, split).x)
        close(found[f"last_layer/{name}"], features @ head[0].T + head[1])
    assert (found["last_layer/val/a"].argmax(1) == part.y).all()


def test_a_diverged_network_stops_nothing(data, tmp_path):
    """Its logits are NaN, and so are those of what is made of it; `evaluate` says so."""
    weights = save(tmp_path, SWEEP)
    stored = load_file(weights / f"{FULL.id}.safetensors")
    save_file({name: np.full_like(value, np.nan) for name, value in stored.items()}, weights / f"{FULL.id}.safetensors")
    found = predict(**job(SWEEP, data, weights, ALL))
    assert np.isnan(found[f"{FULL.id}/test/a"]).all()
    assert np.isnan(found["uniform_soup/test/a"]).all()
    assert np.isnan(found["last_layer/test/a"]).all()
    assert np.isfinite(found[f"{HEAD.id}/test/a"]).all()
    assert np.isfinite(found["wise_ft-1/test/a"]).all()


@pytest.mark.parametrize("diverged", [False, True])
def test_last_layer_leaves_a_diverged_network_as_it_is(diverged, data, task, tmp_path):
    """The head of one with features that are not finite stays; any other is refitted."""
    weights = save(tmp_path, [FULL])
    stored = load_file(weights / f"{FULL.id}.safetensors")
    if diverged:
        body = {name: np.full_like(value, np.inf) for name, value in stored.items() if not name.startswith("head.")}
        save_file(stored | body, weights / f"{FULL.id}.safetensors")
    networks = module._Networks([FULL], task, weights, str(weights / "start.safetensors"))
    clean = module._clean(FULL, task, list(tiny.DOMAINS), None, SEED)
    ((name, made),) = module._derived(networks, clean, task, {"names": ["last_layer"], "alphas": 3})
    assert name == "last_layer"
    for key in ("head.weight", "head.bias"):
        assert np.array_equal(made.state_dict()[key].numpy(), stored[key]) == diverged
