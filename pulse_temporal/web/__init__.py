"""The pages: what runs do, live, and what people may do about it.

``asgi(engine)`` is an application to mount in a host's own, or to be served by ``pulse serve``.
It needs the extra ``[web]``, and an engine that somebody else starts and stops.
"""

from __future__ import annotations

from pulse_temporal.web.app import asgi
from pulse_temporal.web.guard.principal import SCOPES, Authenticate, Principal, Scope
from pulse_temporal.web.options import WebOptions, web_options
from pulse_temporal.web.redaction import Redact, ValueKind

__all__ = [
    "SCOPES",
    "Authenticate",
    "Principal",
    "Redact",
    "Scope",
    "ValueKind",
    "WebOptions",
    "asgi",
    "web_options",
]
