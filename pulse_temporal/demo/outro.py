"""Print the end of the demo: what has happened, where to look, how to go on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from pulse_temporal.demo.scenario import Act
from pulse_temporal.demo.watch import WatchedRun
from pulse_temporal.embedded import EmbeddedServices
from pulse_temporal.model.addresses import run_page

QUERIES = (
    "SELECT tenant_id, id, status, context FROM pulse_workflow_runs;",
    "SELECT at, path, kind, detail FROM pulse_run_events ORDER BY seq;",
    "SELECT error_message FROM pulse_step_attempts WHERE status = 'failed';",
)
"""Queries to try in psql: the runs, their timelines, the failed attempts."""


def differences(act: Act, view: WatchedRun) -> list[str]:
    """Return how a run differs from what the demo expects; empty when it does not."""
    found: list[str] = []
    if view.run.status != "completed":
        reason = f": {view.run.error_message}" if view.run.error_message else ""
        found.append(f"the run is {view.run.status}, not completed{reason}")
    actual = {step.step_name: step.status for step in view.steps}
    for name in sorted({*act.steps, *actual}):
        expected, got = act.steps.get(name, "absent"), actual.get(name, "absent")
        if expected != got:
            found.append(f"step {name} is {got}, not {expected}")
    failures = sum(entry.type == "step_failed" for entry in view.entries)
    if failures != act.failed_attempts:
        found.append(f"{failures} attempts have failed, not {act.failed_attempts}")
    return found


def page_link(pages: str, view: WatchedRun) -> str:
    """Return the URL of a run's page, below the address of the pages."""
    return run_page(pages, view.run.tenant_id, view.run.id)


def temporal_link(services: EmbeddedServices, view: WatchedRun) -> str:
    """Return the URL of a run's newest execution in Temporal's web pages."""
    workflow_id = view.run.temporal_workflow_id.replace(":", "%3A")
    return f"{services.temporal_ui}/namespaces/default/workflows/{workflow_id}"


def tell_outcome(
    console: Console,
    services: EmbeddedServices,
    played: Sequence[tuple[Act, WatchedRun]],
    *,
    keep: bool,
    pages: str = "",
) -> bool:
    """Print how each run ended; return whether all ended as expected.

    Args:
        console: For standard output.
        services: The servers of the runs.
        played: Each act of the demo with the last view of its run.
        keep: The servers stay up, so a link to each run is printed too.
        pages: Address of the pages; empty where they cannot be served.
    """
    widest = max(len(act.workflow) for act, _ in played)
    all_well = True
    console.print()
    for act, view in played:
        wrong = differences(act, view)
        all_well = all_well and not wrong
        mark = ("✗", "bold red") if wrong else ("✓", "bold green")
        moral = f"expected: {act.moral}" if wrong else act.moral
        who = f" {act.signal.tenant_id}  {act.workflow:<{widest}}  "
        console.print(Text.assemble(mark, (who, "bold"), moral), soft_wrap=True)
        for line in wrong:
            console.print(Text(f"    {line}", style="red"), soft_wrap=True)
        if keep:
            link = page_link(pages, view) if pages else temporal_link(services, view)
            console.print(Text(f"  {link}", style=f"dim link {link}"), soft_wrap=True)
    return all_well


def tell_where_to_look(
    console: Console, services: EmbeddedServices, *, keep: bool, pages: str = ""
) -> None:
    """Print how to connect to the servers, or how to keep them up, and what to read next."""
    console.print()
    if keep:
        if pages:
            say(console, "Pages", pages, "the links above are pages of it")
        comment = "" if pages else "the links above are pages of it"
        say(console, "Temporal", services.temporal_ui or "", comment)
        say(console, "Postgres", services.psql)
        for label, query in zip(("SQL", "", ""), QUERIES, strict=True):
            say(console, label, query)
    else:
        comment = "the servers stay up, with a page for each run and SQL to try"
        say(console, "More", "pulse demo --keep", comment)
    say(console, "Next", "README.md", "your own handlers and workflows, in Python")


def say(console: Console, label: str, fact: str, comment: str = "") -> None:
    """Print a labelled line."""
    line = Text.assemble((f"{label:<10}", "bold"), (fact, "cyan"))
    if comment:
        line.append(f"  {comment}", style="dim")
    console.print(line, soft_wrap=True)
