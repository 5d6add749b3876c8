"""Windows of 256 bytes from the sources of Python's standard library; the class is the package they are from.

Stands for byte-level text classification where nothing can be downloaded. Files are split, not windows, so a test
window is from a file that training has not seen. Comments are cut, and so are the packages' own names, which would
give the answer away. The text depends on the version of Python; the card names it, and the files with their hashes.
"""

import hashlib
import io
import platform
import re
import sysconfig
import tokenize
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from reprise.data import arrays
from reprise.data.arrays import DataError
from reprise.data.sources import provenance
from reprise.params import Section
from reprise.seeding import derive

PACKAGES = ("asyncio", "email", "importlib", "multiprocessing", "unittest", "xml")
WINDOW = 256
TEST = 0.25  # of a package's files


class Options(Section):
    """`data.source_bytes` in params.yaml."""

    n_train: Annotated[int, Field(ge=6, le=100_000)]
    n_test: Annotated[int, Field(ge=6, le=100_000)]


def prepare(raw: Path, out: Path, options: Options, *, seed: int) -> None:
    """Write `data/prepared/source_bytes`: `x` (n, 256) uint8 and `labels` (n, 1), packages equally often."""
    library = Path(sysconfig.get_paths()["stdlib"])
    files: dict[str, str] = {}
    texts: dict[str, list[list[bytes]]] = {"train": [], "test": []}
    for package in PACKAGES:
        random = np.random.default_rng(derive(seed, "source_bytes", "files", package))
        # Until Python 3.11 half of unittest was its own tests.
        found = sorted(
            path for path in (library / package).rglob("*.py") if "test" not in path.relative_to(library).parts
        )
        stripped = {path: strip(path.read_text(encoding="utf-8")) for path in found}
        long = [path for path, text in stripped.items() if len(text) >= 2 * WINDOW]
        if len(long) < 4:
            raise DataError(
                f"source_bytes: {library} has {len(long)} files of {package} that are long enough, 4 are needed"
            )
        files |= {str(path.relative_to(library)): hashlib.sha256(path.read_bytes()).hexdigest() for path in long}
        order = [long[k] for k in random.permutation(len(long))]
        held_out = max(1, round(TEST * len(order)))
        texts["test"].append([stripped[path] for path in order[:held_out]])
        texts["train"].append([stripped[path] for path in order[held_out:]])
    x, labels = [], []
    for split, n in (("train", options.n_train), ("test", options.n_test)):
        random = np.random.default_rng(derive(seed, "source_bytes", split))
        label = random.permutation(np.arange(n) % len(PACKAGES))
        x += [_window(texts[split][k], random) for k in label]
        labels.append(label)
    arrays.write(
        out,
        name="source_bytes",
        arrays={"x": np.stack(x), "labels": np.concatenate(labels).astype(np.uint8)[:, None]},
        splits={"iid/train": (0, options.n_train), "iid/test": (options.n_train, options.n_train + options.n_test)},
        label_names=["package"],
        classes=list(PACKAGES),
        domains=["iid"],
        python=platform.python_version(),
        files=files,
        **provenance("source_bytes", raw),
    )


def strip(text: str) -> bytes:
    """A source without comments and without the names of the packages, as ASCII."""
    lines = list(io.StringIO(text))  # as tokenize counts them
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column] + "\n"
    bare = re.sub("|".join(PACKAGES), "", "".join(lines), flags=re.IGNORECASE)
    return bare.encode("ascii", "replace")


def _window(texts: list[bytes], random: np.random.Generator) -> np.ndarray:
    """From a random place; longer files are as likely as they are long."""
    starts = np.array([len(text) - WINDOW + 1 for text in texts])
    k = int(random.choice(len(texts), p=starts / starts.sum()))
    start = int(random.integers(starts[k]))
    return np.frombuffer(texts[k][start : start + WINDOW], np.uint8)
