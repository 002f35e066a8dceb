"""What must hold at any moment; ``queries/invariants.sql`` says it in SQL."""

from __future__ import annotations

from pulse_temporal.postgres.sessions import Session

PREFIX = "invariants."


async def violations(session: Session) -> dict[str, list[str]]:
    """Return the broken invariants by name, with the ids that break them; empty when all hold."""
    found: dict[str, list[str]] = {}
    for name in session.statements:
        if name.startswith(PREFIX):
            rows = await session.rows(name)
            if rows:
                found[name.removeprefix(PREFIX)] = [row["id"] for row in rows]
    return found
