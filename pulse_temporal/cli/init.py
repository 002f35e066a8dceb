"""``pulse init``: a folder to begin with."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from pulse_temporal.cli.exits import Exit, UsageError
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output

TEMPLATE = "incident"
PLACES = {
    "app.py": "app.py.txt",
    "flows/incident.yaml": "flows/incident.yaml.txt",
    "test_flows.py": "test_flows.py.txt",
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    ".gitignore": "gitignore.txt",
}
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


def init(folder: Path, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Make a folder with an application to begin with: a signal, three handlers, a flow, a test.

    Parameters
    ----------
    folder:
        Made when it is missing; one that is not empty is refused.
    """
    out = Output(options)
    name = folder.absolute().name
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a project's name: letters, digits, dots, dashes and underscores, "
            "with a letter or digit at both ends."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise UsageError(f"{folder} is not empty; name a new folder.")
        source = files("pulse_temporal.cli") / "templates" / TEMPLATE
        for place, template in PLACES.items():
            text = source.joinpath(*template.split("/")).read_text(encoding="utf-8")
            path = folder / place
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.replace("{name}", name), encoding="utf-8")
            out.line(str(path))
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error}") from error
    out.note(f"Next: cd {folder} && pulse dev")
    return Exit.OK
