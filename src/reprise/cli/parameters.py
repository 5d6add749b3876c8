"""Parameter files as flat tables of dotted keys."""

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML


def flat(text: str) -> dict[str, Any]:
    """{"fairness.tasks.faces.lr": 0.001, ...} of a parameter file's text; lists and empty blocks are values."""
    return dict(_leaves(YAML(typ="safe", pure=True).load(text) or {}, ""))


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node
