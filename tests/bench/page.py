"""Write the figures of the page on performance, so that nobody types them by hand.

    python -m tests.bench.page FILE.json [FILE.json ...] [--scale FILE.json]

Replaces what stands between ``<!-- bench:NAME -->`` and ``<!-- bench:end -->`` by the table of
that name, and draws the pictures. A table without figures in the files stays as it is.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import large_mirror, plots
from tests.bench.large_mirror import Table
from tests.bench.results import REPORT, Report
from tests.bench.tables import (
    markdown,
    narrow,
    table_of_figures,
    table_of_latencies,
    table_of_rows,
    table_of_targets,
)

PAGE = Path(__file__).parents[2] / "docs" / "operate" / "performance.md"
SECTION = re.compile(
    r"(<!-- bench:(?!end)(?P<name>[a-z: ]+) -->\n).*?(<!-- bench:end -->)", re.DOTALL
)


def sections(reports: Sequence[Report], scale: Mapping[str, Table]) -> dict[str, str]:
    """Write all tables, by name."""
    written = {"machine": "\n".join(machine_line(report) for report in reports)}
    by_name = {target.figure: target for report in reports for target in report.found.targets}
    targets = [*by_name.values(), *large_mirror.judge(scale)]  # of a later file, where two tell
    if scale:
        written["scale"] = large_mirror.as_markdown(scale)
    if targets:
        written["targets"] = markdown(table_of_targets(targets))
    for report in reports:
        found = report.found
        for name, figures in found.figures.items():
            written[name.split()[0]] = markdown(table_of_figures(figures))
        if found.latencies:
            written["latency"] = markdown(table_of_latencies(found.latencies))
        for name, rows in found.tables.items():
            written[name] = markdown(narrow(table_of_rows(rows)))
    return written


def machine_line(report: Report) -> str:
    """Return what was measured with what, and how quiet the machine was."""
    facts = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    groups = ", ".join(
        f"{name} ({effort.others_percent:.0f} %)" for name, effort in report.efforts.items()
    )
    return f"- {facts}. Groups, and the CPU that others used meanwhile: {groups}."


def fill(text: str, written: Mapping[str, str]) -> str:
    """Replace the sections of a page for which there are figures."""

    def section(match: re.Match[str]) -> str:
        inside = written.get(match["name"])
        return match[0] if inside is None else f"{match[1]}{inside}\n{match[3]}"

    return SECTION.sub(section, text)


def main() -> None:
    """Write the page and its pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--scale", type=Path, help="what tests.scale has written")
    options = parser.parse_args()
    reports = [REPORT.validate_json(file.read_bytes()) for file in options.files]
    scale = {} if options.scale is None else large_mirror.read(options.scale.read_bytes())
    written = sections(reports, scale)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), written), encoding="utf-8")
    plots.draw([report.found for report in reports], to=PAGE.parent / "images")


if __name__ == "__main__":
    main()
