"""`reprise plots [REV ...]`: `dvc plots diff` as a page that holds what it needs, where DVC's own asks a CDN for it."""

import argparse
import subprocess
from pathlib import Path

from reprise.cli import dvc
from reprise.errors import UserError

TEMPLATE = Path(".reprise/plots.html")
VEGA_LITE = "5.21"  # DVC's own templates are of version 5
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>reprise: plots</title>
{refresh_tag}
<style>body {{ font: 1rem system-ui, sans-serif; margin: 1rem }} table {{ border-spacing: 1rem }}</style>
<script>{{{bundle}}}</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def run(arguments: argparse.Namespace) -> int:
    """DVC's exit status."""
    template()
    command = [*dvc.COMMAND, "plots", "diff", "--html-template", str(TEMPLATE), *arguments.passed]
    return subprocess.run(command, env=dvc.environment(), check=False).returncode


def template() -> Path:
    """DVC's template with Vega, Vega-Lite and Vega-Embed inside."""
    try:
        from vl_convert import javascript_bundle
    except ImportError:
        raise UserError(
            "plots without a network need Vega from a package: pip install -e '.[plots]' "
            "(with a network, `dvc plots diff` does)"
        ) from None
    TEMPLATE.parent.mkdir(exist_ok=True)
    kept = {"refresh_tag": "{refresh_tag}", "plot_divs": "{plot_divs}"}  # DVC fills these in
    TEMPLATE.write_text(
        PAGE.format(bundle=javascript_bundle("window.vegaEmbed = vegaEmbed", vl_version=VEGA_LITE), **kept),
        encoding="utf-8",
    )
    return TEMPLATE
