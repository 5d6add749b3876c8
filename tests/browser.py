"""Pages of HTML: what their links lead to, and a real browser for them (Debian's chromium, or Chrome)."""

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


def browse(page: Path, profile: Path, *flags: str, anchor: str = "") -> tuple[str, str]:
    """The page as the browser has it after its scripts, and what the browser complained of."""
    assert BROWSER
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        "--no-first-run",
    ]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync", *flags]
    command += [f"--user-data-dir={profile}", "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri() + anchor], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


class Links(HTMLParser):
    """Where a page leads to (`href`, `src`), and its anchors; a script is no markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.targets += [
            found[name] for name in ("href", "src") if name in found and not found[name].startswith("data:")
        ]
        self.ids |= {found["id"]} if "id" in found else set()


def broken_links(folder: Path) -> list[str]:
    """Links and pictures of the pages in `folder` that lead nowhere; those to other sites are not followed."""
    pages = {path.name: Links(path.read_text()) for path in folder.glob("*.html")}
    broken = []
    for name, page in pages.items():
        for target in page.targets:
            file, _, anchor = target.partition("#")
            if target.startswith("https://"):
                continue
            there = not file or (folder / file).is_file()
            if not there or (anchor and anchor not in pages[file or name].ids):
                broken.append(f"{name}: {target}")
    return broken
