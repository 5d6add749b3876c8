"""Validation of a whole parameter file, whichever papers it holds: `common`, `data.NAME` and a block per wing."""

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import reprise
from reprise import params
from reprise.data import registry, sources
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
    checks += [lambda: _listed(file, data)]
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


def _listed(file: Path, data: dict[str, object]) -> None:
    """Every data set of `common` is described, and stands in the list that its kind demands."""
    common, table = params.load_common(file), sources.load_table()
    found = []
    for name in common.datasets:
        given, other = ("fetched", "generated") if name in common.fetched else ("generated", "fetched")
        if name not in data:
            found.append(f"{file}: common.{given} names {name}, which data does not describe")
        elif name in table and (table[name].kind == "generated") != (given == "generated"):
            remedy = f"whose kind in sources.yaml is {table[name].kind}: move it to common.{other}"
            found.append(f"{file}: common.{given} names {name}, {remedy}")
    if found:
        raise params.ParamsError("\n".join(found))
