"""A request, who asks it, and the tenant that it is about."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import HTMLResponse

from pulse_temporal.engine.facade import Engine
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.errors import InvalidInputError, NotFoundError
from pulse_temporal.model.addresses import from_segment, segment
from pulse_temporal.web.guard.identity import Identity, check_scope, check_tenant
from pulse_temporal.web.guard.principal import Principal, Scope
from pulse_temporal.web.options import WebOptions
from pulse_temporal.web.redaction import Redaction
from pulse_temporal.web.render import Renderer
from pulse_temporal.web.topics import Topics

MOST_FORM_BYTES = 64 * 1024

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Site:
    """What all requests share."""

    engine: Engine
    options: WebOptions
    identity: Identity
    renderer: Renderer
    topics: Topics
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of a principal that may see the tenant.

    Attributes:
        engine: A view that cannot leave the tenant.
    """

    request: Request
    site: Site
    principal: Principal
    tenant_id: str
    engine: TenantEngine

    @property
    def root(self) -> str:
        """Path under which the pages are mounted."""
        return root_of(self.request)

    @property
    def base(self) -> str:
        """Path of the tenant's pages."""
        return f"{self.root}/t/{segment(self.tenant_id)}"

    def check(self, scope: Scope) -> None:
        """Check that the principal may do something.

        Raises:
            ScopeMissingError: It may not.
        """
        check_scope(self.principal, scope)

    def shown(self, value: Shown) -> Shown:
        """Return a model, or a list of them, with the values in it as the principal sees them."""
        return self.site.redaction.of(self.principal, value)

    @property
    def sharing(self) -> Hashable:
        """What all share who are shown the same page: their rights, and what is redacted."""
        return self.principal.scopes, self.site.redaction.key(self.principal)

    @property
    def frame(self) -> dict[str, object]:
        """What the frame round a page shows."""
        return {
            "root": self.root,
            "base": self.base,
            "tenant": self.tenant_id,
            "principal": self.principal,
            "streams": True,
        }

    def page(self, template: str, *, here: str, **values: object) -> HTMLResponse:
        """Return a page.

        Args:
            template: Its file.
            here: Which entry of the navigation it belongs to.
            values: What it shows.
        """
        return HTMLResponse(self.site.renderer.html(template, **self.frame, here=here, **values))

    async def form(self) -> dict[str, str]:
        """Return the fields of a form that was sent; of repeated ones the last.

        Raises:
            InvalidInputError: It is too long, or no form.
        """
        return await read_form(self.request)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent; of repeated ones the last.

    Raises:
        InvalidInputError: It is too long, or no form.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM_BYTES:
            raise InvalidInputError(f"A form has at most {MOST_FORM_BYTES} bytes.")
    try:
        fields = parse_qs(bytes(body).decode(), errors="strict", max_num_fields=50)
    except ValueError as error:
        raise InvalidInputError("The form cannot be read.") from error
    return {name: values[-1] for name, values in fields.items()}


def site_of(request: Request) -> Site:
    """Return what all requests share."""
    site: Site = request.app.state.site
    return site


def root_of(request: Request) -> str:
    """Return the path under which the pages are mounted; empty at the top."""
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


async def asked(request: Request, tenant: str) -> Asked:
    """Return the request with who asks it, if the tenant exists for them.

    Raises:
        NotFoundError: It does not.
        UnknownPrincipalError: Nobody that is known asks.
    """
    site = site_of(request)
    principal = await site.identity.principal(request)
    tenant_id = from_segment(tenant)
    check_tenant(principal, tenant_id)
    try:
        engine = site.engine.for_tenant(tenant_id)
    except InvalidInputError as error:
        raise NotFoundError("There is no such page.") from error
    return Asked(request, site, principal, tenant_id, engine)


Ask = Annotated[Asked, Depends(asked)]
"""Annotates a parameter of a page about a tenant."""
