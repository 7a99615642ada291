"""Artifacts: outputs of one execution of a task, found by a tag. Rules: contract "admin", section 9.2."""

from typing import Any

from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import ColumnElement, Connection, Row, exists, select

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, InvalidArgument
from lacewing.ports import Clock
from lacewing.services import db
from lacewing.services.catalog.page import dataset_condition, list_rows
from lacewing.services.catalog.rows import find, get_artifact, get_dataset, time_text
from lacewing.services.rpc import Call


class Artifacts:
    """The RPCs about artifacts and tags."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def CreateArtifact(
        self, request: datacatalog_pb2.CreateArtifactRequest, call: Call
    ) -> datacatalog_pb2.CreateArtifactResponse:
        """Store an artifact with its data."""
        at = time_text(self._clock.now())
        await self._database.write(lambda c: create_artifact(c, request.artifact, at))
        return datacatalog_pb2.CreateArtifactResponse()

    async def GetArtifact(
        self, request: datacatalog_pb2.GetArtifactRequest, call: Call
    ) -> datacatalog_pb2.GetArtifactResponse:
        """An artifact with its data, by its id or by a tag."""

        def read(connection: Connection) -> datacatalog_pb2.Artifact:
            row = get_artifact(connection, get_dataset(connection, request.dataset), request)
            return artifact_message(connection, row)

        return datacatalog_pb2.GetArtifactResponse(artifact=await self._database.read(read))

    async def UpdateArtifact(
        self, request: datacatalog_pb2.UpdateArtifactRequest, call: Call
    ) -> datacatalog_pb2.UpdateArtifactResponse:
        """Put other data and metadata in the place of an artifact's."""
        found = await self._database.write(lambda c: update_artifact(c, request))
        return datacatalog_pb2.UpdateArtifactResponse(artifact_id=found)

    async def AddTag(
        self, request: datacatalog_pb2.AddTagRequest, call: Call
    ) -> datacatalog_pb2.AddTagResponse:
        """Have an artifact found by a tag."""
        at = time_text(self._clock.now())
        await self._database.write(lambda c: add_tag(c, request.tag, at))
        return datacatalog_pb2.AddTagResponse()

    async def ListArtifacts(
        self, request: datacatalog_pb2.ListArtifactsRequest, call: Call
    ) -> datacatalog_pb2.ListArtifactsResponse:
        """Artifacts of a dataset."""
        return await self._database.read(lambda c: _list(c, request))


def create_artifact(connection: Connection, artifact: datacatalog_pb2.Artifact, at: str) -> None:
    """Store an artifact; raises NotFound for its dataset and AlreadyExists for itself."""
    if not artifact.id:
        raise InvalidArgument("missing artifact id")
    _check_data(artifact.data)
    dataset = get_dataset(connection, artifact.dataset)
    _check_partitions(datacatalog_pb2.Dataset.FromString(dataset.body), artifact)
    columns = {"dataset_id": dataset.id, "artifact_id": artifact.id}
    if find(connection, db.catalog_artifacts, columns) is not None:
        raise AlreadyExists(f"artifact {artifact.id} is there already")
    kept = datacatalog_pb2.Artifact()
    kept.CopyFrom(artifact)
    kept.ClearField("tags")
    kept.created_at.FromJsonString(at)
    values = {**columns, "body": kept.SerializeToString(), "created_at": at}
    made = connection.execute(db.catalog_artifacts.insert().values(values)).inserted_primary_key
    assert made is not None
    for one in artifact.partitions:
        values = {"artifact": made.id, "key": one.key, "value": one.value}
        connection.execute(db.catalog_partitions.insert().values(values))


def update_artifact(connection: Connection, request: datacatalog_pb2.UpdateArtifactRequest) -> str:
    """Replace an artifact's data and metadata; its id. Raises NotFound."""
    _check_data(request.data)
    row = get_artifact(connection, get_dataset(connection, request.dataset), request)
    artifact = datacatalog_pb2.Artifact.FromString(row.body)
    del artifact.data[:]
    artifact.data.extend(request.data)
    artifact.metadata.CopyFrom(request.metadata)
    artifacts = db.catalog_artifacts
    change = artifacts.update().where(artifacts.c.id == row.id)
    connection.execute(change.values(body=artifact.SerializeToString()))
    return str(row.artifact_id)


def add_tag(connection: Connection, tag: datacatalog_pb2.Tag, at: str) -> None:
    """Store a tag; raises NotFound for what it names, and AlreadyExists: a tag keeps its artifact."""
    if not tag.name:
        raise InvalidArgument("missing tag name")
    dataset = get_dataset(connection, tag.dataset)
    named = datacatalog_pb2.GetArtifactRequest(artifact_id=tag.artifact_id)
    artifact = get_artifact(connection, dataset, named)
    columns = {"dataset_id": dataset.id, "name": tag.name}
    if find(connection, db.catalog_tags, columns) is not None:
        raise AlreadyExists(f"tag {tag.name} is there already, and keeps its artifact")
    connection.execute(
        db.catalog_tags.insert().values({**columns, "artifact": artifact.id, "created_at": at})
    )


def artifact_message(connection: Connection, row: Row[Any]) -> datacatalog_pb2.Artifact:
    """A stored artifact with its tags."""
    artifact = datacatalog_pb2.Artifact.FromString(row.body)
    tags = db.catalog_tags
    for name in connection.scalars(
        select(tags.c.name).where(tags.c.artifact == row.id).order_by(tags.c.name)
    ):
        artifact.tags.add(name=name, artifact_id=artifact.id, dataset=artifact.dataset)
    return artifact


def _check_data(data: Any) -> None:
    if not data:
        raise InvalidArgument("missing artifact data: at least one value is needed")
    names = [one.name for one in data]
    if not all(names) or len(set(names)) < len(names):
        raise InvalidArgument(f"the values of an artifact need names, each its own; got {names}")


def _check_partitions(dataset: datacatalog_pb2.Dataset, artifact: datacatalog_pb2.Artifact) -> None:
    wanted, given = list(dataset.partitionKeys), [one.key for one in artifact.partitions]
    if sorted(wanted) != sorted(given):
        raise InvalidArgument(f"the dataset is partitioned by {wanted}, and the artifact has {given}")


def _list(
    connection: Connection, request: datacatalog_pb2.ListArtifactsRequest
) -> datacatalog_pb2.ListArtifactsResponse:
    dataset = get_dataset(connection, request.dataset)
    query = select(db.catalog_artifacts).where(db.catalog_artifacts.c.dataset_id == dataset.id)
    for one in request.filter.filters:
        query = query.where(_condition(one))
    rows, token = list_rows(connection, query, db.catalog_artifacts, request)
    found = [artifact_message(connection, row) for row in rows]
    return datacatalog_pb2.ListArtifactsResponse(artifacts=found, next_token=token)


def _condition(asked: datacatalog_pb2.SinglePropertyFilter) -> ColumnElement[bool]:
    artifacts, partitions, tags = db.catalog_artifacts, db.catalog_partitions, db.catalog_tags
    which = asked.WhichOneof("property_filter")
    if which == "artifact_filter":
        by_id: ColumnElement[bool] = artifacts.c.artifact_id == asked.artifact_filter.artifact_id
        return by_id
    if which == "tag_filter":
        name = tags.c.name == asked.tag_filter.tag_name
        return exists().where(tags.c.artifact == artifacts.c.id, name)
    if which == "partition_filter":
        pair = asked.partition_filter.key_val
        same = (partitions.c.key == pair.key) & (partitions.c.value == pair.value)
        return exists().where(partitions.c.artifact == artifacts.c.id, same)
    if which == "dataset_filter":
        datasets = db.catalog_datasets
        return exists().where(
            datasets.c.id == artifacts.c.dataset_id, dataset_condition(asked.dataset_filter)
        )
    raise InvalidArgument(
        "a filter needs one of tag_filter, partition_filter, artifact_filter, dataset_filter"
    )
