"""Who writes for a run: the Temporal execution, with all that is compared before a write."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes: a Temporal execution, for a run or one of its branches.

    Attributes:
        branch: ``""`` for the run itself, else a path such as ``2/b0``.
        temporal_run_id: The execution that writes.
        first_execution_run_id: First of the chain that it belongs to (reset, continue-as-new).
        parent_run_id: The execution that started it, for branches.
        parent_first_run_id: First of that one's chain.
        is_current: Temporal has said that it, and the one that started it, are the newest
            executions of their workflows.
    """

    run_id: str
    tenant_id: str
    generation: int
    branch: str
    temporal_run_id: str
    first_execution_run_id: str
    parent_run_id: str | None
    parent_first_run_id: str | None
    is_current: bool = False

    @property
    def of_parent(self) -> Fence:
        """The fence of the execution that started this branch's."""
        parallel = self.branch.rpartition("/")[0]
        return replace(
            self,
            branch=parallel.rpartition("/")[0],
            temporal_run_id=self.parent_run_id or "",
            first_execution_run_id=self.parent_first_run_id or "",
            parent_run_id=None,
            parent_first_run_id=None,
        )
