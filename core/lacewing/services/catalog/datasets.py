"""Datasets: one for each version of a cached task's interface. Rules: contract "admin", section 9.2."""

import uuid
from typing import Any

from flyteidl.datacatalog import datacatalog_pb2
from sqlalchemy import Connection, select

from lacewing.adapters.sql import Database
from lacewing.errors import AlreadyExists, InvalidArgument
from lacewing.ports import Clock
from lacewing.services import db
from lacewing.services.catalog.page import dataset_condition, list_rows
from lacewing.services.catalog.rows import dataset_columns, dataset_text, find, get_dataset, time_text
from lacewing.services.rpc import Call


class Datasets:
    """The RPCs about datasets."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def CreateDataset(
        self, request: datacatalog_pb2.CreateDatasetRequest, call: Call
    ) -> datacatalog_pb2.CreateDatasetResponse:
        """Make a dataset."""
        at = time_text(self._clock.now())
        await self._database.write(lambda c: create_dataset(c, request.dataset, at))
        return datacatalog_pb2.CreateDatasetResponse()

    async def GetDataset(
        self, request: datacatalog_pb2.GetDatasetRequest, call: Call
    ) -> datacatalog_pb2.GetDatasetResponse:
        """A dataset."""
        row = await self._database.read(lambda c: get_dataset(c, request.dataset))
        return datacatalog_pb2.GetDatasetResponse(dataset=datacatalog_pb2.Dataset.FromString(row.body))

    async def ListDatasets(
        self, request: datacatalog_pb2.ListDatasetsRequest, call: Call
    ) -> datacatalog_pb2.ListDatasetsResponse:
        """Datasets by the parts of their name."""
        rows, token = await self._database.read(lambda c: _list(c, request))
        found = [datacatalog_pb2.Dataset.FromString(row.body) for row in rows]
        return datacatalog_pb2.ListDatasetsResponse(datasets=found, next_token=token)


def create_dataset(connection: Connection, dataset: datacatalog_pb2.Dataset, at: str) -> None:
    """Store a dataset; raises AlreadyExists."""
    columns = dataset_columns(dataset.id)
    keys = list(dataset.partitionKeys)
    if len(set(keys)) < len(keys):
        raise InvalidArgument(f"partition keys of dataset {dataset_text(columns)} are not unique: {keys}")
    if find(connection, db.catalog_datasets, columns) is not None:
        raise AlreadyExists(f"dataset {dataset_text(columns)} is there already")
    kept = datacatalog_pb2.Dataset()
    kept.CopyFrom(dataset)
    kept.id.UUID = str(uuid.uuid4())
    values: dict[str, Any] = {**columns, "body": kept.SerializeToString(), "created_at": at}
    connection.execute(db.catalog_datasets.insert().values(values))


def _list(connection: Connection, request: datacatalog_pb2.ListDatasetsRequest) -> tuple[list[Any], str]:
    query = select(db.catalog_datasets)
    for one in request.filter.filters:
        if one.WhichOneof("property_filter") != "dataset_filter":
            raise InvalidArgument("datasets are filtered by dataset_filter only")
        query = query.where(dataset_condition(one.dataset_filter))
    return list_rows(connection, query, db.catalog_datasets, request)
