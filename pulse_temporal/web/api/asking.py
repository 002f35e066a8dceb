"""A request to the API: who asks, about whom, what was sent, and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeVar
from urllib.parse import urlencode

from fastapi import Depends
from pydantic import BaseModel, Field, JsonValue, TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pulse_temporal.engine.facade import Engine
from pulse_temporal.engine.tenant import TenantEngine
from pulse_temporal.errors import InvalidInputError, NotFoundError, Problem
from pulse_temporal.model.runs import Page
from pulse_temporal.model.values import JsonObject, Value
from pulse_temporal.web.api.problems import MALFORMED, FieldsError, RefusedError
from pulse_temporal.web.asked import Site
from pulse_temporal.web.guard.identity import check_tenant
from pulse_temporal.web.guard.principal import Principal

MOST_BODY_BYTES = 1024 * 1024
MOST_BATCH_BYTES = 17 * 1024 * 1024

TENANT_HEADER = "pulse-tenant"

Read = TypeVar("Read", bound=Value)
Item = TypeVar("Item")

OBJECT: TypeAdapter[JsonObject] = TypeAdapter(JsonObject)
JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


class Query(Value):
    """What the query of a URL may say; a parameter that is unknown is refused.

    Attributes:
        LISTS: Parameters that may be given several times.
    """

    LISTS: ClassVar[frozenset[str]] = frozenset()


class PageQuery(Query):
    """Which page of a list.

    Attributes:
        limit: Most items of the page.
        cursor: ``nextCursor`` of the page before.
    """

    limit: int = Field(default=50, ge=1, le=500)
    cursor: str | None = None


class NoQuery(Query):
    """Nothing."""


class Reason(Value):
    """Why something is done.

    Attributes:
        reason: For the audit and the timeline; cut at 1 000 bytes.
    """

    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """A request of a principal.

    Attributes:
        tenant_id: The tenant that it is about; None: all that there are.
        engine: What answers; a view that cannot leave the tenant, if there is one.
    """

    request: Request
    site: Site
    principal: Principal
    tenant_id: str | None
    engine: Engine | TenantEngine

    @property
    def request_id(self) -> str:
        """Names the request, in its answer, in the log and in the audit."""
        found: str = self.request.state.request_id
        return found

    @property
    def tenant(self) -> TenantEngine:
        """The view of the tenant, for what can only be about one.

        Raises:
            RefusedError: None is named.
        """
        if isinstance(self.engine, TenantEngine):
            return self.engine
        raise tenant_required()

    def check_all_tenants(self) -> None:
        """Check that the principal may see all tenants, and has not narrowed the request.

        Raises:
            NotFoundError: It may not: what concerns all does not exist for it.
        """
        if self.principal.tenants != "*":
            raise NotFoundError("There is no such page.")

    def query(self, model: type[Read]) -> Read:
        """Return what the query of the URL says.

        Raises:
            FieldsError: A parameter is unknown, wrong or given twice.
        """
        given = self.request.query_params
        lists = model.LISTS if issubclass(model, Query) else frozenset[str]()
        twice = [name for name in given if name not in lists and len(given.getlist(name)) > 1]
        if twice:
            raise FieldsError([Problem(f"/{name}", "is given more than once") for name in twice])
        return _validated(
            model, {name: given.getlist(name) if name in lists else given[name] for name in given}
        )

    async def json(self, *, most: int = MOST_BODY_BYTES) -> JsonObject:
        """Return the body, an object; without a body an empty one.

        Raises:
            RefusedError: It is too large, not JSON, or not said to be.
            FieldsError: It is JSON, but no object.
        """
        body = await self._bytes(most)
        if not body:
            return {}
        kind = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise RefusedError(415, "media_type", "A body must be of type application/json.")
        try:
            found: JsonValue = json.loads(body, parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise RefusedError(MALFORMED, "malformed", "The body is not JSON.") from None
        if not isinstance(found, dict):
            raise FieldsError([Problem("", "must be an object")])
        return found

    async def body(self, model: type[Read], *, most: int = MOST_BODY_BYTES) -> Read:
        """Return the body as a model.

        Raises:
            RefusedError: As of ``json``.
            FieldsError: Fields are wrong, missing or unknown.
        """
        return _validated(model, await self.json(most=most))

    def checked(self, model: type[Read], given: object) -> Read:
        """Return what was sent as a model.

        Raises:
            FieldsError: Fields are wrong, missing or unknown.
        """
        return _validated(model, given)

    async def _bytes(self, most: int) -> bytes:
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > most:
                raise RefusedError(413, "body_too_large", f"A body has at most {most} bytes.")
        return bytes(body)

    @property
    def likeness(self) -> Hashable:
        """What all share who are sent the same: their tenant, their rights, what is redacted."""
        return self.tenant_id, self.principal.scopes, self.site.redaction.key(self.principal)

    def shown(self, value: BaseModel) -> JsonValue:
        """Return a value as JSON, without what the principal may not see."""
        redacted = self.site.redaction.of(self.principal, value)
        return JSON.validate_json(redacted.model_dump_json(warnings=False))

    def answer(
        self, value: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Return the answer that has a value."""
        return JSONResponse(self.shown(value), status, headers)

    def page(self, page: Page[Item]) -> Response:
        """Return the answer that has one page of a list, with a link to the next one."""
        headers: dict[str, str] = {}
        if page.next_cursor is not None:
            given = self.request.query_params.multi_items()
            kept = [(name, value) for name, value in given if name != "cursor"]
            link = urlencode([*kept, ("cursor", page.next_cursor)])
            headers["link"] = f'<?{link}>; rel="next"'
        return self.answer(page, headers=headers)

    def items(self, found: Sequence[BaseModel]) -> Response:
        """Return the answer that has a whole list."""
        shown: list[JsonValue] = [self.shown(each) for each in found]
        return JSONResponse({"items": shown, "nextCursor": None})


def tenant_required() -> RefusedError:
    """Return the refusal of a request that names no tenant, but has to."""
    detail = "This credential is for several tenants: the header Pulse-Tenant must name one."
    return RefusedError(MALFORMED, "tenant_required", detail)


def found_or_404(value: Item | None) -> Item:
    """Return a value that is there.

    Raises:
        NotFoundError: It is None.
    """
    if value is None:
        raise NotFoundError("There is no such thing.")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _validated(model: type[Read], given: object) -> Read:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
    raise FieldsError(
        [
            Problem("".join(f"/{_token(part)}" for part in each["loc"]), each["msg"])
            for each in found
        ]
    )


def _token(part: int | str) -> str:
    """Return a part of a JSON pointer."""
    return str(part).replace("~", "~0").replace("/", "~1")[:100]


async def asking(request: Request) -> Asking:
    """Return the request with who asks it, if the tenant that it names exists for them.

    Raises:
        NotFoundError: It does not.
        CredentialError: The token is none of ours.
        UnknownPrincipalError: Nobody that is known asks.
    """
    site: Site = request.app.state.site
    principal = await site.identity.principal(request)
    tenant_id = request.headers.get(TENANT_HEADER)
    if tenant_id is not None:
        tenant_id = tenant_id.encode("latin-1").decode("utf-8", "replace")
    elif principal.tenants != "*":
        if len(principal.tenants) != 1:
            raise tenant_required()
        (tenant_id,) = principal.tenants
    if tenant_id is None:
        return Asking(request, site, principal, None, site.engine)
    check_tenant(principal, tenant_id)
    try:
        view = site.engine.for_tenant(tenant_id)
    except InvalidInputError as error:
        raise NotFoundError("There is no such tenant.") from error
    return Asking(request, site, principal, tenant_id, view)


Ask = Annotated[Asking, Depends(asking)]
"""Annotates the parameter of an endpoint."""
