"""Questions about small pictures: answers by hand, balance, and pictures that show what there is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reprise.data import nlvr_mini
from reprise.data.arrays import open_prepared
from reprise.data.nlvr_mini import BITMAPS, COLOURS, SHAPES, TYPES, WORDS, Options, answer, things_of

RED, GREEN, BLUE = range(3)
SQUARE, CROSS, CORNER = range(3)
THINGS = np.array([[RED, SQUARE], [RED, CROSS], [BLUE, SQUARE]])


def asked(kind, n=200):
    random = np.random.default_rng(0)
    questions = [tuple(nlvr_mini.QUESTIONS[kind](THINGS, random)) for _ in range(n)]
    return {words: answer(THINGS, words) for words in questions}


def test_answers_by_hand():
    exists, count, more, every = (asked(kind) for kind in TYPES)
    assert exists["exists", "red", "cross", "."] and exists["exists", "blue", "square", "."]
    assert not exists["exists", "blue", "cross", "."] and not exists["exists", "green", "square", "."]
    assert count["count", "red", "is", "2"] and count["count", "blue", "is", "1"]
    assert not count["count", "red", "is", "1"]
    assert more["more", "red", "than", "blue"] and more["more", "blue", "than", "green"]
    assert not more["more", "blue", "than", "red"] and not more["more", "green", "than", "blue"]
    assert every["all", "cross", "are", "red"] and not every["all", "square", "are", "red"]
    assert not any("corner" in words for words in every)  # there is none
    assert answer(THINGS, ["all", "corner", "are", "red"]) is None


@pytest.mark.parametrize(
    "words", [["is", "red", "cross", "."], ["exists", "red", "cross"], ["exists", "cross", "red", "."]]
)
def test_what_is_no_question(words):
    with pytest.raises(ValueError, match=r"no question|not in tuple"):
        answer(THINGS, words)


def drawn(things, cells, noise, random):
    """A prepared picture with each thing in its cell, and with any noise."""
    image = np.zeros((3, 16, 16))
    for (colour, shape), cell in zip(things, cells, strict=True):
        row, column = 4 * (cell // 4), 4 * (cell % 4)
        image[colour, row : row + 4, column : column + 4] = BITMAPS[shape]
    return np.rint(np.clip(image + noise * random.standard_normal(image.shape), 0, 1) * 255).astype(np.uint8)


@given(st.data())
def test_pictures_and_things_round_trip(data):
    things = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 2)] * 2), min_size=1, max_size=16)))
    cells = sorted(data.draw(st.permutations(range(16)))[: len(things)])
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    np.testing.assert_array_equal(things_of(drawn(things, cells, nlvr_mini.NOISE, random)), things)


def test_what_is_no_thing():
    image = drawn([(RED, CROSS)], [5], 0, np.random.default_rng(0))
    assert things_of(np.zeros_like(image)).shape == (0, 2)
    image[GREEN, 4, 4] = 255
    with pytest.raises(ValueError, match="no thing"):
        things_of(image)


def seen(image):
    """Colour and shape of the things in a picture."""
    found = []
    for row in range(0, 16, 4):
        for column in range(0, 16, 4):
            cell = image[:, row : row + 4, column : column + 4]
            colour = int(cell.sum((1, 2)).argmax())
            if cell[colour].max() > 0.5:
                found.append((colour, int(abs(BITMAPS - cell[colour]).sum((1, 2)).argmin())))
    return np.array(found)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nlvr_mini")
    nlvr_mini.prepare(folder, folder / "out", Options(n_train=320, n_test=80), seed=0)
    return open_prepared(folder / "out")


def test_pictures_show_what_the_answers_say(data):
    """Decoding and answering agree with plainer versions of themselves here, and with the labels."""
    for x, text, label in zip(data.arrays["x"], data.arrays["text"], data.arrays["labels"][:, 0], strict=True):
        things, words = seen(x / 255), [WORDS[k] for k in text]
        np.testing.assert_array_equal(things_of(x), things)
        assert 2 <= len(things) <= 7
        match words:
            case ["exists", colour, shape, "."]:
                yes = [COLOURS.index(colour), SHAPES.index(shape)] in things.tolist()
            case ["count", colour, "is", number]:
                yes = (things[:, 0] == COLOURS.index(colour)).sum() == int(number)
            case ["more", one, "than", other]:
                yes = (things[:, 0] == COLOURS.index(one)).sum() > (things[:, 0] == COLOURS.index(other)).sum()
            case ["all", shape, "are", colour]:
                yes = (things[things[:, 1] == SHAPES.index(shape), 0] == COLOURS.index(colour)).all()
            case _:
                pytest.fail(f"no question: {words}")
        assert label == yes
        assert answer(things, words) is bool(yes)


def test_balance(data):
    """Types and answers are equally frequent, and the test set is no leftover."""
    kinds, answers = data.arrays["type"], data.arrays["labels"][:, 0]
    assert (np.bincount(2 * kinds + answers) == 50).all()
    test = data.rows("iid/test")
    assert (np.bincount(kinds[test]) >= 10).all()
    assert all(WORDS[text[0]] == TYPES[kind] for text, kind in zip(data.arrays["text"], kinds, strict=True))


def test_options():
    with pytest.raises(ValidationError, match="multiple of 8"):
        Options(n_train=100, n_test=80)
