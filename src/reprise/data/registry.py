"""The data sets by name. Importing this module imports none of them."""

import difflib
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel

from reprise.data.arrays import DataError

DATASETS = {
    "adult": "reprise.data.tables:adult",
    "camelyon17": "reprise.data.wilds:camelyon17",
    "celeba": "reprise.data.celeba:prepare",
    "characters": "reprise.data.characters:prepare",
    "chewgum": "reprise.data.chewgum:chewgum",
    "chewgum_radial": "reprise.data.chewgum:chewgum_radial",
    "cifar10": "reprise.data.cifar:cifar10",
    "cifar100": "reprise.data.cifar:cifar100",
    "colored": "reprise.data.colored:prepare",
    "compas": "reprise.data.tables:compas",
    "cub": "reprise.data.cub:prepare",
    "davis": "reprise.data.davis:prepare",
    "digits": "reprise.data.digits:digits",
    "domain_net": "reprise.data.domains:domain_net",
    "faces": "reprise.data.faces:prepare",
    "fairface": "reprise.data.fairface:prepare",
    "fishbowl": "reprise.data.fishbowl:prepare",
    "fishbowl_lite": "reprise.data.fishbowl_lite:prepare",
    "fmow": "reprise.data.wilds:fmow",
    "handwriting": "reprise.data.handwriting:prepare",
    "imagenet": "reprise.data.domains:imagenet",
    "imdb": "reprise.data.imdb:prepare",
    "iwildcam": "reprise.data.wilds:iwildcam",
    "kins_car": "reprise.data.kins_car:prepare",
    "letters": "reprise.data.digits:letters",
    "listops": "reprise.data.listops:prepare",
    "loanapp": "reprise.data.tables:loanapp",
    "lra_listops": "reprise.data.listops_files:lra",
    "modelnet40": "reprise.data.modelnet:prepare",
    "movi": "reprise.data.movi:prepare",
    "nlvr": "reprise.data.nlvr:prepare",
    "nlvr2": "reprise.data.nlvr2:prepare",
    "nlvr_mini": "reprise.data.nlvr_mini:prepare",
    "numerals": "reprise.data.numerals:prepare",
    "nyu_listops": "reprise.data.listops_files:nyu",
    "office_home": "reprise.data.domains:office_home",
    "omniglot": "reprise.data.omniglot:prepare",
    "pacs": "reprise.data.domains:pacs",
    "points": "reprise.data.points:prepare",
    "rxrx1": "reprise.data.wilds:rxrx1",
    "source_bytes": "reprise.data.source_bytes:prepare",
    "sviro": "reprise.data.domains:sviro",
    "terra_incognita": "reprise.data.domains:terra_incognita",
    "tiny_imagenet": "reprise.data.tiny_imagenet:prepare",
    "vlcs": "reprise.data.domains:vlcs",
}


class Prepare(Protocol):
    """Makes `data/prepared/NAME`, from `data/raw/NAME` unless it is generated; `options` are the set's `Options`."""

    def __call__(self, raw: Path, out: Path, options: BaseModel, *, seed: int) -> None: ...


def prepare_function(name: str) -> Prepare:
    """The function that prepares data set `name`. Raises DataError for an unknown name."""
    module, function = _entry(name)
    loaded: Callable[..., None] = getattr(import_module(module), function)
    return loaded


def options_model(name: str) -> type[BaseModel]:
    """The model of the block `data.NAME` of params.yaml: `Options`, beside the function that uses it."""
    module, _ = _entry(name)
    model: type[BaseModel] = import_module(module).Options
    return model


def _entry(name: str) -> tuple[str, str]:
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(DATASETS)}"
        raise DataError(f"no data set {name!r}; {hint}")
    module, function = DATASETS[name].split(":")
    return module, function
