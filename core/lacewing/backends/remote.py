"""A backend whose work is behind somebody else's API: a plugin writes `create`, `look` and `end`.

Nobody tells us when such work changes, so it is looked at again and again; `look` says what it is like now.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

from lacewing.model.task import Handle, Observation, TaskContext
from lacewing.ports import Cluster


class RemoteBackend(ABC):
    """Work elsewhere. `poll_seconds` is the pause between two looks at one attempt."""

    name: str
    task_types: tuple[str, ...]
    poll_seconds: float = 5.0

    @abstractmethod
    async def create(self, task: TaskContext) -> Handle:
        """Start the attempt. Raises TaskError for one that can never start, TransientError for not now."""

    @abstractmethod
    async def look(self, task: TaskContext, handle: Handle) -> Observation:
        """What the attempt is like; of a success also its outputs, if the work did not write them."""

    @abstractmethod
    async def end(self, task: TaskContext, handle: Handle) -> None:
        """End the attempt; one that is over already is success."""

    async def launch(self, cluster: Cluster, task: TaskContext) -> Handle:
        """Start the attempt."""
        return await self.create(task)

    async def observe(self, cluster: Cluster, task: TaskContext, handle: Handle) -> Observation:
        """Look at the attempt, and ask for another look while it goes on."""
        seen = await self.look(task, handle)
        return seen if seen.phase.terminal else replace(seen, look_again_seconds=self.poll_seconds)

    async def abort(self, cluster: Cluster, task: TaskContext, handle: Handle) -> None:
        """End the attempt."""
        await self.end(task, handle)
