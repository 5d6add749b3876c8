"""Seeds: equal keys give equal seeds on every machine, different keys give unrelated ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reprise.seeding import derive

words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
keys = st.lists(words | st.integers(0, 9), min_size=1, max_size=4).map(tuple)


def test_known_values():
    # The first eight bytes of sha256("0\\x1ffaces\\x1f0\\x1ftrain") and sha256("7"), less the last bit.
    assert derive(0, "faces", 0, "train") == derive(0, "faces", "0", "train") == 7536802412200720294
    assert derive(7) == int("7902699be42c8a8e", 16) >> 1


@given(st.integers(0, 2**31), keys)
def test_is_a_63_bit_number_that_numpy_takes(seed, key):
    number = derive(seed, *key)
    assert 0 <= number < 2**63
    np.random.default_rng(number)


@given(keys, keys)
def test_other_key_other_seed(one, two):
    texts = [tuple(map(str, key)) for key in (one, two)]
    assert (derive(0, *one) == derive(0, *two)) == (texts[0] == texts[1])


def test_key_parts_are_not_glued_together():
    assert len({derive(1, "ab", "c"), derive(1, "a", "bc"), derive(1, "abc"), derive(11, "abc")}) == 4


def test_streams_of_neighbouring_keys_are_uncorrelated():
    draws = np.array([np.random.default_rng(derive(0, "draw", k)).standard_normal(4000) for k in range(8)])
    correlation = np.corrcoef(draws) - np.eye(8)
    assert np.abs(correlation).max() < 4.5 / np.sqrt(4000)
