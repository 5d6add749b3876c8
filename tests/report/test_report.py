"""The pages of a small made-up paper: whole, reachable, closed in themselves, the same each time."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from reprise.claims import VERDICTS, Claim
from reprise.errors import UserError
from reprise.report import sources
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
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings/demo-train@faces.json").write_text(json.dumps(note))
    return folder


def make(reports: Path) -> dict[str, str]:
    root = reports.parent
    wings = [Wing("demo", PAGE, CLAIMS)]
    written = build(wings, reports=reports, params=root / "params.yaml", timings=root / "timings")
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
    assert set(pages) == {"index.html", "demo.html"}
    for text in pages.values():
        page = Reader(text)
        assert len(page.all("h1")) == 1
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.ids) == len(set(page.ids))
        assert all(image.get("alt") for image in page.all("img"))
        assert not page.all("script")
        assert page.all("title")
        for box in page.all("div"):
            assert box.get("tabindex") == "0", "a box that scrolls must be reachable by keyboard"
            assert box.get("aria-label")


def test_every_link_and_image_resolves(reports: Path) -> None:
    pages = {name: Reader(text) for name, text in make(reports).items()}
    for page_name, page in pages.items():
        for attributes in page.all("a") + page.all("img"):
            target = str(attributes.get("href") or attributes.get("src"))
            if target.startswith("https://"):
                assert "href" in attributes
                continue
            file, _, anchor = target.partition("#")
            assert not file or (reports / file).is_file(), target
            if anchor:
                assert anchor in pages[file or page_name].ids, target


def test_nothing_is_loaded_from_elsewhere(reports: Path) -> None:
    for text in make(reports).values():
        page = Reader(text)
        loaded = [attributes.get("src") for _, attributes in page.tags if "src" in attributes]
        loaded += [attributes.get("href") for attributes in page.all("link")]
        assert not [address for address in loaded if address and ("//" in address or address.startswith("/"))]
        assert "url(" not in text
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
    written = build([], reports=reports, params=reports.parent / "params.yaml", timings=reports / "none")
    assert "Not known" in written[0].read_text()


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
