"""The types of asyncpg under names that also exist at run time."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Record: TypeAlias = asyncpg.Record
    Connection: TypeAlias = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
    Pool: TypeAlias = asyncpg.Pool[Record]
else:  # these classes are generic in their stubs only
    Record = asyncpg.Record
    Connection = asyncpg.Connection | PoolConnectionProxy
    Pool = asyncpg.Pool

__all__ = ["Connection", "Pool", "Record"]
