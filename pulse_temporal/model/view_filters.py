"""Which runs and signals a list of summaries shows."""

from __future__ import annotations

from typing import Self, TypedDict

from pydantic import (
    AwareDatetime,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)

from pulse_temporal.errors import InvalidInputError
from pulse_temporal.model.runs import RunFilter, RunFilterFields
from pulse_temporal.model.values import Flag, Name, ResourceId, TenantId, Value
from pulse_temporal.model.views import Attention


class RunSummaryFilter(RunFilter):
    """Which runs to list or count; every field that is set narrows the list.

    Raises ``InvalidInputError`` when it is made with an unknown or wrong field.

    Attributes:
        attention: Open runs that somebody may want to look at, for this reason.
        signal_type: Type of the signal that started it; needs a ``tenant_id``.
    """

    attention: Attention | None = None
    signal_type: Name | None = None


class RunSummaryFilterFields(RunFilterFields, total=False):
    """The fields of ``RunSummaryFilter``, as lists of summaries take them by name."""

    attention: Attention | None
    signal_type: str | None


class SignalFilter(Value):
    """Which signals to list; every field that is set narrows the list.

    Raises ``InvalidInputError`` when it is made with an unknown or wrong field.

    Attributes:
        tenant_id: Whose; must be given, unless the view of a tenant is asked.
        is_matched: True: signals that started a run. False: those that started none.
        created_after: Earliest time of creation, included.
        created_before: Latest time of creation, excluded.
    """

    tenant_id: TenantId | None = None
    type: Name | None = None
    source: Name | None = None
    resource_type: Name | None = None
    resource_id: ResourceId | None = None
    environment: Name | None = None
    is_matched: Flag | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None

    @model_validator(mode="wrap")
    @classmethod
    def _refuse(cls, fields: object, read: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn pydantic's error into one of this library.

        Raises:
            InvalidInputError: A field is unknown or wrong; all of them are named.
        """
        try:
            return read(fields)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False)
        reasons = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in problems)
        raise InvalidInputError(f"The filter of signals is wrong: {reasons}.")


class SignalFilterFields(TypedDict, total=False):
    """The fields of ``SignalFilter``, as lists of signals take them by name."""

    tenant_id: str | None
    type: str | None
    source: str | None
    resource_type: str | None
    resource_id: str | None
    environment: str | None
    is_matched: bool | None
    created_after: AwareDatetime | None
    created_before: AwareDatetime | None
