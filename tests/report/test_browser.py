"""The real pages in a real browser: nothing sticks out at any width, nothing complains on the console."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from reprise.claims import NOT_MEASURED
from reprise.report.build import build, discover

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FRAMES = """<!doctype html><title>wait</title><body>{frames}<script>
onload = () => {{ document.title = [...document.querySelectorAll("iframe")].map(frame => {{
  const page = frame.contentDocument.documentElement; return page.scrollWidth - page.clientWidth; }}).join(" "); }};
</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The project's own pages, every claim unmeasured, every figure a wide blank."""
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
    entries = {claim.id: {"verdict": NOT_MEASURED} for wing in wings for claim in wing.claims}
    (reports / "claims.json").write_text(json.dumps(entries))
    return build(wings, reports=reports, params=ROOT / "params.yaml", timings=reports / "none")


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
def test_no_page_overflows_and_the_console_is_silent(pages: list[Path], tmp_path: Path) -> None:
    assert BROWSER
    sheet = pages[0].parent / "widths.html"
    frames = [
        f'<iframe src="{page.name}" width="{width}" height="800"></iframe>'
        for page in pages
        for width in (360, 800, 1400)
    ]
    sheet.write_text(FRAMES.format(frames="".join(frames)))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += [f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run([*command, sheet.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r"<title>([-\d ]+)</title>", done.stdout)
    assert found, done.stdout[:300]
    assert found[1].split() == ["0"] * len(frames)
    assert "CONSOLE" not in done.stderr
