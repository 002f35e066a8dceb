"""Check a handler's config against the model with which the handler was registered."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from pulse_temporal.model.plain import failure_of, is_mapping, json_pointer
from pulse_temporal.model.problems import MAX_PROBLEMS, Finding, Place


def config_problems(schema: type[BaseModel], config: Mapping[str, object]) -> list[Finding]:
    """Return what of a config its model refuses, without values, which may be secrets.

    Args:
        schema: Foreign code, which may raise anything.
        config: The definition's, with the step's merged over it.

    Returns:
        At most 100 findings; their places are those in the config.
    """
    try:
        schema.model_validate_json(to_json(config))
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        return [Finding(problem["loc"], problem["msg"]) for problem in found[:MAX_PROBLEMS]]
    except PydanticSerializationError:
        return []  # It is no JSON, which is a problem of its own.
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        reason = f"could not be checked: {schema.__name__} raised {failure_of(error)}"
        return [Finding((), reason)]
    return []


def config_reasons(schema: type[BaseModel], config: Mapping[str, object]) -> str:
    """Return the same in words, for a message; ``""`` when the config fits."""
    return "; ".join(
        f"{json_pointer(found.place) or '/'}: {found.message}"
        for found in config_problems(schema, config)
    )


def placed(found: Finding, *, step: Place, own: object, shared: object) -> Finding:
    """Return a finding at its place in a definition.

    Args:
        found: Its place is that in the merged config.
        step: Place of the step.
        own: The step's config, which wins, and what is missing belongs there.
        shared: The definition's config.
    """
    key = found.place[0] if found.place else None
    is_shared = is_mapping(shared) and key in shared and not (is_mapping(own) and key in own)
    home: Place = ("config",) if is_shared else (*step, "config")
    return Finding((*home, *found.place), found.message, found.hint)
