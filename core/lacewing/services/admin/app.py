"""Admin put together: its parts over one database, and the services that they answer for."""

from collections.abc import Callable
from typing import Any

from flyteidl.admin import project_pb2, version_pb2
from flyteidl.service import admin_pb2, dataproxy_pb2, signal_pb2
from google.protobuf.descriptor import ServiceDescriptor

from lacewing import __version__
from lacewing.adapters.events import News
from lacewing.adapters.sql import Database
from lacewing.ports import BlobStore, RunStore, Signing
from lacewing.services.admin.attributes import Attributes
from lacewing.services.admin.children import AdminChildren
from lacewing.services.admin.configuration import Platform
from lacewing.services.admin.dataproxy import DataProxy
from lacewing.services.admin.dynamics import AdminDynamics
from lacewing.services.admin.entities import EntityLists, LaunchPlans
from lacewing.services.admin.events import Events
from lacewing.services.admin.executions import Executions
from lacewing.services.admin.holding import Holding
from lacewing.services.admin.launches import Launches
from lacewing.services.admin.metrics import Metrics
from lacewing.services.admin.named import Descriptions, NamedEntities
from lacewing.services.admin.projects import Projects
from lacewing.services.admin.registration import Registration
from lacewing.services.admin.rows import DOMAINS
from lacewing.services.admin.signals import Signals
from lacewing.services.admin.views import Views
from lacewing.services.rpc import Call

_ADMIN: ServiceDescriptor = admin_pb2.DESCRIPTOR.services_by_name["AdminService"]
_DATA_PROXY: ServiceDescriptor = dataproxy_pb2.DESCRIPTOR.services_by_name["DataProxyService"]
_SIGNALS: ServiceDescriptor = signal_pb2.DESCRIPTOR.services_by_name["SignalService"]
Wake = Callable[..., None]


class About:
    """The RPCs that say what this server is."""

    async def GetVersion(self, request: Any, call: Call) -> version_pb2.GetVersionResponse:
        """The version of Lacewing."""
        version = version_pb2.Version(Build="lacewing", Version=__version__)
        return version_pb2.GetVersionResponse(control_plane_version=version)

    async def GetDomains(self, request: Any, call: Call) -> project_pb2.GetDomainsResponse:
        """The domains, which every project has."""
        domains = [project_pb2.Domain(id=name, name=name) for name in DOMAINS]
        return project_pb2.GetDomainsResponse(domains=domains)


class Combined:
    """Several parts that together answer for one service."""

    def __init__(self, *parts: object) -> None:
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        for part in self._parts:
            if name[0] != "_" and hasattr(part, name):
                return getattr(part, name)
        raise AttributeError(name)


class Admin:
    """All of admin. `services` says who answers for which service, over gRPC and HTTP alike.

    `wake(run, *hints)` is called when something happened that a run waits for: a signal, a child's end.
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        runs: RunStore,
        root: str,
        signing: Signing,
        *,
        platform: Platform | None = None,
        news: News | None = None,
        holding: Holding | None = None,
        wake: Wake = lambda run, *hints: None,
    ) -> None:
        platform, news = platform or Platform(), news or News()
        views = Views(database, blobs)
        launches = Launches(database, blobs, runs, root, platform)
        executions = Executions(database, blobs, runs, news, holding)
        self.children = AdminChildren(database, blobs, launches, executions, news, wake)
        self.dynamics = AdminDynamics(database)
        self.signals = Signals(database, wake)
        self.rpcs = Combined(
            Registration(database, blobs, root, platform.resource_limits),
            launches,
            executions,
            Events(database, news),
            views,
            Metrics(database, blobs),
            EntityLists(database),
            LaunchPlans(database),
            NamedEntities(database),
            Descriptions(database),
            Projects(database),
            Attributes(database),
            About(),
        )
        self.refuse_unstarted = launches.refuse_unstarted
        self.services: dict[ServiceDescriptor, object] = {
            _ADMIN: self.rpcs,
            _DATA_PROXY: DataProxy(root, signing, blobs, views),
            _SIGNALS: self.signals,
        }
