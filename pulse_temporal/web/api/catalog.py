"""The catalogue: what definitions can be made of."""

from __future__ import annotations

from starlette.responses import Response

from pulse_temporal.model.catalogue import CatalogEntry
from pulse_temporal.model.runs import Page
from pulse_temporal.web.api.asking import Ask
from pulse_temporal.web.api.operations import Routes


class CatalogList(Page[CatalogEntry]):
    """Handlers and signal types, by kind and name."""


routes = Routes("catalog")


@routes.add("GET", "/catalog", scope="definitions:read", gives=CatalogList)
async def list_(call: Ask) -> Response:
    """Return the handlers and signal types that live workers know.

    Handlers for operators are left out where one tenant is named, or the credential is of one.
    """
    return call.items(await call.engine.catalog())
