"""Tasks that need a pod of their own kind."""

from typing import Any

from flytekit import Resources, task, workflow
from flytekit.models.task import K8sObjectMetadata, K8sPod


@task
def accompanied(x: int) -> int:
    return x + 1


def with_sidecar(settings: Any) -> K8sPod:
    """The pod that flytekit makes of a pod template with a sidecar, without its kubernetes package."""
    container = accompanied._get_container(settings)
    main = {"name": "main", "image": container.image, "args": container.args}
    side = {"name": "side", "image": "example.org/none", "args": ["serve"]}
    return K8sPod(metadata=K8sObjectMetadata(), pod_spec={"containers": [side, main]})


accompanied.get_container = lambda settings: None
accompanied.get_k8s_pod = with_sidecar
accompanied.get_config = lambda settings: {"primary_container_name": "main"}


@task(retries=2, limits=Resources(mem="200Mi"))
def hungry(x: int) -> int:
    import time

    held = bytearray(400 * 2**20)
    time.sleep(3)
    return len(held) * 0 + x


@workflow
def w_accompanied(x: int) -> int:
    return accompanied(x=x)


@workflow
def w_hungry(x: int) -> int:
    return hungry(x=x)
