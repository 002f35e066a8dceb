"""Operations of the API: a route, the scope that it takes, and what is documented about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

from pydantic import BaseModel
from starlette.responses import Response

from pulse_temporal.model.acting import acting
from pulse_temporal.model.values import Value
from pulse_temporal.web.api.asking import Ask, NoQuery, Query
from pulse_temporal.web.guard.identity import check_scope
from pulse_temporal.web.guard.principal import Scope

Given = ParamSpec("Given")
Endpoint = Callable[..., Awaitable[Response]]
Declared = Callable[Concatenate[Ask, Given], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        id: As ``runs.cancel``.
        scope: What it takes to ask; None: any credential.
        gives: What the answer has; None: nothing.
        query: What the query of the URL may say.
        body: What the body may say; None: there is none.
        is_stream: The answer is a stream of events that have ``gives``.
        example: A body.
        also: Other statuses that are no refusal.
    """

    id: str
    method: str
    path: str
    endpoint: Endpoint
    scope: Scope | None
    gives: type[BaseModel] | None
    status: int = 200
    query: type[Query] = NoQuery
    body: type[Value] | None = None
    is_stream: bool = False
    example: dict[str, object] | None = None
    also: tuple[int, ...] = ()


class Routes:
    """The operations of one resource.

    Args:
        resource: Begins the ids of its operations.
    """

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.operations: list[Operation] = []

    def add(  # noqa: PLR0913 - all but two are given by name
        self,
        method: str,
        path: str,
        *,
        scope: Scope | None,
        gives: type[BaseModel] | None,
        status: int = 200,
        query: type[Query] = NoQuery,
        body: type[Value] | None = None,
        is_stream: bool = False,
        example: dict[str, object] | None = None,
        also: tuple[int, ...] = (),
    ) -> Callable[[Declared[Given]], Declared[Given]]:
        """Return a decorator that makes a function answer; its name ends the operation's id.

        The function's first parameter is ``call: Ask``, the others are those of the path. Scope
        and query are checked before it is called, and who asks is named to the audit.
        """

        def declare(function: Declared[Given]) -> Declared[Given]:
            @wraps(function)
            async def answer(call: Ask, *args: Given.args, **kwargs: Given.kwargs) -> Response:
                if scope is not None:
                    check_scope(call.principal, scope)
                call.query(query)
                with acting(call.principal.actor, request_id=call.request_id):
                    return await function(call, *args, **kwargs)

            self.operations.append(
                Operation(
                    id=f"{self.resource}.{function.__name__.rstrip('_')}",
                    method=method,
                    path=path,
                    endpoint=answer,
                    scope=scope,
                    gives=gives,
                    status=status,
                    query=query,
                    body=body,
                    is_stream=is_stream,
                    example=example,
                    also=also,
                )
            )
            return function

        return declare
