"""The one place in which the parts of an engine meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from temporalio.client import Client

from pulse_temporal.clock import ServerClock
from pulse_temporal.config import EngineOptions
from pulse_temporal.engine.home import HomeLoop
from pulse_temporal.handlers.hooks import RunHook, StepHook
from pulse_temporal.handlers.registry import Registry
from pulse_temporal.model.ids import new_id
from pulse_temporal.postgres.connection import Pool
from pulse_temporal.services.bulk.operations import BulkOperations
from pulse_temporal.services.bulk.runner import BulkRunner
from pulse_temporal.services.care.maintenance import Maintenance
from pulse_temporal.services.care.reconcile import Reconciler
from pulse_temporal.services.definitions.catalogue import Catalogue
from pulse_temporal.services.definitions.definitions import Definitions
from pulse_temporal.services.definitions.plans import DefinitionPlans
from pulse_temporal.services.definitions.versions import DefinitionHistory
from pulse_temporal.services.outbox.dispatch import Dispatcher
from pulse_temporal.services.outbox.relay import Relay
from pulse_temporal.services.people.api_keys import ApiKeys
from pulse_temporal.services.people.audit import Audit
from pulse_temporal.services.people.visits import Visits
from pulse_temporal.services.runs.control import RunControl
from pulse_temporal.services.runs.feed import RunFeed
from pulse_temporal.services.runs.history import History
from pulse_temporal.services.runs.observers import Observers
from pulse_temporal.services.runs.waiting import RunWaiter
from pulse_temporal.services.signals.emit import Emitter
from pulse_temporal.services.signals.explain import Explainer
from pulse_temporal.services.views.operating import OperatorViews
from pulse_temporal.services.views.runs import RunViews
from pulse_temporal.services.views.signals import SignalViews
from pulse_temporal.store.database import Database
from pulse_temporal.store.outbox import Subject
from pulse_temporal.worker.activities import Activities
from pulse_temporal.worker.greeting import Greeting
from pulse_temporal.worker.link import Link
from pulse_temporal.worker.presence import Presence
from pulse_temporal.worker.process import Process


@dataclass(frozen=True, slots=True)
class Parts:
    """What an engine's methods work with.

    Attributes:
        options: Of the engine.
        database: Postgres.
        emitter: Stores signals.
        explainer: Says why signals start what they do.
        definitions: Changes and lists definitions.
        plans: Applies sets of definitions.
        versions: Reads what definitions were.
        control: Cancels and retries runs.
        history: Reads runs.
        run_views: Lists and shows runs.
        signal_views: Lists signals, shows chains, searches.
        operator_views: Lists workers and tenants.
        feed: Tells who watches a run that it has changed.
        api_keys: Makes and recognises keys.
        audit: Reads who has changed what.
        catalogue: Says what handlers and signal types there are.
        visits: Signs people in and out.
        bulk: Starts and reads bulk operations.
        bulk_runner: Does what they ask for, in workers.
        waiter: Waits for runs to end.
        maintenance: Compares with Temporal, and checks health.
        process: The loops of a started engine.
        home: Where the blocking methods work.
    """

    options: EngineOptions
    database: Database
    emitter: Emitter
    explainer: Explainer
    definitions: Definitions
    plans: DefinitionPlans
    versions: DefinitionHistory
    control: RunControl
    history: History
    run_views: RunViews
    signal_views: SignalViews
    operator_views: OperatorViews
    feed: RunFeed
    api_keys: ApiKeys
    audit: Audit
    catalogue: Catalogue
    visits: Visits
    bulk: BulkOperations
    bulk_runner: BulkRunner
    waiter: RunWaiter
    maintenance: Maintenance
    process: Process
    home: HomeLoop


def wire(
    db: str | Pool,
    temporal: str | Client | None,
    options: EngineOptions,
    *,
    registry: Registry,
    on_step: StepHook | None,
    on_run: RunHook | None,
) -> Parts:
    """Make the parts of an engine; nothing is connected yet.

    Args:
        db: DSN, or a pool of the application.
        temporal: Address, client, or None for the environment's.
        options: Of the engine.
        registry: Handlers and signals, which may be registered later too.
        on_step: Hook of the application.
        on_run: Hook of the application.
    """
    database = Database(
        db,
        prefix=options.table_prefix,
        timeout=options.postgres_timeout,
        statement_cache=options.statement_cache,
    )
    clock = ServerClock()
    definitions = Definitions(database, registry, options)
    waiter = RunWaiter(database)
    observers = Observers(database, waiter, on_step=on_step, on_run=on_run)
    dispatcher = Dispatcher(database, observers, options)
    emitter = Emitter(database, registry, dispatcher, options)
    reconciler = Reconciler(database, observers, options, clock=clock)

    # What a worker is, beside: it shows that it lives, and has a link to Temporal.
    worker_id = new_id("wrk")
    presence = Presence(database, registry, options, worker_id=worker_id, clock=clock)
    activities = Activities(
        database,
        registry=registry,
        observers=observers,
        emitter=emitter,
        options=options,
        worker_id=worker_id,
        clock=clock,
        doubt=presence.doubt,
    )
    greeting = Greeting(presence, options)
    link = Link(temporal, dispatcher, activities, presence, options, greet=greeting.say)
    control = RunControl(database, observers)
    relays: dict[Subject, Relay] = {
        subject: Relay(database, dispatcher, options, subject=subject)
        for subject in get_args(Subject)
    }
    bulk_runner = BulkRunner(database, control, emitter, options, started=relays["runs"].nudge)
    process = Process(
        database,
        registry,
        link=link,
        presence=presence,
        dispatcher=dispatcher,
        observers=observers,
        relays=relays,
        bulk=bulk_runner,
        reconciler=reconciler,
        options=options,
    )
    return Parts(
        options=options,
        database=database,
        emitter=emitter,
        definitions=definitions,
        plans=DefinitionPlans(definitions),
        explainer=Explainer(database, emitter.intake, options.limits),
        versions=DefinitionHistory(database),
        control=control,
        history=History(database),
        run_views=RunViews(database, options),
        signal_views=SignalViews(database),
        operator_views=OperatorViews(database),
        feed=RunFeed(database),
        api_keys=ApiKeys(database, clock=clock),
        audit=Audit(database),
        catalogue=Catalogue(database, registry, options),
        visits=Visits(database),
        bulk=BulkOperations(database, options),
        bulk_runner=bulk_runner,
        waiter=waiter,
        maintenance=Maintenance(database, reconciler, dispatcher, temporal, options, clock=clock),
        process=process,
        home=HomeLoop(process, table_prefix=options.table_prefix),
    )
