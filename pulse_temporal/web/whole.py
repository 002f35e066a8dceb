"""A request for a page that is not about one tenant: settings, workers, health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pulse_temporal.engine.facade import Engine
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.web.asked import Site, read_form, root_of, site_of
from pulse_temporal.web.guard.identity import check_scope, check_tenant
from pulse_temporal.web.guard.principal import Principal, Scope
from pulse_temporal.web.urls import query

REASON_CHARS = 500


@dataclass(frozen=True, slots=True)
class Whole:
    """A request, and who asks."""

    request: Request
    site: Site
    principal: Principal

    @property
    def root(self) -> str:
        """Path under which the pages are mounted."""
        return root_of(self.request)

    def check(self, scope: Scope) -> None:
        """Check that the principal may do something.

        Raises:
            ScopeMissingError: They may not.
        """
        check_scope(self.principal, scope)

    def check_all_tenants(self) -> None:
        """Check that all tenants exist for the principal.

        Raises:
            NotFoundError: They do not.
        """
        if self.principal.tenants != "*":
            raise NotFoundError("There is no such page.")

    def tenant(self) -> str | None:
        """Return the tenant that the page is narrowed to; None: all of them.

        Who sees some tenants only is shown the one that the URL names, or the first.

        Raises:
            NotFoundError: It does not exist for them.
        """
        named = self.request.query_params.get("tenant", "").strip()
        if not named and self.principal.tenants == "*":
            return None
        if not named:
            named = min(self.principal.tenants, default="")
        check_tenant(self.principal, named)
        return named

    def engine(self, tenant_id: str | None) -> Engine | TenantEngine:
        """Return the engine, or a view that cannot leave the tenant.

        Raises:
            NotFoundError: No tenant can be called so.
        """
        if tenant_id is None:
            return self.site.engine
        try:
            return self.site.engine.for_tenant(tenant_id)
        except InvalidInputError as error:
            raise NotFoundError("There is no such page.") from error

    def url(self, path: str, **fields: str | None) -> str:
        """Return the address of a page, with a query."""
        return f"{self.root}{path}{query(**fields)}"

    def page(
        self, template: str, *, here: str, status: int = 200, **values: object
    ) -> HTMLResponse:
        """Return a page.

        Args:
            template: Its file.
            here: Which entry of the navigation it belongs to.
            status: Of the answer.
            values: What it shows.
        """
        frame = {"root": self.root, "base": self.root, "tenant": "", "principal": self.principal}
        return HTMLResponse(
            self.site.renderer.html(template, **frame, here=here, **values), status
        )

    async def form(self) -> dict[str, str]:
        """Return the fields of a form that was sent.

        Raises:
            InvalidInputError: It is too long, or no form.
        """
        return await read_form(self.request)


async def whole(request: Request) -> Whole:
    """Return the request with who asks it.

    Raises:
        UnknownPrincipalError: Nobody that is known asks.
    """
    site = site_of(request)
    return Whole(request, site, await site.identity.principal(request))


WholeAsk = Annotated[Whole, Depends(whole)]
"""Annotates a parameter of a page that is not about one tenant."""


def reason_of(form: Mapping[str, str]) -> str:
    """Return why somebody changes something.

    Raises:
        InvalidInputError: They do not say it.
    """
    reason = form.get("reason", "").strip()[:REASON_CHARS]
    if not reason:
        raise InvalidInputError("Say why: the audit keeps the reason.")
    return reason
