"""The hooks that a plugin may implement. Each is documented in docs/plugins.md and used in this tree.

pluggy is synchronous: an `async def` hook would answer a coroutine and count as an answer even when it means
"not mine". So hooks return objects, and what has to wait lives in the objects' methods.
"""

from collections.abc import Iterable

import pluggy

from lacewing.hooks.setup import Setup
from lacewing.ports import Backend

hookspec = pluggy.HookspecMarker("lacewing")
hookimpl = pluggy.HookimplMarker("lacewing")


@hookspec
def register_backends(setup: Setup) -> Iterable[Backend]:
    """The backends of this plugin. Called once at start; two claimants of one task type are a ConfigError."""
    raise AssertionError("a specification is never called")
