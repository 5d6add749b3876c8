"""Parameters: the only reader of `params.yaml`.

Each block of the file has one pydantic model, next to the code that uses it (`Params` in `reprise.<wing>.params`,
`Options` beside each data set's loader). A stage calls `load_block` before any work: an unknown, missing or
out-of-range key ends it with one message that names the key, the file and the nearest valid name.
"""

import copy
import difflib
import functools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator
from ruamel.yaml import YAML, YAMLError

from reprise.errors import UserError

FILE = Path("params.yaml")

Model = TypeVar("Model", bound=BaseModel)


class ParamsError(UserError):
    """A parameter is unknown, missing, of the wrong kind or out of range."""


class Section(BaseModel):
    """Base of every block: nothing unknown, nothing coerced silently, no default (all values stand in the file)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Common(Section):
    """`common`: what every paper shares."""

    seed: Annotated[NonNegativeInt, Field(description="all randomness derives from it")]
    fetched: Annotated[list[str], Field(description="data sets that are downloaded, put by hand or bundled")]
    generated: Annotated[list[str], Field(description="data sets that this project makes: nothing to fetch")]

    @property
    def datasets(self) -> list[str]:
        """All data sets in force."""
        return [*self.fetched, *self.generated]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.datasets:
            raise ValueError("fetched and generated are both empty: name a data set")
        if len(set(self.datasets)) != len(self.datasets):
            raise ValueError(f"fetched {self.fetched} and generated {self.generated} name a data set twice")
        return self


class Recipe(Section):
    """Optimiser settings of one training (Adam); used by `reprise.training.fit`."""

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: Annotated[float, Field(gt=0.0, le=1.0, description="peak learning rate")]
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)]
    schedule: Literal["one_cycle", "plateau", "constant", "step"]
    stratified: Annotated[bool, Field(description="every batch holds the groups in their overall proportion")]


def read(file: Path | str = FILE) -> dict[str, Any]:
    """The whole file as plain dicts and lists."""
    try:
        content = copy.deepcopy(_parsed(Path(file).read_bytes()))
    except FileNotFoundError:
        raise ParamsError(f"{file} is missing: run from the repository's root") from None
    except YAMLError as error:
        problem, mark = getattr(error, "problem", None) or str(error), getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ParamsError(f"{file} is not valid YAML{where}: {problem.splitlines()[0]}") from None
    if not isinstance(content, dict):
        raise ParamsError(f"{file} must hold a mapping of blocks (common, data, one per paper)")
    return content


@functools.lru_cache(maxsize=4)
def _parsed(raw: bytes) -> Any:
    """YAML 1.2, which only ruamel's slow reader knows (DVC uses it, too)."""
    return YAML(typ="safe", pure=True).load(raw)


def load_block(*path: str, model: type[Model], file: Path | str = FILE) -> Model:
    """The block at `path` ("data", "faces"), validated by `model`; raises ParamsError."""
    node: Any = read(file)
    for depth, key in enumerate(path):
        if not isinstance(node, dict) or key not in node:
            where = ".".join(path[: depth + 1])
            names = list(node) if isinstance(node, dict) else []
            raise ParamsError(f"{file}: {where} is missing{_nearest(key, names)}")
        node = node[key]
    return validate(node, model=model, where=".".join(path), file=file)


def load_common(file: Path | str = FILE) -> Common:
    """The `common` block."""
    return load_block("common", model=Common, file=file)


def require_datasets(paper: str, names: Iterable[str], file: Path | str = FILE) -> None:
    """Raise ParamsError unless `common` names all of `names`, which the block of `paper` uses."""
    common = load_common(file)
    for name in names:
        if name not in common.datasets:
            raise ParamsError(
                f"{file}: {paper} needs the data set {name}, which neither common.fetched {common.fetched} nor "
                f"common.generated {common.generated} names: name it in generated if that is its kind in sources.yaml, "
                "else in fetched"
            )


def dataset_argument(known: Iterable[str]) -> str:
    """The one argument of a stage script: a data set that its paper knows."""
    given, known = sys.argv[1:], list(known)
    if len(given) != 1 or given[0] not in known:
        raise ParamsError(f"expected one data set of {', '.join(known)}; got {' '.join(given) or 'none'}")
    return given[0]


def validate(node: Any, *, model: type[Model], where: str, file: Path | str = FILE) -> Model:
    """Validate one block, turning pydantic's report into lines a user can act on."""
    try:
        return model.model_validate(node)
    except ValidationError as error:
        lines = [_explain(detail, where, model) for detail in error.errors()]
        raise ParamsError("\n".join(f"{file}: {line}" for line in lines)) from None


def _explain(detail: Any, where: str, model: type[BaseModel]) -> str:
    location = [str(part) for part in detail["loc"]]
    key = ".".join([where, *location])
    if detail["type"] == "extra_forbidden":
        return f"{key} is not a parameter{_nearest(location[-1], _names(model, location[:-1]))}"
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] == "value_error":
        return f"{key}: {detail['ctx']['error']}"
    shown = repr(detail["input"])
    message = detail["msg"][0].lower() + detail["msg"][1:]
    hint = ""
    if detail["type"] == "literal_error":
        allowed = [word.strip("'") for word in detail["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        hint = _nearest(str(detail["input"]), allowed)
    return f"{key} = {shown}: {message}{hint}"


def _names(model: type[BaseModel], location: list[str]) -> list[str]:
    """Field names of the sub-model at `location`."""
    current: Any = model
    for part in location:
        if not (isinstance(current, type) and issubclass(current, BaseModel)):
            break
        field = current.model_fields.get(part)
        if field is None:
            continue  # a list index or a dictionary key: the model stays
        current = _model_in(field.annotation)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _model_in(annotation: Any) -> Any:
    """The model inside `Model`, `list[Model]`, `dict[str, Model]` or `Model | None`."""
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _nearest(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; known: {', '.join(sorted(names))}" if names else ""
