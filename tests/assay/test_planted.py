"""The planted-cue experiment: reduced images by hand, a setting for every method."""

import numpy as np
import pytest

from assay.toys import batch_of, net
from reprise.assay import invariance
from reprise.assay.planted import GRAYSCALE, METHODS, SWITCH, reduced


def test_reduced_by_hand():
    x = np.zeros((1, 3, 4, 4), np.uint8)
    x[0, 0, :2, :2] = [[0, 255], [255, 0]]  # mean 1/2
    x[0, 1, 2:, 2:] = [[51, 51], [51, 102]]  # mean 1/4
    x[0, 2] = 255  # no digit is blue
    expected = np.zeros((1, 2, 2, 2))
    expected[0, 0, 0, 0], expected[0, 1, 1, 1] = 0.5, 0.25
    found = reduced(x, grayscale=False)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_grayscale_holds_the_sum_of_the_channels_twice():
    x = np.random.default_rng(0).integers(0, 128, (5, 3, 16, 16), dtype=np.uint8)
    gray = reduced(x, grayscale=True)
    assert gray.shape == (5, 2, 8, 8)
    np.testing.assert_array_equal(gray[:, 0], gray[:, 1])
    np.testing.assert_allclose(gray[:, 0], reduced(x, grayscale=False).sum(1), rtol=1e-6)


def test_grayscale_does_not_see_the_colour():
    """The cue is which of the two channels holds the digit."""
    digit = np.random.default_rng(0).integers(0, 256, (4, 16, 16), dtype=np.uint8)
    red, green = np.zeros((2, 4, 3, 16, 16), np.uint8)
    red[:, 0], green[:, 1] = digit, digit
    np.testing.assert_array_equal(reduced(red, True), reduced(green, True))
    assert not np.array_equal(reduced(red, False), reduced(green, False))
    assert reduced(red, True).max() <= 1


def test_every_method_of_the_invariance_arm_has_a_setting():
    assert set(METHODS) == {*invariance.METHODS, GRAYSCALE}
    assert METHODS[GRAYSCALE] == METHODS["erm"]


@pytest.mark.parametrize("name", METHODS)
def test_settings_are_taken_by_their_objectives(name):
    objective, hyperparameters = METHODS[name]
    assert name in (objective, GRAYSCALE)
    made = invariance.objective(objective, net(), environments=2, steps=301, **hyperparameters)
    assert made(net(), batch_of(environments=2)).isfinite()


def test_penalties_begin_after_150_steps_of_301():
    objective, hyperparameters = METHODS["irm"]
    made = invariance.objective(objective, net(), environments=2, steps=301, **hyperparameters)
    assert made.switches == {150} == {round(SWITCH * 301)}
