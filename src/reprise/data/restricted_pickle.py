"""Reading pickles that other people wrote, without running their code.

A pickle may name any function and have it called. This reader knows plain containers, numbers, text, bytes and numpy
arrays, which is all that the releases of SaVos hold, under the names of numpy 1 and 2; any other name is refused.
"""

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray, numeric  # private, but these are the names that pickles of arrays hold

from reprise.data.arrays import DataError


def _latin1(text: str, encoding: str) -> bytes:
    """How protocols 0 to 2 spell bytes: the one codec that they use."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"the codec {encoding!r} is not allowed")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    **{
        ("builtins", kind.__name__): kind
        for kind in (bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset)
    },
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin1,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy._core.multiarray", "_reconstruct"): multiarray._reconstruct,
    ("numpy._core.multiarray", "scalar"): multiarray.scalar,
    ("numpy._core.numeric", "_frombuffer"): numeric._frombuffer,  # type: ignore[attr-defined]
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        modern = module.replace("__builtin__", "builtins").replace("numpy.core.", "numpy._core.")
        try:
            return ALLOWED[modern, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed") from None


def load(path: Path) -> Any:
    """The content of a pickle of plain data.

    Raises DataError if the file is missing, damaged, or names anything but the types above.
    """
    try:
        with path.open("rb") as stream:
            return _read(_Reader(stream), path)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: unpack the archive again") from None


def loads(content: bytes, path: Path, encoding: str = "ASCII") -> Any:
    """The same of a pickle in memory; `path` says in messages where it is from.

    Pickles of Python 2 do not tell text from bytes; with the encoding latin1 both come out as text, and arrays whole.
    """
    return _read(_Reader(io.BytesIO(content), encoding=encoding), path)


def _read(reader: _Reader, path: Path) -> Any:
    try:
        return reader.load()
    except Exception as failure:  # a damaged pickle raises whatever its opcodes ran into
        raise DataError(
            f"{path} is damaged, or not the plain data that the release holds ({failure}): get the official file"
        ) from failure
