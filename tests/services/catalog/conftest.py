"""The catalog alone, on a real socket."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flyteidl.datacatalog import datacatalog_pb2_grpc
from grpc import aio
from lacewing.adapters.sql import Database, metadata, open_engine
from lacewing.services.catalog.app import Catalog
from lacewing.services.rpc import grpc_server
from lacewing.testing import ManualClock


@dataclass(frozen=True)
class Served:
    """What a test talks to."""

    stub: Any
    catalog: Catalog
    clock: ManualClock


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    engine = open_engine(f"sqlite:///{tmp_path}/db")
    metadata.create_all(engine)
    database, clock = Database(engine), ManualClock()
    catalog = Catalog(database, clock)
    server = grpc_server(catalog.services)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Served(datacatalog_pb2_grpc.DataCatalogStub(channel), catalog, clock)
    await server.stop(None)
    database.close()
