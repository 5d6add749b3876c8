"""`python -m reprise.report.departures > docs/departures.md`: what departs from each paper, as its page says it."""

from reprise.report.build import discover

HEAD = """# Departures from the papers

Written by `python -m reprise.report.departures` from each paper's `page.py`, which the report prints too.

At the default scale everything is small. Methods are whole; where one stands in for another, the entry says so.
`params.yaml` has the paper's own value beside every parameter, and `params/paper.yaml` the paper's own setting as far
as it is known.
"""


def text() -> str:
    """The page in Markdown."""
    parts = [HEAD]
    for wing in discover():
        parts.append(f"## {wing.page.title}\n")
        parts += [f"- **{what}.** {why}" for what, why in wing.page.deviations]
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    print(text(), end="")
