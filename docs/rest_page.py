"""The page docs/reference/rest.md: conventions, routes and errors of the REST API."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

from docstrings import cell, markdown_of
from pulse_temporal.web.api.problems import BROKEN, STATUSES
from pulse_temporal.web.api.service import OPERATIONS

CONVENTIONS = """# REST API

`/api/v1` under the address of the [pages](../how-to/web.md);
[Call Pulse over HTTP](../how-to/http.md) shows it.
The OpenAPI document is [openapi.json](openapi.json), and is served at `/openapi.json`.
Within v1 it only grows: `make docs` refuses to take an operation, a parameter or a field away.

## Conventions

- `Authorization: Bearer pulse_sk_…`, an [API key](../operate/identity.md). Where the application
  recognises people itself, its own way works too.
- A key of one tenant sees that tenant. A key of several names one with the header `Pulse-Tenant`
  wherever something is changed; without it, lists have all tenants. What a key may not see does
  not exist for it: the answer is that of an id that there never was.
- JSON in camelCase; snake_case is read too. Unknown fields and parameters are refused. Times are
  RFC 3339 in UTC. A body has `Content-Type: application/json` and at most 1 MiB, a batch or a set
  of definitions 17 MiB.
- Lists are `{"items": […], "nextCursor": …}`. `limit` is 1 to 500, `cursor` is the `nextCursor` of
  the page before; the header `Link` has the address of the next page. Go on until `nextCursor` is
  null, not until a page is short.
- `X-Request-Id` is taken over, or made; the answer has it, and so have the log and the audit.
- `POST /signals` and `POST /signals/{id}/replay` take an `Idempotency-Key`. A signal that was sent
  before is answered with the first one and 200 instead of 201; another signal under the same key
  is refused with 422, and one whose key is in use by an open transaction with 409.
- Definitions have their version as `ETag`. `PATCH` and restore with `If-Match` change that version
  only (412); `If-None-Match` saves the answer (304), also of runs that are over. `Pulse-Note` says
  why, for the versions.
- Who lacks `payloads:read` sees `•••` and a size in place of payloads, results, config, errors;
  what the application's `redact` changes is changed here too.
- Streams send server-sent events with JSON. Events are states: after a reconnect the present state
  comes first, and the newest of one id or path counts. A comment comes every 15 seconds.
- `HEAD` works wherever `GET` does. There is no CORS.

## Routes

"""

ERRORS = """
## Errors

`application/problem+json` (RFC 9457): `type`, `title`, `status`, `code`, `detail`, `requestId`,
and `problems` with a JSON pointer each where the input has several. `code` is stable. 500 is
`internal` and says nothing of what happened; the log does, under the request's id.

| Status | Codes |
|---|---|
"""

OF_HTTP = {
    400: ("malformed", "tenant_required"),
    401: ("token_missing",),
    403: ("scope_missing",),
    405: ("method",),
    412: ("version_differs",),
    413: ("body_too_large",),
    415: ("media_type",),
    429: ("too_many_streams",),
}
NOTES = {
    404: ", also for what is another tenant's",
    405: "; `Allow` has all methods of the address",
    503: "; `Retry-After`, but for `transaction_in_doubt`",
}


def rest_page() -> Iterator[str]:
    """Yield the lines of the page."""
    yield from CONVENTIONS.splitlines()
    yield "| Route | Scope | |\n|---|---|---|"
    for operation in OPERATIONS:
        summary = cleandoc(operation.endpoint.__doc__ or "").partition("\n\n")[0]
        scope = f"`{operation.scope}`" if operation.scope else ""
        path = operation.path.replace(":path", "")
        yield f"| `{operation.method} {path}` | {scope} | {cell(markdown_of(summary))} |"
    yield from ERRORS.splitlines()
    codes: dict[int, set[str]] = {status: set(found) for status, found in OF_HTTP.items()}
    for kind, status in STATUSES.items():
        codes.setdefault(status, set()).add("internal" if status == BROKEN else kind.code)
    for status, found in sorted(codes.items()):
        listed = ", ".join(f"`{code}`" for code in sorted(found))
        yield f"| {status} | {listed}{NOTES.get(status, '')} |"
