"""Validation of a whole parameter file, whichever papers it holds: `common`, `data.NAME` and a block per wing."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import reprise
from reprise import params
from reprise.data import registry
from reprise.errors import UserError

SHARED = ("common", "data")


def papers() -> dict[str, ModuleType]:
    """wing -> its `params` module (`load(file)` reads and validates its block), for every wing that has one."""
    return {
        module.name: importlib.import_module(f"reprise.{module.name}.params")
        for module in pkgutil.iter_modules(reprise.__path__)
        if module.ispkg and importlib.util.find_spec(f"reprise.{module.name}.params")
    }


def problems(file: Path) -> list[str]:
    """Every problem of the file, one message each; empty if it is valid."""
    try:
        content = params.read(file)
    except UserError as error:
        return [str(error)]
    wings = papers()
    checks: list[Callable[[], object]] = [lambda: params.load_common(file)]
    checks += [lambda wing=wing: wing.load(str(file)) for wing in wings.values()]  # type: ignore[misc]
    data = content.get("data")
    if not isinstance(data, dict):
        return [f"{file}: data is missing or no mapping of data sets"]
    checks += [lambda name=name: _data(file, name) for name in data]  # type: ignore[misc]
    checks += [lambda name=name: _named(file, name, wings) for name in content]  # type: ignore[misc]
    checks += [lambda: _described(file, data)]
    found: list[str] = []
    for check in checks:
        try:
            check()
        except UserError as error:
            found += [line for line in str(error).splitlines() if line not in found]
    return found


def _data(file: Path, name: str) -> None:
    if name not in registry.DATASETS:
        known = sorted(registry.DATASETS)
        raise params.ParamsError(f"{file}: data.{name} is not a data set; known: {', '.join(known)}")
    params.load_block("data", name, model=registry.options_model(name), file=file)


def _named(file: Path, name: str, wings: dict[str, ModuleType]) -> None:
    if name not in SHARED and name not in wings:
        raise params.ParamsError(f"{file}: {name} is no paper; known: {', '.join(sorted(wings))}")


def _described(file: Path, data: dict[str, object]) -> None:
    for name in params.load_common(file).datasets:
        if name not in data:
            raise params.ParamsError(f"{file}: common.datasets names {name}, which data does not describe")
