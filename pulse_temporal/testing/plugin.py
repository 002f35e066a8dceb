"""Fixtures for pytest, by one line in ``conftest.py``.

```python
pytest_plugins = ["pulse_temporal.testing.plugin"]
```

Nothing is started before a test asks for ``pulse_env``: one Postgres for the session, and for
each test a database, a Temporal server with its clock at the present, and a started engine.
Needs pytest-asyncio. To change how the environment is made, override a fixture:

```python
@pytest.fixture
def pulse_settings():               # fields of EngineOptions
    return {"action_timeout": timedelta(seconds=2)}

@pytest.fixture(scope="session")
def pulse_postgres():               # a Postgres of your own, for example in CI
    return os.environ["DATABASE_URL"]

@pytest.fixture
def pulse_env(pulse_env):           # your handlers in every test
    pulse_env.use(register_handlers)
    return pulse_env
```
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, Generator

import pytest
import pytest_asyncio

from pulse_temporal.config import EngineSettings
from pulse_temporal.embedded import embedded_postgres
from pulse_temporal.handlers.threads import LoopThread, run_on_loop
from pulse_temporal.testing.environment import PulseTestEnvironment

INSTEAD = "Ask for pulse_postgres in a fixture or a test, not in an event loop."


@pytest.fixture(scope="session")
def pulse_postgres() -> Generator[str]:
    """Run a Postgres for the session and give its DSN.

    It lives in a loop of its own, so tests may have whichever loops pytest-asyncio gives them.
    """
    home = LoopThread()
    with tempfile.TemporaryDirectory(prefix="pulse-pytest-", ignore_cleanup_errors=True) as folder:
        block = embedded_postgres(folder, durable=False)
        server = run_on_loop(home.loop, block.__aenter__, instead=INSTEAD)
        try:
            yield server.dsn
        finally:
            run_on_loop(home.loop, lambda: block.__aexit__(None, None, None), instead=INSTEAD)
            home.close()


@pytest.fixture
def pulse_settings() -> EngineSettings:
    """Return the fields of ``EngineOptions`` that differ from the defaults."""
    return {}


@pytest_asyncio.fixture
async def pulse_env(
    pulse_postgres: str, pulse_settings: EngineSettings
) -> AsyncGenerator[PulseTestEnvironment]:
    """Yield a fresh ``PulseTestEnvironment``."""
    start = PulseTestEnvironment.start(postgres=pulse_postgres, **pulse_settings)
    async with start as env:
        yield env
