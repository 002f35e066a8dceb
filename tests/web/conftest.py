"""The pages on a real stack, in a real browser."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import pytest
import uvicorn
from playwright.async_api import (
    Browser,
    ConsoleMessage,
    Page,
    Request,
    async_playwright,
    expect,
)
from typing_extensions import override

from pulse_temporal.web import Authenticate, Redact, WebOptions, asgi
from tests.harness import PulseTest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)

WATCH_POLICY = """addEventListener("securitypolicyviolation", event =>
  console.error("policy: " + event.violatedDirective + " " + event.blockedURI))"""


def find_chromium() -> str | None:
    """Return the browser of this machine; ``PULSE_CHROMIUM`` names another one."""
    return os.environ.get("PULSE_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    """Yield a browser, which all tests share."""
    found = find_chromium()
    if found is None:
        pytest.skip("there is no Chromium here; PULSE_CHROMIUM may name one")
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        await opened.close()


class _Server(uvicorn.Server):
    """Leaves signals to pytest."""

    @override
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def served(
    pulse: PulseTest,
    options: WebOptions | None = None,
    *,
    authenticate: Authenticate | None = None,
    redact: Redact | None = None,
) -> AsyncGenerator[str]:
    """Serve the pages of an engine, and give their address."""
    pages = asgi(
        pulse.engine,
        authenticate=authenticate,
        redact=redact,
        options=options or WebOptions(),
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(pages, log_level="error", lifespan="off")
        server = _Server(config)
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        pages.topics.close()
        server.should_exit = True
        await serving


@pytest.fixture
async def site(pulse: PulseTest) -> AsyncGenerator[str]:
    """Yield the address of the pages of an engine that works."""
    async with served(pulse) as address:
        yield address


@dataclass
class Visitor:
    """Opens pages, and keeps what they complain about."""

    browser: Browser
    complaints: list[str] = field(default_factory=list[str])

    @asynccontextmanager
    async def visit(
        self,
        url: str,
        *,
        width: int = 1360,
        is_dark: bool = False,
        has_script: bool = True,
    ) -> AsyncGenerator[Page]:
        """Open a page in a window of its own; its complaints are kept."""
        context = await self.browser.new_context(
            viewport={"width": width, "height": 844},
            color_scheme="dark" if is_dark else "light",
            java_script_enabled=has_script,
        )
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(WATCH_POLICY)
        page = await context.new_page()
        origin = "/".join(url.split("/")[:3])

        def hear(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning"):
                self.complaints.append(f"{message.type}: {message.text}")

        def see(request: Request) -> None:
            if not request.url.startswith((f"{origin}/", "data:")):
                self.complaints.append(f"request: {request.url}")

        page.on("console", hear)
        page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", see)
        await page.goto(url)
        yield page
        await context.close()


@pytest.fixture
async def visitor(browser: Browser) -> AsyncGenerator[Visitor]:
    """Yield somebody who opens pages; in the end no page may have complained."""
    made = Visitor(browser)
    yield made
    assert made.complaints == []
