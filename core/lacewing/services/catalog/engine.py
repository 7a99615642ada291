"""The engine's port, answered in the process: one transaction where a remote client needs several calls."""

import contextlib
import uuid

from flyteidl.core import literals_pb2
from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import Connection

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, NotFound
from lacewing.model.cache import Artifact, CacheKey, Source
from lacewing.model.ids import RunKey
from lacewing.ports import Clock, Stored
from lacewing.services.catalog.artifacts import add_tag, create_artifact, update_artifact
from lacewing.services.catalog.datasets import create_dataset
from lacewing.services.catalog.reservations import release, reserve
from lacewing.services.catalog.rows import get_artifact, get_dataset, time_text

_TASK_VERSION = "task-version"


class EngineCatalog:
    """The Catalog of an engine in the same process. Its metadata keys are those that Flyte reads."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def lookup(self, key: CacheKey) -> Artifact | None:
        """The outputs, or None."""
        request = datacatalog_pb2.GetArtifactRequest(dataset=_dataset(key), tag_name=key.tag)

        def read(connection: Connection) -> tuple[bytes, bytes]:
            dataset = get_dataset(connection, request.dataset)
            return dataset.body, get_artifact(connection, dataset, request).body

        try:
            dataset, body = await self._database.read(read)
        except NotFound:
            return None
        version = datacatalog_pb2.Dataset.FromString(dataset).metadata.key_map.get(_TASK_VERSION, "")
        return _artifact(datacatalog_pb2.Artifact.FromString(body), version)

    async def put(
        self, key: CacheKey, outputs: literals_pb2.LiteralMap, source: Source, *, overwrite: bool = False
    ) -> Stored:
        """Keep the outputs, or those that are there."""
        at = time_text(self._clock.now())
        return await self._database.write(lambda c: _put(c, key, outputs, source, at, overwrite=overwrite))

    async def reserve(self, key: CacheKey, owner: str, seconds: float) -> str:
        """Who computes it."""
        now = self._clock.now()
        holder, _ = await self._database.write(
            lambda c: reserve(c, key._asdict(), owner, min(seconds, 10.0), now)
        )
        return holder

    async def release(self, key: CacheKey, owner: str) -> None:
        """Forget the reservation if it is the owner's."""
        await self._database.write(lambda c: release(c, key._asdict(), owner))


def _put(
    connection: Connection,
    key: CacheKey,
    outputs: literals_pb2.LiteralMap,
    source: Source,
    at: str,
    *,
    overwrite: bool,
) -> Stored:
    identifier, metadata = _dataset(key), _metadata(source)
    data = [
        datacatalog_pb2.ArtifactData(name=name, value=outputs.literals[name])
        for name in sorted(outputs.literals)
    ]
    if overwrite:
        request = datacatalog_pb2.UpdateArtifactRequest(
            dataset=identifier, tag_name=key.tag, data=data, metadata=metadata
        )
        with contextlib.suppress(NotFound):
            return Stored(update_artifact(connection, request), replaced=True)
    made = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{key}{source}"))
    dataset = datacatalog_pb2.Dataset(id=identifier)
    dataset.metadata.key_map[_TASK_VERSION] = source.task_version
    with contextlib.suppress(AlreadyExists):
        create_dataset(connection, dataset, at)
    with contextlib.suppress(AlreadyExists):
        create_artifact(
            connection,
            datacatalog_pb2.Artifact(id=made, dataset=identifier, data=data, metadata=metadata),
            at,
        )
    with contextlib.suppress(AlreadyExists):
        add_tag(connection, datacatalog_pb2.Tag(name=key.tag, artifact_id=made, dataset=identifier), at)
    return Stored(made)


def _dataset(key: CacheKey) -> datacatalog_pb2.DatasetID:
    return datacatalog_pb2.DatasetID(
        project=key.project, domain=key.domain, name=key.name, version=key.version
    )


def _metadata(source: Source) -> datacatalog_pb2.Metadata:
    return datacatalog_pb2.Metadata(
        key_map={
            _TASK_VERSION: source.task_version,
            "exec-project": source.run.project,
            "exec-domain": source.run.domain,
            "execution-name": source.run.name,
            "exec-node": source.node_id,
            "exec-attempt": str(source.attempt),
        }
    )


def _artifact(message: datacatalog_pb2.Artifact, task_version: str) -> Artifact:
    outputs = literals_pb2.LiteralMap(literals={one.name: one.value for one in message.data})
    told = message.metadata.key_map
    attempt = told.get("exec-attempt", "0")
    if "execution-name" not in told:
        return Artifact(message.id, outputs)
    run = RunKey(told.get("exec-project", ""), told.get("exec-domain", ""), told["execution-name"])
    number = int(attempt) if attempt.isdigit() else 0
    version = told.get(_TASK_VERSION, task_version)
    return Artifact(message.id, outputs, Source(run, told.get("exec-node", ""), number, version))
