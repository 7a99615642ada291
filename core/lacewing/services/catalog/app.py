"""The catalog put together: its parts over one database, and the service that they answer for."""

from flyteidl.datacatalog import datacatalog_pb2
from google.protobuf.descriptor import ServiceDescriptor

from lacewing.adapters.sql import Database
from lacewing.ports import Clock
from lacewing.services.catalog.artifacts import Artifacts
from lacewing.services.catalog.datasets import Datasets
from lacewing.services.catalog.engine import EngineCatalog
from lacewing.services.catalog.reservations import Reservations

_CATALOG: ServiceDescriptor = datacatalog_pb2.DESCRIPTOR.services_by_name["DataCatalog"]


class Catalog(Datasets, Artifacts, Reservations):
    """The RPCs of the service, and the engine's port. There is no HTTP: clients do not call it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        super().__init__(database, clock)
        self.engine = EngineCatalog(database, clock)
        self.services: dict[ServiceDescriptor, object] = {_CATALOG: self}
