"""``pulse definitions``: list, show, enable, disable, delete."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pulse_temporal.cli.acting import Deed, act_on, no_advice
from pulse_temporal.cli.connection import Pulse, tenant_of, with_pulse
from pulse_temporal.cli.exits import Exit
from pulse_temporal.cli.ids import full_id
from pulse_temporal.cli.options import DEFAULTS, GlobalOptions
from pulse_temporal.cli.output import Output
from pulse_temporal.cli.paging import DEFAULT_LIMIT, Limit, page_data, tell_count
from pulse_temporal.cli.statuses import KINDS
from pulse_temporal.cli.tables import Cell, Column
from pulse_temporal.errors import NotFoundError
from pulse_temporal.model.definitions import WorkflowDefinition
from pulse_temporal.model.steps import DelayStep, HandlerStep, WorkflowStep, walk

COLUMNS = (
    Column(title="STATE"),
    Column(title="DEFINITION"),
    Column(title="TENANT"),
    Column(title="NAME", is_flexible=True),
    Column(title="WAITS FOR", is_flexible=True),
    Column(title="KEY", is_flexible=True),
    Column(title="VERSION", is_number=True),
    Column(title="CHANGED"),
)
STEP_COLUMNS = (
    Column(title="PATH"),
    Column(title="STEP", is_flexible=True),
    Column(title="WHAT", is_flexible=True),
)


def list_definitions(
    *,
    type: str | None = None,  # noqa: A002 - the option's name
    enabled: bool | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str | None = None,
    options: GlobalOptions = DEFAULTS,
) -> int:
    """List definitions, newest first.

    Parameters
    ----------
    type:
        Only those that wait for signals of this type.
    enabled:
        Only enabled ones, or with --no-enabled only disabled ones.
    limit:
        Definitions at most, 1 to 500.
    cursor:
        Where the list before has ended.
    """
    out = Output(options)
    page = with_pulse(
        options,
        lambda pulse: pulse.definitions.list(
            trigger_type=type, is_enabled=enabled, limit=limit, cursor=cursor
        ),
    )
    if page_data(out, page):
        return Exit.OK
    out.table(COLUMNS, [_cells(out, each) for each in page.items])
    hint = "Create some: pulse definitions apply DIR"
    if page.items:
        hint = f"Look: pulse definitions show {page.items[0].id}"
    tell_count(out, page, "definition", hint=hint)
    return Exit.OK


def state_cell(definition: WorkflowDefinition) -> Cell:
    """Return whether a definition matches, or what keeps it from doing its work."""
    if definition.not_understood or definition.schedule_error:
        return Cell("! broken", "bold yellow")
    return (
        Cell("✓ enabled", "green")
        if definition.is_enabled
        else Cell("\N{EN DASH} disabled", "dim")
    )


def _cells(out: Output, each: WorkflowDefinition) -> list[Cell]:
    return [
        state_cell(each),
        Cell(each.id),
        Cell("" if tenant_of(out.options) == each.tenant_id else each.tenant_id),
        Cell(each.name),
        Cell(f"{each.trigger_type}{f' ({each.cron_expression})' if each.cron_expression else ''}"),
        Cell(each.key or "", "dim"),
        Cell(f"v{each.version}"),
        Cell(out.moment(each.updated_at)),
    ]


async def require_definition(pulse: Pulse, definition_id: str) -> WorkflowDefinition:
    """Return a definition.

    Raises:
        NotFoundError: There is none of this id for this tenant.
    """
    found = await pulse.definitions.get(await full_id(pulse, definition_id, "definition"))
    if found is None:
        raise NotFoundError(f"There is no workflow definition {definition_id}.")
    return found


def show_definition(definition: str, /, *, options: GlobalOptions = DEFAULTS) -> int:
    """Show a definition: what it waits for, its steps and its config.

    Parameters
    ----------
    definition:
        Its id.
    """
    out = Output(options)
    found = with_pulse(options, lambda pulse: require_definition(pulse, definition))
    if out.data(found):
        return Exit.OK
    state = state_cell(found)
    zone = found.timezone or "UTC"
    out.facts(
        {
            "Definition": Cell(found.id, "bold"),
            "Name": found.name,
            "Description": found.description,
            "State": state,
            "Tenant": found.tenant_id,
            "Key": found.key,
            "Waits for": found.trigger_type,
            "Only in": found.environment_filter,
            "Only about": found.resource_type_filter,
            "Cron": f"{found.cron_expression}  {zone}" if found.cron_expression else None,
            "Refused": found.schedule_error,
            "Not understood": found.not_understood,
            "Version": f"v{found.version}",
            "Created": out.both(found.created_at),
            "Changed": out.both(found.updated_at),
        }
    )
    if found.steps:
        out.heading("Steps")
        rows = [
            [Cell(path, "dim"), Cell(_step_name(path, step)), Cell(_what(step), "dim")]
            for path, step in walk(found.steps)
        ]
        out.table(STEP_COLUMNS, rows)
    if found.config:
        out.heading("Config")
        for line in json.dumps(found.config, indent=2, ensure_ascii=False).splitlines():
            out.line(line)
    return Exit.OK


def _step_name(path: str, step: WorkflowStep) -> str:
    return f"{'  ' * path.count('/b')}{KINDS[step.type]} {step.name}"


def _what(step: WorkflowStep) -> str:
    """Return what is special about a step."""
    parts: list[str] = []
    if isinstance(step, DelayStep):
        parts.append(f"{step.delay_ms} ms")
    if isinstance(step, HandlerStep):
        if step.uses:
            parts.append(f"uses {step.uses}")
        if step.retry_policy:
            parts.append(f"at most {step.retry_policy.max_attempts} attempts")
        if step.timeout_ms:
            parts.append(f"at most {step.timeout_ms} ms")
    return ", ".join(parts)


def enable(definition: str, /, *more: str, options: GlobalOptions = DEFAULTS) -> int:
    """Enable definitions: they match signals, and their crons tick, from now on.

    Parameters
    ----------
    definition:
        Id of a definition.
    more:
        Ids of further ones.
    """
    deed = Deed(
        verb="Enable",
        done="enabled",
        noun="definition",
        act=lambda pulse, each: pulse.definitions.enable(each),
        advise=no_advice,
    )
    return _act((definition, *more), deed, options)


def disable(definition: str, /, *more: str, options: GlobalOptions = DEFAULTS) -> int:
    """Disable definitions: they match no more signals; their runs go on.

    Parameters
    ----------
    definition:
        Id of a definition.
    more:
        Ids of further ones.
    """
    deed = Deed(
        verb="Disable",
        done="disabled",
        noun="definition",
        act=lambda pulse, each: pulse.definitions.disable(each),
        advise=no_advice,
    )
    return _act((definition, *more), deed, options)


def delete(definition: str, /, *more: str, options: GlobalOptions = DEFAULTS) -> int:
    """Delete definitions, for good; their runs stay and go on.

    Parameters
    ----------
    definition:
        Id of a definition.
    more:
        Ids of further ones.
    """
    deed = Deed(
        verb="Delete",
        done="deleted",
        noun="definition",
        act=lambda pulse, each: pulse.definitions.delete(each),
        advise=no_advice,
        always_asks=True,
    )
    return _act((definition, *more), deed, options)


def _act(ids: Sequence[str], deed: Deed, options: GlobalOptions) -> int:
    return act_on(Output(options), ids, deed)
