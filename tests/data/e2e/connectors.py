"""Two small connectors, one of each kind, and a workflow over them and a sensor."""

import time
import typing
from dataclasses import dataclass

from flyteidl.core.execution_pb2 import TaskExecution
from flytekit import map_task, task, workflow
from flytekit.core.base_task import PythonTask
from flytekit.core.interface import Interface
from flytekit.core.python_function_task import PythonFunctionTask
from flytekit.extend import TaskPlugins
from flytekit.extend.backend.base_connector import (
    AsyncConnectorBase,
    AsyncConnectorExecutorMixin,
    ConnectorRegistry,
    Resource,
    ResourceMeta,
    SyncConnectorBase,
    SyncConnectorExecutorMixin,
)
from flytekit.models.literals import LiteralMap
from flytekit.sensor.file_sensor import FileSensor


@dataclass
class Job(ResourceMeta):
    number: int
    due: float


class Doubler(AsyncConnectorBase):
    """Doubles a number, in its own time; a negative one fails."""

    name = "Doubler"

    def __init__(self):
        super().__init__(task_type_name="doubler", metadata_type=Job)

    def create(self, task_template, inputs: typing.Optional[LiteralMap] = None, **kwargs) -> Job:
        return Job(inputs.literals["number"].scalar.primitive.integer, time.time() + 0.5)

    def get(self, resource_meta: Job, **kwargs) -> Resource:
        if resource_meta.number < 0:
            return Resource(phase=TaskExecution.FAILED, message="negative numbers are refused")
        if time.time() < resource_meta.due:
            return Resource(phase=TaskExecution.RUNNING, message="at it")
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": 2 * resource_meta.number})

    def delete(self, resource_meta: Job, **kwargs):
        return


class Greeter(SyncConnectorBase):
    """Greets, within the call."""

    name = "Greeter"

    def __init__(self):
        super().__init__(task_type_name="greeter")

    def do(self, task_template, output_prefix=None, inputs=None, **kwargs) -> Resource:
        name = inputs.literals["name"].scalar.primitive.string_value
        return Resource(phase=TaskExecution.SUCCEEDED, outputs={"o0": f"Hello {name}"})


ConnectorRegistry.register(Doubler(), override=True)
ConnectorRegistry.register(Greeter(), override=True)


@dataclass
class Doubling:
    """Asks for the doubler."""


class DoublerTask(AsyncConnectorExecutorMixin, PythonFunctionTask[Doubling]):
    def __init__(self, task_config: Doubling, task_function: typing.Callable, **kwargs):
        super().__init__(task_config, task_function, task_type="doubler", **kwargs)


TaskPlugins.register_pythontask_plugin(Doubling, DoublerTask)


class GreeterTask(SyncConnectorExecutorMixin, PythonTask):
    def __init__(self, name: str, **kwargs):
        interface = Interface(inputs={"name": str}, outputs={"o0": str})
        super().__init__(task_type="greeter", name=name, interface=interface, task_config=None, **kwargs)


greet = GreeterTask("connectors.greet")
sensor = FileSensor(name="connectors.sensor")


@task(task_config=Doubling())
def double(number: int) -> int:
    return 2 * number


@task
def shout(text: str, number: int) -> str:
    return f"{text.upper()} {number}"


@workflow
def both(name: str = "you", number: int = 21) -> str:
    return shout(text=greet(name=name), number=double(number=number))


@workflow
def many() -> typing.List[int]:
    return map_task(double)(number=[1, 2, 3])


@workflow
def wait(path: str = "/nowhere") -> None:
    sensor(path=path)
