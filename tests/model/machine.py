"""Everything that users and operators may do to runs, in any order, and what must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from typing_extensions import override

from pulse_temporal import (
    IdempotencyConflictError,
    NotFoundError,
    RunTransitionError,
    TriggerEnvelope,
    WorkflowRun,
)
from tests.harness import eventually
from tests.model.world import SHAPES, SIGNAL, WAIT_SECONDS, World, step_names

OPEN = frozenset({"pending", "running", "waiting"})
HARD_REMEDIES = frozenset({"fail", "cancel", "restart"})
PICK = st.integers(0, 20)
TENANTS = st.integers(0, 1)
Verdict = Literal["completed", "failed", "canceled"]


@dataclass
class KnownDefinition:
    """A definition as it should be."""

    id: str
    tenant_id: str
    shape: int
    is_enabled: bool = True


@dataclass
class KnownRun:
    """A run as it should be.

    Attributes:
        verdict: How it ends; None while it is held at a gate.
        is_settled: It was seen to have ended so.
        damage: What was done to its workflow and not found yet.
    """

    id: str
    tenant_id: str
    trigger_id: str
    definition_id: str
    names: list[str]
    generation: int = 1
    verdict: Verdict | None = None
    is_settled: bool = False
    damage: Literal["terminated", "deleted"] | None = None

    @property
    def allowed(self) -> frozenset[str]:
        """The statuses that it may have now."""
        if self.is_settled and self.verdict:
            return frozenset({self.verdict})
        return OPEN | {self.verdict} if self.verdict else OPEN

    @property
    def is_held(self) -> bool:
        """It comes to a gate and stays there."""
        return self.verdict is None and self.damage is None

    @property
    def workflow_id(self) -> str:
        """Id of its present workflow."""
        return self.id if self.generation == 1 else f"{self.id}:{self.generation}"

    def settle(self, verdict: Verdict) -> None:
        """It has ended."""
        self.verdict, self.is_settled, self.damage = verdict, True, None

    def begin_again(self) -> None:
        """It goes on as its next generation, and is held at its gate once more."""
        self.generation += 1
        self.verdict, self.is_settled, self.damage = None, False, None


@dataclass
class KnownSignal:
    """What was emitted under a key."""

    n: int
    trigger: TriggerEnvelope


@dataclass
class KnownTenant:
    """All that one tenant has."""

    id: str
    definitions: list[KnownDefinition] = field(default_factory=list[KnownDefinition])
    runs: dict[str, KnownRun] = field(default_factory=dict[str, KnownRun])
    keys: dict[str, KnownSignal] = field(default_factory=dict[str, KnownSignal])

    @property
    def enabled(self) -> list[KnownDefinition]:
        """What a signal matches, oldest first."""
        return [definition for definition in self.definitions if definition.is_enabled]

    def plan(self, run_id: str, definition: KnownDefinition, *, trigger_id: str) -> KnownRun:
        """Note a run that was just planned."""
        names = step_names(SHAPES[definition.shape])
        run = KnownRun(run_id, self.id, trigger_id, definition.id, names)
        self.runs[run_id] = run
        return run


class PulseMachine(RuleBasedStateMachine):
    """Two tenants who know nothing of each other.

    Rules that act on a run pick one by number among those that they fit; without one they do
    nothing.

    Args:
        world: A fresh one; it is closed at the end.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.engine = self.world.front.engine
        self.known = [KnownTenant(tenant_id) for tenant_id in self.world.tenants]

    @initialize(shapes=st.tuples(*[st.integers(0, len(SHAPES) - 1)] * 3))
    def define(self, shapes: tuple[int, int, int]) -> None:
        """Give the first tenant two definitions and the second one."""
        for tenant, shape in zip((0, 0, 1), shapes, strict=True):
            known = self.known[tenant]
            made = self.world.do(
                self.world.front.define(SIGNAL, *SHAPES[shape], tenant_id=known.id)
            )
            known.definitions.append(KnownDefinition(made.id, known.id, shape))
        self.world.start_worker()

    @rule(tenant=TENANTS, n=st.integers(0, 1), key=st.sampled_from([None, None, "a", "b"]))
    def emit(self, tenant: int, n: int, key: str | None) -> None:
        """Emit; a key that was used gives the first signal, or a conflict."""
        known = self.known[tenant]
        before = known.keys.get(key) if key else None
        try:
            trigger = self.world.do(self.world.emit(known.id, n, key))
        except IdempotencyConflictError:
            assert before is not None, "a key that was never used was refused"
            assert before.n != n, "the same signal was refused"
            return
        if before is not None:
            assert before.n == n, "another payload was taken under the same key"
            assert trigger.duplicate
            assert (trigger.id, trigger.run_ids) == (before.trigger.id, before.trigger.run_ids)
            return
        if key:
            known.keys[key] = KnownSignal(n, trigger)
        for run_id, definition in zip(trigger.run_ids, known.enabled, strict=True):
            known.plan(run_id, definition, trigger_id=trigger.id)

    @precondition(lambda self: self.all_runs)
    @rule(pick=PICK, dry_run=st.booleans())
    def replay(self, pick: int, dry_run: bool) -> None:
        """Run a stored signal again; gates are passed over, so these runs end by themselves."""
        trigger_id = self.all_runs[pick % len(self.all_runs)].trigger_id
        known = self._owner(self.all_runs[pick % len(self.all_runs)])
        runs = self.world.do(self.engine.replay(trigger_id, dry_run=dry_run))
        for run, definition in zip(runs, known.enabled, strict=True):
            assert (run.definition_id, run.is_dry_run) == (definition.id, dry_run)
            known.plan(run.id, definition, trigger_id=trigger_id).verdict = "completed"

    @rule(pick=PICK, well=st.booleans())
    def open_gates(self, pick: int, well: bool) -> None:
        """Let a run that is held go on, well or not."""
        run = self._pick(pick, lambda run: run.is_held)
        if run:
            run.verdict = "completed" if well else "failed"
            self.world.open_door(run.id, run.generation, well=well)

    @rule(pick=PICK)
    def cancel(self, pick: int) -> None:
        """Cancel any run; one that is over refuses."""
        run = self._pick(pick, lambda _: True)
        if run is None:
            return
        try:
            canceled = self.world.do(self.engine.cancel_run(run.id, "enough"))
        except RunTransitionError:
            assert run.verdict, "a run that is not over refused to be canceled"
            run.settle(run.verdict)
        else:
            assert not run.is_settled, "a run that was over was canceled"
            assert canceled.status == "canceled"
            run.settle("canceled")

    @rule(pick=PICK)
    def retry(self, pick: int) -> None:
        """Retry any run; one that has not failed refuses."""
        run = self._pick(pick, lambda _: True)
        if run is None:
            return
        try:
            retried = self.world.do(self.engine.retry_run(run.id))
        except RunTransitionError:
            assert not (run.is_settled and run.verdict == "failed"), "a failed run refused"
        else:
            assert run.verdict == "failed", "a run that has not failed was retried"
            run.begin_again()
            assert retried.generation == run.generation

    @rule(pick=PICK)
    def settle(self, pick: int) -> None:
        """See a run to its end."""
        run = self._pick(pick, lambda run: run.verdict is not None and not run.is_settled)
        if run and run.verdict and self.world.works:
            self._see_end(run)

    @rule(pick=PICK, is_enabled=st.booleans())
    def enable(self, pick: int, is_enabled: bool) -> None:
        """Enable or disable a definition; its runs go on."""
        definition = self._definition(pick)
        change = self.engine.enable_workflow if is_enabled else self.engine.disable_workflow
        self.world.do(change(definition.id))
        definition.is_enabled = is_enabled

    @rule(pick=PICK, shape=st.integers(0, len(SHAPES) - 1))
    def update(self, pick: int, shape: int) -> None:
        """Give a definition other steps; its runs keep theirs."""
        definition = self._definition(pick)
        self.world.do(self.engine.update_workflow(definition.id, {"steps": list(SHAPES[shape])}))
        definition.shape = shape

    @rule()
    def switch_worker(self) -> None:
        """Let the worker go, or bring one."""
        if self.world.works:
            self.world.stop_worker()
        else:
            self.world.start_worker()

    @rule(pick=PICK, damage=st.sampled_from(["terminated", "deleted"]))
    def damage(self, pick: int, damage: Literal["terminated", "deleted"]) -> None:
        """End the workflow of a run that is held at its gate, or delete it."""
        run = self._pick(pick, lambda run: run.is_held)
        if run is None or not self.world.works:
            return
        self.world.await_gate(run.id, run.generation)
        operator = self.world.operator
        act = operator.terminate if damage == "terminated" else operator.delete
        self.world.do(act(run.workflow_id))
        run.damage = damage

    @rule()
    def reconcile(self) -> None:
        """Find and repair all damage, and touch nothing else."""
        damaged = {run.id: run for run in self.all_runs if run.damage}
        repaired: set[str] = set()

        async def look() -> bool:
            report = await self.engine.reconcile()
            assert report.halted is None
            repaired.update(
                repair.subject_id for repair in report.repairs if repair.remedy in HARD_REMEDIES
            )
            return repaired >= damaged.keys()

        self.world.do(eventually(look, within=timedelta(seconds=WAIT_SECONDS)))
        assert repaired == damaged.keys(), "a run that was sound was repaired"
        for run in damaged.values():
            if run.damage == "terminated":
                run.settle("failed")
            else:
                run.begin_again()

    @rule(pick=PICK)
    def reset(self, pick: int) -> None:
        """Reset a workflow to its first decision: the run goes on, unless it is over."""
        run = self._pick(pick, lambda run: run.is_held or run.is_settled)
        if run is None or not self.world.works:
            return
        if run.is_held:
            self.world.await_gate(run.id, run.generation)
        elif run.verdict == "canceled":
            return  # it may never have had a workflow
        execution = self.world.reset(run.workflow_id)
        if run.is_held:
            return
        if run.verdict == "failed" and not self.world.door_is_open(run.id, run.generation):
            self.world.await_status(run.id, OPEN)
            run.verdict, run.is_settled = None, False
        else:
            self.world.await_closed(run.workflow_id, execution)

    @rule(pick=PICK)
    def trespass(self, pick: int) -> None:
        """Whatever the other tenant does with a run's id, there is no such run."""
        run = self._pick(pick, lambda _: True)
        if run is None:
            return
        (other,) = (known.id for known in self.known if known.id != run.tenant_id)
        engine = self.engine
        for attempt in (
            engine.cancel_run(run.id, tenant_id=other),
            engine.retry_run(run.id, tenant_id=other),
            engine.replay(run.trigger_id, tenant_id=other),
            engine.update_workflow(run.definition_id, {"name": "mine"}, tenant_id=other),
            engine.disable_workflow(run.definition_id, tenant_id=other),
            engine.get_run_steps(run.id, tenant_id=other),
            engine.get_run_timeline(run.id, tenant_id=other),
        ):
            try:
                self.world.do(attempt)
            except NotFoundError:
                continue
            raise AssertionError("another tenant's id was known")
        assert self.world.do(engine.get_run(run.id, tenant_id=other)) is None
        assert self.world.do(engine.get_trigger(run.trigger_id, tenant_id=other)) is None

    @invariant()
    def nothing_contradicts_itself(self) -> None:
        """The database is consistent at every moment, not only at rest."""
        assert self.world.contradictions() == {}

    @invariant()
    def runs_are_as_they_should_be(self) -> None:
        """Each tenant has its runs and no others, and each run is where it may be."""
        for known in self.known:
            seen = self.world.runs_of(known.id)
            assert set(seen) == set(known.runs)
            for run in known.runs.values():
                self._check(run, seen[run.id])

    @override
    def teardown(self) -> None:
        """Heal: open all gates, repair all damage; then every run ends as it should."""
        try:
            if not self.world.works:
                self.world.start_worker()
            self.reconcile()
            for run in self.all_runs:
                if run.is_held:
                    run.verdict = "completed"
                    self.world.open_door(run.id, run.generation, well=True)
            for run in self.all_runs:
                if run.verdict and not run.is_settled:
                    self._see_end(run)
            self.nothing_contradicts_itself()
            self.runs_are_as_they_should_be()
            self.world.await_rest()
        finally:
            self.world.close()

    @property
    def all_runs(self) -> list[KnownRun]:
        """All runs of both tenants."""
        return [run for known in self.known for run in known.runs.values()]

    def _pick(self, pick: int, fits: Callable[[KnownRun], bool]) -> KnownRun | None:
        fitting = [run for run in self.all_runs if fits(run)]
        return fitting[pick % len(fitting)] if fitting else None

    def _definition(self, pick: int) -> KnownDefinition:
        every = [definition for known in self.known for definition in known.definitions]
        return every[pick % len(every)]

    def _owner(self, run: KnownRun) -> KnownTenant:
        return next(known for known in self.known if known.id == run.tenant_id)

    def _see_end(self, run: KnownRun) -> None:
        ended = self.world.do(self.engine.wait_for_run(run.id, timeout=WAIT_SECONDS))
        assert run.verdict == ended.status, f"{run} is {ended.status}: {ended.error_message}"
        run.is_settled = True

    def _check(self, run: KnownRun, seen: WorkflowRun) -> None:
        assert seen.status in run.allowed, f"{run} is {seen.status}"
        names = [step.name for step in seen.definition_snapshot.steps]
        was = (seen.tenant_id, seen.trigger_id, seen.definition_id, seen.generation, names)
        assert was == (run.tenant_id, run.trigger_id, run.definition_id, run.generation, run.names)
