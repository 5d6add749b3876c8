"""Sentences as numbers."""

import numpy as np

from reprise.data.words import UNKNOWN, numbered, vocabulary, words_of


def test_words_of():
    assert words_of("There's atleast 1 Blue box, isn't it?") == [
        *("there", "'", "s", "atleast", "1", "blue", "box", ",", "isn", "'", "t", "it", "?")
    ]
    assert words_of("  a_b\tÉtude ") == ["a", "_", "b", "étude"]
    assert words_of("") == []


def test_numbers_and_words():
    words = vocabulary(["a red box", "A box ."])
    assert words == ["", UNKNOWN, ".", "a", "box", "red"]
    text = numbered(["red box", "a green box .", ""], words)
    assert (text.dtype, text.tolist()) == (np.uint16, [[5, 4, 0, 0], [3, 1, 4, 2], [0, 0, 0, 0]])
