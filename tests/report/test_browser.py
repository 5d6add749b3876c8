"""The real pages in a real browser: nothing sticks out at any width, nothing complains, axe-core finds nothing."""

import importlib.resources
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browser import browse, needs_browser
from reprise.claims import NOT_MEASURED, REPRODUCED
from reprise.report.build import build, discover

ROOT = Path(__file__).parents[2]
FRAMES = """<!doctype html><title>wait</title><body>{frames}<script>
onload = () => {{ document.title = [...document.querySelectorAll("iframe")].map(frame => {{
  const page = frame.contentDocument.documentElement; return page.scrollWidth - page.clientWidth; }}).join(" "); }};
</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The project's own pages, every claim but one unmeasured, every figure a wide blank."""
    reports = tmp_path_factory.mktemp("site") / "reports"
    wings = discover()
    for wing in wings:
        figures = reports / "figures" / wing.name
        figures.mkdir(parents=True)
        for exhibit in wing.page.exhibits:
            path = figures / f"{exhibit.name}{exhibit.suffix}"
            if exhibit.suffix == ".svg":
                path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="1100" height="300"/>')
            else:
                Image.new("RGB", (1100, 300)).save(path, "GIF" if exhibit.suffix == ".gif" else "PNG")
    entries: dict[str, Any] = {claim.id: {"verdict": NOT_MEASURED} for wing in wings for claim in wing.claims}
    last = next(wing for wing in wings if wing.name == "fairness").claims
    last = [*filter(lambda claim: claim.headline, last), *filter(lambda claim: not claim.headline, last)]
    entries[last[-1].id] = {
        "verdict": REPRODUCED,
        "value": 0.6,
        "ci_low": 0.5,
        "ci_high": 0.7,
        "worst": 0.5,
        "seeds": 3,
    }
    (reports / "claims.json").write_text(json.dumps(entries))
    note = {"stage": "claims", "seconds": 1.5, "peak_mib": 512, "cores": 2, "machine": "m", "python": "3.11"}
    (reports / "timings").mkdir()
    (reports / "timings/claims.json").write_text(json.dumps(note))
    return build(
        wings,
        reports=reports,
        params=ROOT / "params.yaml",
        pipeline=ROOT / "dvc.yaml",
        sweeps=ROOT / "sweeps",
        timings=reports / "timings",
    )


def with_script(page: Path, script: str) -> Path:
    """A copy of the page, beside it, that runs a script and leaves what it returns in an element of its own."""
    copy = page.with_name(f"scripted-{page.name}")
    element = """<script>(async () => {{ {} }})().then(found => {{ const out = document.createElement("pre");
    out.id = "found"; out.textContent = JSON.stringify(found); document.documentElement.append(out); }});</script>"""
    copy.write_text(page.read_text().replace("</body>", element.format(script) + "</body>"))
    return copy


def answer(dom: str) -> Any:
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-500:]
    return json.loads(unescape(found[1]))


@needs_browser
def test_no_page_overflows_and_the_console_is_silent(pages: list[Path], tmp_path: Path) -> None:
    sheet = pages[0].parent / "widths.html"
    frames = [
        f'<iframe src="{page.name}" width="{width}" height="800"></iframe>'
        for page in pages
        for width in (360, 800, 1400)
    ]
    sheet.write_text(FRAMES.format(frames="".join(frames)))
    dom, complaints = browse(sheet, tmp_path)
    found = re.search(r"<title>([-\d ]+)</title>", dom)
    assert found, dom[:300]
    assert found[1].split() == ["0"] * len(frames)
    assert not complaints


@needs_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_barrier(pages: list[Path], tmp_path: Path, scheme: str) -> None:
    """WCAG 2.1 A and AA, contrast among them, in both colour schemes."""
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text()
    script = """const found = await axe.run({runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]});
    const failed = found.violations.map(rule => rule.id + ": " + rule.nodes.map(node => node.html).join(" | "));
    return {dark: matchMedia("(prefers-color-scheme: dark)").matches, passed: found.passes.length, failed: failed}"""
    for page in pages:
        copy = with_script(page, script)
        copy.write_text(copy.read_text().replace("<head>", f"<head><script>{axe}</script>", 1))
        dom, _ = browse(copy, tmp_path, f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}")
        found = answer(dom)
        assert found["dark"] is (scheme == "dark")
        assert found["failed"] == [], page.name
        assert found["passed"] > 10


@needs_browser
def test_a_filter_shows_its_claims_alone(pages: list[Path], tmp_path: Path) -> None:
    """Without a script of the page's own: this one only counts what is visible."""
    rows = '[...document.querySelectorAll("tr.entry")].filter(row => row.checkVisibility()).map(row => row.id)'
    copy = with_script(
        pages[0], f'await new Promise(done => addEventListener("load", () => setTimeout(done, 100))); return {rows}'
    )
    everything = answer(browse(copy, tmp_path)[0])
    assert len(everything) == sum(len(wing.claims) for wing in discover())
    of_one = answer(browse(copy, tmp_path, anchor="#only-fairness")[0])
    assert of_one and {name.split(".")[0] for name in of_one} == {"fairness"}
    both = answer(browse(copy, tmp_path, anchor="#only-fairness-not-measured-at-this-scale")[0])
    assert both == of_one[:-1]  # the last one is made to be reproduced
    assert answer(browse(copy, tmp_path, anchor="#only-reproduced")[0]) == of_one[-1:]
