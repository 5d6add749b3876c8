"""Networks by name: what a name may be, what a network promises, and that no wing needs another one's import."""

import subprocess
import sys

import pytest
import torch
from torch import nn

import reprise
from reprise import architectures, jobs
from reprise.architectures import Classifier, build, builder, fingerprint
from reprise.errors import UserError

SHAPE = (3, 16, 16)

NETWORK = """
from torch import nn

class Small(nn.Module):
    def __init__(self, shape, classes):
        super().__init__()
        self.body = nn.Flatten()
        self.head = nn.Linear(shape[0] * shape[1] * shape[2], classes)

    def features(self, x):
        return self.body(x)

    def forward(self, x):
        return self.head(self.features(x))
"""

BROKEN = """
from torch import nn

class Bare(nn.Linear):
    def __init__(self, shape, classes):
        super().__init__(4, classes)

class Headless(Bare):
    def features(self, x):
        return x

class Featureless(Bare):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.head = nn.Linear(4, classes)

class Narrow(Headless):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.head = nn.Linear(4, 10)

class Nonlinear(Headless):
    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.head = nn.ReLU()
"""

WING = (
    NETWORK
    + """
ARCHITECTURES = {"small": Small, "smaller_still": Small}
"""
)


@pytest.fixture
def outside(tmp_path, monkeypatch):
    """A function that writes a module outside this project and makes it importable."""
    monkeypatch.syspath_prepend(tmp_path)

    def module(name, text):
        monkeypatch.delitem(sys.modules, name, raising=False)
        file = tmp_path / f"{name}.py"
        file.write_text(text)
        return file

    yield module
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


@pytest.fixture
def wing(tmp_path, monkeypatch):
    """A wing that this project does not have, `dummy`, and the file of its networks."""
    folder = tmp_path / "dummy"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "architectures.py").write_text(WING)
    monkeypatch.setattr(reprise, "__path__", [*reprise.__path__, str(tmp_path)])
    yield folder / "architectures.py"
    for name in [name for name in sys.modules if name.startswith("reprise.dummy")]:
        del sys.modules[name]
    vars(reprise).pop("dummy", None)


def works(network, classes):
    x = torch.rand((2, *SHAPE), generator=torch.Generator().manual_seed(0))
    assert isinstance(network, nn.Module)
    assert isinstance(network, Classifier)
    logits = network.eval()(x)
    assert logits.shape == (2, classes)
    torch.testing.assert_close(logits, network.head(network.features(x)))


@pytest.mark.parametrize("name", ["assay.cnn", "assay.resnet", "assay.vit", "assay.mixer", "assay.mlp"])
def test_the_assays_own_networks(name):
    works(build(name, SHAPE, 7), 7)


def test_a_function_of_any_module(outside):
    outside("outside_networks", NETWORK)
    works(build("outside_networks:Small", SHAPE, 5), 5)


def test_another_wing_enters_by_its_name(wing):
    works(build("dummy.small", SHAPE, 5), 5)
    assert builder("dummy.small").__module__ == "reprise.dummy.architectures"


def test_a_name_imports_its_own_wing_and_nothing_else(wing):
    """In a fresh interpreter; the wing's network here is a plain class, so that nothing asks for torch."""
    wing.write_text("""
from types import SimpleNamespace

class Plain:
    def __init__(self, shape, classes):
        self.head = SimpleNamespace(out_features=classes)

    def features(self, x):
        return x

    def __call__(self, x):
        return x

ARCHITECTURES = {"plain": Plain}
""")
    script = f"""
import sys
import reprise
from reprise import architectures
reprise.__path__.append({str(wing.parent.parent)!r})
assert not any(name.endswith(".architectures") for name in sys.modules if name != "reprise.architectures")
assert architectures.build("dummy.plain", (3, 16, 16), 4).head.out_features == 4
architectures.fingerprint("assay.cnn")
wings = {{name.split(".")[1] for name in sys.modules if name.startswith("reprise.") and name.count(".") > 1}}
print(sorted(wings), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    # Finding the assay's file imports its package, which is empty.
    assert done.stdout.strip() in ("['dummy'] False", "['assay', 'dummy'] False")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("assay.resnt", "no architecture 'resnt' in reprise.assay.architectures; did you mean resnet?"),
        ("assay.VIT", "no architecture 'VIT' in reprise.assay.architectures; known: cnn, mixer, mlp, resnet, "),
        ("dummy.smal", "no architecture 'smal' in reprise.dummy.architectures; did you mean small?"),
        ("outside_networks:Large", "no architecture 'Large' in outside_networks"),
        ("assays.cnn", "there is no module reprise.assays.architectures; a name is <wing>.<entry> or "),
        ("cnn", "architecture 'cnn': there is no module reprise.cnn.architectures"),
        ("assay.", "architecture 'assay.': "),
        ("no_such_package.networks:Small", "there is no module no_such_package.networks"),
        ("outside_networks:", "architecture 'outside_networks:': "),
    ],
)
def test_unknown_names(outside, wing, name, message):
    outside("outside_networks", NETWORK)
    for function in (builder, lambda name: build(name, SHAPE, 3)):
        with pytest.raises(UserError) as caught:
            function(name)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Bare", "Headless", "Featureless"])
def test_a_network_without_head_or_features_is_refused(outside, name):
    outside("broken_networks", BROKEN)
    with pytest.raises(UserError, match=rf"architecture broken_networks:{name} lacks `features` or `head`"):
        build(f"broken_networks:{name}", SHAPE, 3)


@pytest.mark.parametrize(("name", "width"), [("Narrow", "10"), ("Nonlinear", "None")])
def test_a_head_of_another_width_is_refused(outside, name, width):
    outside("broken_networks", BROKEN)
    message = rf"architecture broken_networks:{name} has a head of {width} outputs, 3 classes were asked for"
    with pytest.raises(UserError, match=message):
        build(f"broken_networks:{name}", SHAPE, 3)


def test_fingerprint_follows_the_code(outside, wing):
    file = outside("outside_networks", NETWORK)
    for name, path in (("outside_networks:Small", file), ("dummy.small", wing)):
        before = fingerprint(name)
        assert fingerprint(name) == before
        text = path.read_text()
        path.write_text(text + "\nWIDTH = 3\n")
        assert fingerprint(name) != before
        path.write_text(text)
        assert fingerprint(name) == before


def test_fingerprint_covers_what_the_file_imports():
    assert architectures.__file__ is not None
    file = jobs.PACKAGE / "assay/architectures.py"
    assert fingerprint("assay.cnn") == fingerprint("assay.timm/resnet50d.ra2_in1k") == jobs.fingerprint(file)
    assert jobs.PACKAGE / "errors.py" in jobs.imports(file)


def test_fingerprint_of_an_unknown_module():
    with pytest.raises(UserError, match="there is no module"):
        fingerprint("no_such_wing.cnn")
