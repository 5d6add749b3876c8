"""The pages of a small made-up paper: whole, reachable, closed in themselves, the same each time."""

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from browser import broken_links
from reprise.claims import VERDICTS, Claim
from reprise.errors import UserError
from reprise.report import graph, sources
from reprise.report.build import SIGNS, Wing, build, discover, duration
from reprise.report.content import Exhibit, Page


def claim(name: str, *, headline: bool = False, paper: str | None = None) -> Claim:
    return Claim(
        f"demo.{name}", f"Statement <{name}>", "Sec. 1", paper, "measured so", 0.5, None, "mean", lambda _: {}, headline
    )


CLAIMS = [claim("first", headline=True, paper="0.7"), claim("second"), claim("third"), claim("fourth")]
PAGE = Page(
    title="A demonstration",
    authors="Somebody",
    venue="Nowhere 2022",
    links={"the paper": "https://example.org/paper"},
    summary="In short.",
    scope=("What is measured.",),
    methodology=("How.",),
    exhibits=(
        Exhibit("drawn", "Drawn", "A caption.", alt="A line that rises.", paper="0.7", claims=("first",)),
        Exhibit("missing", "Missing", "A caption.", alt="Nothing."),
        Exhibit("moving", "Moving", "How it moves.", alt="A square that walks.", suffix=".gif"),
        Exhibit("still", "Still", "A caption.", alt="A photograph.", suffix=".png"),
        Exhibit(
            "listed", "Listed", "A caption.", columns={"Name": "{name}", "Value": "{x:.2f}| ± {sd:.2f}"}, rows=("set",)
        ),
    ),
    deviations=(("This", "because of that."),),
    limits=("Much.",),
    note="A note.",
)
PARAMS = """\
common:
  generated: [faces]  # made
data:
  faces:  # drawn
    n_train: 10  # how many
  adult: {}
demo:
  datasets: [faces]
  tasks:
    faces:
      recipe: {epochs: 8, stratified: false}  # the paper: 20
    adult:
      recipe: null
"""


PIPELINE = """\
stages:
  generate:
    desc: Make data
    matrix:
      name: ${common.generated}
    cmd: make ${item.name}
    outs:
      - data/prepared/${item.name}
  demo-train:
    desc: Train
    matrix:
      dataset: ${demo.datasets}
    cmd: train ${item.dataset}
    deps:
      - code.py
      - data/prepared/${item.dataset}
    outs:
      - data/models/${item.dataset}:
          push: false
  demo-report:
    cmd: draw
    deps:
      - data/models
      - data/prepared
    plots:
      - reports/plots/demo:
          cache: false
  report:
    cmd: write
    deps:
      - reports/plots/demo
      - data/models/faces
    outs:
      - reports/index.html
"""
SWEEP = """\
about: What does the rate do?
targets: [demo-report]
grid: {demo.lr: [0.1, 0.2], demo.kind: [[a]]}
seeds: [0, 1]
metrics: [demo.a.loss, demo.b.loss]
x: demo.lr
"""


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Everything the report reads, as the stages before it leave it."""
    folder = tmp_path / "reports"
    entries = {}
    for entry, verdict in zip(CLAIMS, VERDICTS, strict=True):
        measured = {"value": 0.6, "ci_low": 0.55, "ci_high": 0.65, "worst": 0.5, "seeds": 3}
        entries[entry.id] = {"verdict": verdict, **({} if "measured" in verdict else measured)}
    (folder / "metrics").mkdir(parents=True)
    (folder / "metrics/demo.json").write_text('{"a": {"t": {"merge_ddp": 0.1}, "u": {"loss": 2}}}')
    (folder / "figures/demo").mkdir(parents=True)
    (folder / "plots/demo").mkdir(parents=True)
    (folder / "claims.json").write_text(json.dumps(entries))
    (folder / "claims.md").write_text("# Ledger\n\n- `demo.second`: This was found instead.\n")
    (folder / "figures/demo/drawn.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    for name in ("missing.png", "moving.gif", "moving.svg", "still.png"):  # of the suffix that is asked for, or none
        (folder / "figures/demo" / name).write_bytes(b"GIF89a")
    (folder / "plots/demo/drawn.csv").write_text("x\n1\n")
    (folder / "plots/demo/listed.csv").write_text("set,name,x,sd\na,one,0.5,\nb,two,0.25,0.1\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    note = {"stage": "demo-train@faces", "seconds": 75.2, "peak_mib": 512, "cores": 2, "machine": "m", "python": "3.11"}
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps/rate.yaml").write_text(SWEEP)
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings/demo-train@faces.json").write_text(json.dumps(note))
    return folder


def make(reports: Path, wings: Sequence[Wing] = (Wing("demo", PAGE, CLAIMS),)) -> dict[str, str]:
    root = reports.parent
    written = build(
        wings,
        reports=reports,
        params=root / "params.yaml",
        pipeline=root / "dvc.yaml",
        sweeps=root / "sweeps",
        timings=root / "timings",
    )
    return {path.name: path.read_text(encoding="utf-8") for path in written}


class Reader(HTMLParser):
    """Collects what the checks below ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]

    @property
    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


def test_pages_are_well_formed(reports: Path) -> None:
    pages = make(reports)
    assert set(pages) == {"index.html", "demo.html", "graph.html", "sweeps.html"}
    for text in pages.values():
        page = Reader(text)
        assert len(page.all("h1")) == 1
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.ids) == len(set(page.ids))
        assert all(image.get("alt") for image in page.all("img"))
        assert not page.all("script")
        assert page.all("title")
        for box in (box for box in page.all("div") if box.get("class") == "scroll"):
            assert box.get("tabindex") == "0", "a box that scrolls must be reachable by keyboard"
            assert box.get("aria-label")


def test_every_link_and_image_resolves(reports: Path) -> None:
    make(reports)
    assert broken_links(reports) == []
    (reports / "figures/demo/drawn.svg").unlink()
    assert {line.split(": ")[1] for line in broken_links(reports)} == {"figures/demo/drawn.svg"}


def test_nothing_is_loaded_from_elsewhere(reports: Path) -> None:
    for text in make(reports).values():
        page = Reader(text)
        loaded = [attributes.get("src") for _, attributes in page.tags if "src" in attributes]
        loaded += [attributes.get("href") for attributes in page.all("link")]
        assert not [address for address in loaded if address and ("//" in address or address.startswith("/"))]
        assert not re.search(r"url\((?!#)", text)
        assert "@import" not in text


def test_ledger_shows_every_claim_with_verdict_in_words(reports: Path) -> None:
    text = make(reports)["index.html"]
    for entry, verdict in zip(CLAIMS, VERDICTS, strict=True):
        assert f'id="{entry.id}"' in text
        assert f'<span aria-hidden="true">{SIGNS[verdict]}</span> {verdict}</span>' in text
    assert "Statement &lt;first&gt;" in text
    assert "0.600 [0.550, 0.650]" in text
    assert "not available" in text
    assert "mean &gt;= 0.5" in text
    assert "This was found instead." in text


def test_paper_page_shows_exhibits_and_says_what_is_missing(reports: Path) -> None:
    text = make(reports)["demo.html"]
    assert 'src="figures/demo/drawn.svg"' in text
    assert text.count("Not measured at this scale.") == 1
    assert '<th scope="row">one</th><td>0.50</td>' in text  # one seed has no spread
    assert "<td>0.25 ± 0.10</td>" in text
    assert '<th scope="row">merge ddp</th><td>0.100</td><td>–</td>' in text
    assert "1 min 15 s" in text
    assert "512 MiB" in text


def test_an_animation_plays_only_for_a_reader_who_asks(reports: Path) -> None:
    text = make(reports)["demo.html"]
    section = text.split('<section aria-labelledby="moving">')[1].split("</section>")[0]
    page = Reader(section)
    assert [image["src"] for image in page.all("img")] == ["figures/demo/moving.gif"]
    assert page.all("img")[0]["loading"] == "lazy"
    tags = [tag for tag, _ in page.tags]
    assert tags.index("details") < tags.index("img") < tags.index("figcaption")
    assert "open" not in page.all("details")[0]
    assert section.index("Play the animation") < section.index("<img") < section.index("</details>")
    assert '<a href="figures/demo/moving.gif">figure alone</a>' in section  # though it has no data
    assert text.count("<details>") == 2  # the other one holds the parameters


def test_a_figure_has_the_suffix_it_is_said_to_have(reports: Path) -> None:
    text = make(reports)["demo.html"]
    assert [image["src"] for image in Reader(text).all("img")] == [
        "figures/demo/drawn.svg",
        "figures/demo/moving.gif",
        "figures/demo/still.png",
    ]
    still = text.split('<section aria-labelledby="still">')[1].split("</section>")[0]
    assert "<details>" not in still and "loading" not in still


@pytest.mark.parametrize(("suffix", "moves"), [(".svg", False), (".png", False), (".gif", True), (".apng", True)])
def test_what_moves(suffix: str, moves: bool) -> None:
    assert Exhibit("x", "X", "", suffix=suffix).moves is moves  # type: ignore[arg-type]


def test_pages_are_deterministic(reports: Path) -> None:
    assert make(reports) == make(reports)
    assert not list(reports.glob("*.tmp"))


def test_missing_timings_are_said(reports: Path) -> None:
    for note in (reports.parent / "timings").iterdir():
        note.unlink()
    assert "Not known" in make(reports)["graph.html"]


def test_without_papers_and_sweeps_the_pages_say_so(reports: Path) -> None:
    (reports.parent / "sweeps/rate.yaml").unlink()
    pages = make(reports, wings=[])
    assert "No paper has a page yet." in pages["index.html"]
    assert "There is no sweep" in pages["sweeps.html"]


def test_every_count_of_the_ledger_is_a_filter_that_the_style_sheet_knows(reports: Path) -> None:
    text = make(reports)["index.html"]
    cells = re.findall(r'<td><a href="#([\w-]+)" aria-label="(\d+): ([\w, ]+)">(\d+)</a></td>', text)
    by_label = {label: (int(number), anchor) for anchor, _, label, number in cells}
    assert by_label["demo"] == (4, "only-demo") and by_label["demo, inconclusive"][0] == 1
    assert by_label["all"] == (4, "ledger")
    assert len(cells) == 10  # four verdicts and all of them, for the paper and for all papers
    anchors = {
        str(tag.get("id")): str(tag["class"]) for tag in Reader(text).all("p") if "filter" in str(tag.get("class"))
    }
    assert anchors["only-demo-not-reproduced"] == "filter only-demo only-not-reproduced"
    assert set(anchors) == {anchor for _, anchor in by_label.values()} - {"ledger"}
    for name in {part for classes in anchors.values() for part in classes.split()} - {"filter"}:
        assert f".{name}:target ~" in text


def test_the_graph_counts_stages_and_leaves_out_what_follows(reports: Path) -> None:
    root = reports.parent
    notes = sources.timings(root / "timings")
    found = {kind.name: kind for kind in graph.kinds(root / "dvc.yaml", root / "params.yaml", ["demo"], notes)}
    assert list(found) == ["generate", "demo-train", "demo-report", "report"]
    assert [kind.after for kind in found.values()] == [[], ["generate"], ["demo-train"], ["demo-report"]]
    assert (found["demo-train"].stages, found["demo-train"].seconds) == (1, 75.2)
    assert found["demo-train"].column == "demo" and found["report"].column == ""
    drawing = graph.drawn(list(found.values()), ["demo"])
    heights = {box.kind.name: box.y for box in drawing.boxes}
    assert heights["generate"] < heights["demo-train"] < heights["demo-report"] < heights["report"]
    assert len(drawing.arrows) == 3
    text = make(reports)["graph.html"]
    assert "4 stages of 4 kinds" in text and "1 stage, 1 min 15 s" in text


def test_boxes_of_the_real_graph_do_not_overlap() -> None:
    root = Path(__file__).parents[2]
    papers = [wing.name for wing in discover()]
    kinds = graph.kinds(root / "dvc.yaml", root / "params.yaml", papers, [])
    drawing = graph.drawn(kinds, papers)
    wide, high = drawing.box
    for number, box in enumerate(drawing.boxes):
        assert 0 <= box.x <= drawing.width - wide and box.y + high < drawing.height
        for other in drawing.boxes[:number]:
            assert abs(box.x - other.x) >= wide or abs(box.y - other.y) >= high
        for arrow in drawing.arrows:
            for x, y in points_along(arrow):
                assert not (box.x < x < box.x + wide and box.y < y < box.y + high), (box.kind.name, arrow)


def points_along(path: str) -> list[tuple[float, float]]:
    """Points of an SVG path of lines and cubic curves."""
    found: list[tuple[float, float]] = []
    for kind, numbers in re.findall(r"([MLC])([^MLC]+)", path):
        at = [tuple(map(float, pair)) for pair in re.findall(r"([-\d.e]+) ([-\d.e]+)", numbers)]
        if kind == "M":
            found += at  # type: ignore[arg-type]
            continue
        knots = np.array([found[-1], *at])
        weights = [[1 - t, t] if kind == "L" else [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
                   for t in np.linspace(0, 1, 41)]  # fmt: skip
        found += [(float(x), float(y)) for x, y in np.array(weights) @ knots]
    return found


@pytest.mark.parametrize("text", ["", "about: [", "about: x\ntargets: [a]\nseeds: null\nmetrics: [a.b]\nx: a\n"])
def test_a_sweep_that_is_none_is_named(reports: Path, text: str) -> None:
    (reports.parent / "sweeps/rate.yaml").write_text(text)
    with pytest.raises(UserError, match="rate"):
        make(reports)


@pytest.mark.parametrize("rows", ["", "demo.lr,metric,value\n"])
def test_a_sweep_without_a_row_has_not_run(reports: Path, rows: str) -> None:
    (reports / "plots/sweeps").mkdir()
    (reports / "plots/sweeps/rate.csv").write_text(rows)
    assert "Not run yet." in make(reports)["sweeps.html"]


def test_a_sweep_over_seeds_has_them_in_rows(reports: Path) -> None:
    (reports.parent / "sweeps/rate.yaml").write_text(
        "about: Seeds?\ntargets: [a]\nseeds: [0, 1]\nmetrics: [demo.a.loss]\nx: common.seed\n"
    )
    (reports / "plots/sweeps").mkdir()
    (reports / "plots/sweeps/rate.csv").write_text("common.seed,commit,metric,value\n0,12ab34cd,demo.a.loss,0.5\n")
    text = make(reports)["sweeps.html"]
    assert '<th scope="row">0</th><td>0.500</td>' in text and "1 of 2 cells are done" in text


def test_a_sweep_shows_means_over_seeds_and_says_when_it_has_not_run(reports: Path) -> None:
    assert "Not run yet." in make(reports)["sweeps.html"]
    (reports / "plots/sweeps").mkdir()
    (reports / "figures/sweeps").mkdir()
    (reports / "figures/sweeps/rate.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    rows = ["demo.lr,demo.kind,common.seed,commit,metric,value"]
    rows += [f'{lr},"[""a""]",{seed},12ab34cd,demo.a.loss,{lr + seed}' for lr in (0.1, 0.2) for seed in (0, 1)]
    rows += ['0.2,"[""a""]",0,12ab34cd,demo.b.loss,7']
    (reports / "plots/sweeps/rate.csv").write_text("\n".join(rows) + "\n")
    text = make(reports)["sweeps.html"]
    assert '<th scope="row">0.1</th><td>0.600</td><td>–</td>' in text
    assert '<th scope="row">0.2</th><td>0.700</td><td>7.000</td>' in text
    assert '<th scope="col">demo.lr</th><th scope="col">demo.a.loss</th>' in text  # a key of one value is no column
    assert "4 of 4 cells are done, with the code of commit 12ab34cd." in text and "Means over 2 seeds" in text
    assert 'src="figures/sweeps/rate.svg"' in text and "Not run yet." not in text


def test_stale_ledger_stops_the_stage(reports: Path) -> None:
    (reports / "claims.json").write_text("{}")
    with pytest.raises(UserError, match=r"demo\.first.*dvc repro claims"):
        make(reports)


def test_parameters_keep_comments_and_leave_out_other_data_sets(reports: Path) -> None:
    found = {entry.key: entry for entry in sources.parameters(reports.parent / "params.yaml", "demo")}
    assert "demo.tasks.adult.recipe" not in found
    recipe = found["demo.tasks.faces.recipe"]
    assert (recipe.value, recipe.comment) == ("epochs: 8, stratified: false", "the paper: 20")
    assert (found["data.faces.n_train"].value, found["data.faces.n_train"].comment) == ("10", "how many")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (48.2, "48 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_every_wing_names_only_claims_it_has() -> None:
    for wing in discover():
        ids = {claim.id for claim in wing.claims}
        named = {f"{wing.name}.{name}" for exhibit in wing.page.exhibits for name in exhibit.claims}
        assert named <= ids
        assert all(exhibit.alt or exhibit.columns for exhibit in wing.page.exhibits)
