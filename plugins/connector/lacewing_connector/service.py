"""What the connector service says of itself, and how its refusals are told."""

from collections.abc import Mapping
from dataclasses import dataclass

import grpc
from flyteidl.admin import agent_pb2
from flyteidl.service import agent_pb2_grpc
from lacewing import ConfigError, LacewingError, TaskError, TransientError

from lacewing_connector.settings import ConnectorSettings

_LATER = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
}


@dataclass(frozen=True)
class Connector:
    """What runs a task type: within the call if `sync`, and for which versions of the type."""

    sync: bool
    versions: frozenset[int] = frozenset({0})

    def version(self, wanted: int) -> int:
        """The version to ask for. flytekit gives the tasks of a map a version of its own."""
        return wanted if wanted in self.versions else max(self.versions)


def discover(settings: ConnectorSettings) -> Mapping[str, Connector]:
    """The task types that the service runs. Raises ConfigError if it does not answer."""
    with _blocking_channel(settings) as channel:
        stub = agent_pb2_grpc.AgentMetadataServiceStub(channel)
        try:
            answer = stub.ListAgents(
                agent_pb2.ListAgentsRequest(), timeout=settings.timeout_seconds, wait_for_ready=True
            )
        except grpc.RpcError as error:
            raise ConfigError(
                f"the connector service at {settings.endpoint} does not answer ({error.code().name});"
                " start it (`pyflyte serve connector`), or take `connector` out of the enabled plugins"
            ) from error
    found: dict[str, Connector] = {}
    for agent in answer.agents:
        kinds = [(name, 0) for name in agent.supported_task_types]
        kinds += [(one.name, one.version) for one in agent.supported_task_categories]
        for name, version in kinds:
            known = found.get(name, Connector(agent.is_sync, frozenset()))
            found[name] = Connector(agent.is_sync, known.versions | {version})
    return found


def refusal(error: grpc.RpcError, doing: str) -> LacewingError:
    """The error to raise for a call that failed."""
    code = error.code()
    message = f"the connector service could not {doing}: {code.name}: {error.details()}"
    if code in _LATER:
        return TransientError(message, delay=5.0, code="ConnectorUnavailable")
    return TaskError(message, code="ConnectorError")


def _blocking_channel(settings: ConnectorSettings) -> grpc.Channel:
    if settings.secure:
        return grpc.secure_channel(settings.endpoint, grpc.ssl_channel_credentials())
    return grpc.insecure_channel(settings.endpoint)
