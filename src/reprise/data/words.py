"""Sentences as rows of word numbers, for sets whose pictures come with text."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import UInt16

PADDING, UNKNOWN = "", "<unknown>"  # numbers 0 and 1


def words_of(sentence: str) -> list[str]:
    """Words, numbers and punctuation marks, in lower case."""
    return re.findall(r"[^\W_]+|[^\w\s]|_", sentence.lower())


def vocabulary(sentences: Iterable[str]) -> list[str]:
    """Padding, unknown, then all words in use, by name; the training sentences' words are the ones to know."""
    return [PADDING, UNKNOWN, *sorted({word for sentence in sentences for word in words_of(sentence)})]


def numbered(sentences: Sequence[str], words: Sequence[str]) -> UInt16[np.ndarray, "n longest"]:
    """Numbers of the words of each sentence, 0 after its end; `words` are a vocabulary of at most 65,536."""
    number = {word: k for k, word in enumerate(words)}
    rows = [[number.get(word, 1) for word in words_of(sentence)] for sentence in sentences]
    text = np.zeros((len(rows), max(map(len, rows))), np.uint16)
    for row, numbers in zip(text, rows, strict=True):
        row[: len(numbers)] = numbers
    return text
