"""Figures of the amodal wing: drawn without warnings for every shape of run, with their labels, in the same bytes."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from amodal import tables, toy_examples
from reprise import figures as shared
from reprise.amodal import animation, examples, paint
from reprise.amodal.examples import Example
from reprise.amodal.figures import ANIMATION, FIGURES, PICTURES, TABLES, exhibits
from reprise.amodal.figures_labels import LABELS
from reprise.amodal.page import PAGE

SMALL = {"visible": (0,), "convex": (0,), "savos": (0,)}
RUNS = {
    "everything": tables.table(tables.rows()),
    "small": tables.table(tables.rows(datasets=["chewgum"], runs=SMALL, steps=())),
}


def texts(figure: Figure) -> str:
    found = [text.get_text() for ax in figure.axes for text in (*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label)]
    found += [ax.get_title(loc="left") for ax in figure.axes]
    found += [label.get_text() for ax in figure.axes for label in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    found += [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join(found)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    folder = tmp_path_factory.mktemp("toy")
    return [*toy_examples.make(folder, "squares"), *toy_examples.make(folder, "others", n=3)]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_or_has_no_data(run: str, name: str):
    make, draw = FIGURES[name]
    data = make(RUNS[run])
    assert data.empty == (name in ("adaptation", "ablations") and run == "small")
    if len(data):
        figure = draw(data)
        figure.draw_without_rendering()
        assert name == "diagram" or any(ax.has_data() for ax in figure.axes)


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "occlusion_rate": ["chewgum_radial", "occlusion rate", "IoU, occluded part", "SaVos", "PCNet-M", "convex hull"],
        "adaptation": ["fishbowl_lite", "steps of adaptation", "per frame, not adapted", "SaVos"],
        "hidden_pixels": ["share of pixels predicted", "another frame shows", "no frame shows", "hide nothing"],
        "ablations": ["no consistency", "occluder as input", "IoU minus that of SaVos", "−0.032"],
        "reliability": ["predicted probability", "as often as predicted", "share of pixels"],
        "diagram": ["LSTM", "warp", "visible mask V", "consistent", "network, trained"],
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_labels_are_there(name: str, expected: list[str]):
    make, draw = FIGURES[name]
    words = texts(draw(make(RUNS["everything"])))
    assert [word for word in expected if word not in words] == []


@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "strips": [
            "squares: frames of video",
            "visible mask V",
            "others O",
            "SaVos: P",
            "PCNet-M: difference",
        ],
        "concept": ["others", "other frames show 100% of what is hidden", "hidden part", "never seen", "wrongly added"],
        "motion": ["weight of the forward pass", "true displacement", "pixels (right, down)", "motion into the frame"],
        "failures": ["IoU 0.00\n62% hidden", "true outline", "predicted outline (dashed)"],
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_pictures_are_labelled(name: str, expected: list[str], shown: list[Example]):
    data, draw = PICTURES[name]
    assert set(data(shown)["dataset"]) == {"squares", "others"}
    figure = draw(shown)
    figure.draw_without_rendering()
    words = texts(figure)
    assert [word for word in expected if word not in words] == []


def test_strips_show_savos_alone_where_there_is_no_baseline(tmp_path: Path):
    folder = tmp_path / "squares"
    toy_examples.prepare(folder, 2)
    alone = {"savos": toy_examples.predict(tmp_path / "predictions", 2)["savos"]}
    words = texts(PICTURES["strips"][1](examples.collect(folder, alone, toy_examples.SETTINGS)))
    assert "SaVos: P" in words and "PCNet-M" not in words


def test_figures_are_saved_in_the_same_bytes_with_their_data(shown: list[Example], tmp_path: Path):
    drawn = exhibits(shown)
    assert list(drawn) == [*FIGURES, *PICTURES]
    for place in ("one", "two"):
        for name in ("strips", "failures", "motion", "ablations", "diagram"):
            tidy, draw = drawn[name]
            data = tidy(RUNS["everything"])
            shared.save(draw(data), data, name, "amodal", reports=tmp_path / place)
    written = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(written) == 10
    for path in written:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_without_examples_there_is_no_picture(tmp_path: Path):
    for name in PICTURES:
        assert exhibits([])[name][0](RUNS["small"]).empty
    animation.save([], ANIMATION, "amodal", reports=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_animation_is_small_and_the_same_again(shown: list[Example], tmp_path: Path):
    for place in ("one", "two"):
        animation.save(shown, ANIMATION, "amodal", reports=tmp_path / place)
    first, second = (tmp_path / place / "figures/amodal/animation.gif" for place in ("one", "two"))
    assert first.read_bytes() == second.read_bytes()
    assert [path.name for path in first.parent.iterdir()] == ["animation.gif"]
    assert first.stat().st_size < 400_000
    with Image.open(first) as image:
        assert image.n_frames == toy_examples.T
        pictures = []
        for t in (0, 6):
            image.seek(t)
            pictures.append(np.asarray(image.convert("RGB")))
    assert (pictures[0] != pictures[1]).any()
    blue = np.abs(pictures[1].astype(int) - paint.rgb(paint.TRUE)).sum(axis=-1) < 40
    assert blue.sum() > 50  # the true outline is there in its colour


def test_every_exhibit_of_the_page_is_made():
    assert {one.name for one in PAGE.exhibits} == {*FIGURES, *PICTURES, *TABLES, ANIMATION}


def test_methods_have_names():
    assert set(tables.RUNS) <= set(LABELS)


def test_differences_tell_right_from_missed_and_added():
    visible, hidden, truth = (np.array([[k in places for k in range(5)]]) for places in ({0}, {1, 2}, {2, 3}))
    image = paint.difference(visible, hidden, truth)[0]
    expected = [paint.VISIBLE, paint.PREDICTED, paint.AGREED, paint.TRUE, paint.EMPTY]
    assert [tuple(pixel) for pixel in image] == [tuple(paint.rgb(color)) for color in expected]


def test_outlines_stay_inside_their_mask():
    mask = np.zeros((9, 9), bool)
    mask[2:7, 2:7] = True
    blank = np.zeros((9, 9, 3), np.uint8)
    painted = paint.outlined(blank, mask, "#ffffff", width=1).any(axis=-1)
    assert painted.sum() == 16 and not painted[3:6, 3:6].any() and not painted[~mask].any()
    dashed = paint.outlined(blank, mask, "#ffffff", width=1, dash=2).any(axis=-1)
    assert 0 < dashed.sum() < 16 and not (dashed & ~painted).any()


def test_sheets_keep_pictures_apart():
    red, blue = (np.broadcast_to(np.array(color, np.uint8), (2, 3, 3)) for color in ([255, 0, 0], [0, 0, 255]))
    page = paint.sheet([[red, blue], [blue]])
    assert page.shape == (2 * 2 + paint.GAP, 2 * 3 + paint.GAP, 3)
    assert (page[:2, :3] == red).all() and (page[-2:, :3] == blue).all()
    assert (page[-2:, 3:] == 255).all()
