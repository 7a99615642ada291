"""How an execution is configured: request, launch plan, matchable attributes, platform, in this order. Pure.

Rules: contract "admin", section 3.3. Field by field the first source that says something wins, except that
labels are completed with the project's and that any source may ask to overwrite the cache.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from flyteidl.admin import (
    cluster_assignment_pb2,
    common_pb2,
    execution_pb2,
    launch_plan_pb2,
    matchable_resource_pb2,
)
from flyteidl.core import security_pb2

from lacewing.errors import InvalidArgument

Attributes: TypeAlias = Mapping[str, Sequence[matchable_resource_pb2.MatchingAttributes]]
"""The attributes that apply to an execution, by type, most specific first."""
Source: TypeAlias = (
    execution_pb2.ExecutionSpec
    | launch_plan_pb2.LaunchPlanSpec
    | matchable_resource_pb2.WorkflowExecutionConfig
)
_WHOLE = (
    ("raw_output_data_config", "output_location_prefix"),
    ("labels", "values"),
    ("annotations", "values"),
    ("envs", "values"),
    ("execution_env_assignments", ""),
)
_RESOURCES = {
    "cpu": "cpu",
    "memory": "memory",
    "gpu": "nvidia.com/gpu",
    "ephemeral_storage": "ephemeral-storage",
}


@dataclass(frozen=True)
class Platform:
    """What holds where nobody says otherwise. Resources are Kubernetes quantities by Kubernetes' names."""

    max_parallelism: int = 25
    element_parallelism: int = 0
    """Elements of an array that may be at work at once where it sets no limit itself; 0 is no limit."""
    service_account: str = ""
    default_resources: Mapping[str, str] = field(default_factory=dict)
    resource_limits: Mapping[str, str] = field(default_factory=dict)


def settle(
    given: execution_pb2.ExecutionSpec,
    plan: launch_plan_pb2.LaunchPlanSpec,
    attributes: Attributes,
    project_labels: Mapping[str, str],
    platform: Platform,
) -> execution_pb2.ExecutionSpec:
    """The spec to store and to run: the request's, with what it leaves open filled in."""
    configs = [one.workflow_execution_config for one in attributes.get("WORKFLOW_EXECUTION_CONFIG", ())]
    sources: list[Source] = [given, plan, *configs]
    spec = execution_pb2.ExecutionSpec()
    spec.CopyFrom(given)
    spec.ClearField("inputs")
    asked = (one.max_parallelism for one in sources if one.max_parallelism > 0)
    spec.max_parallelism = next(asked, platform.max_parallelism)
    for name, part in _WHOLE:
        _take(spec, sources, name, part)
    for key, value in project_labels.items():
        if key not in spec.labels.values:
            spec.labels.values[key] = value
    for source in sources:
        if source.HasField("interruptible"):
            spec.interruptible.CopyFrom(source.interruptible)
            break
    spec.overwrite_cache = any(source.overwrite_cache for source in sources)
    if not spec.HasField("quality_of_service") and plan.HasField("quality_of_service"):
        spec.quality_of_service.CopyFrom(plan.quality_of_service)
    spec.security_context.CopyFrom(_security(given, plan, sources, platform))
    return spec


def _take(spec: execution_pb2.ExecutionSpec, sources: Iterable[Source], name: str, part: str) -> None:
    for source in sources:
        value = getattr(source, name)
        if getattr(value, part) if part else value:
            spec.ClearField(name)
            getattr(spec, name).MergeFrom(value)
            return


def _security(
    given: execution_pb2.ExecutionSpec,
    plan: launch_plan_pb2.LaunchPlanSpec,
    sources: Iterable[Source],
    platform: Platform,
) -> security_pb2.SecurityContext:
    for source in sources:
        run_as = source.security_context.run_as
        if run_as.k8s_service_account or run_as.iam_role or run_as.execution_identity:
            return source.security_context
    found = security_pb2.SecurityContext()
    found.CopyFrom(given.security_context)
    found.run_as.SetInParent()
    for role in (given.auth_role, plan.auth_role, plan.auth):
        if role.assumable_iam_role or role.kubernetes_service_account:
            found.run_as.iam_role = role.assumable_iam_role
            found.run_as.k8s_service_account = role.kubernetes_service_account
            return found
    found.run_as.iam_role = plan.role
    found.run_as.k8s_service_account = platform.service_account
    return found


def notifications(
    spec: execution_pb2.ExecutionSpec, plan: launch_plan_pb2.LaunchPlanSpec
) -> list[common_pb2.Notification]:
    """Who is to be told of the end: the request's list if it has any, else the launch plan's."""
    if spec.disable_all:
        return []
    return list(spec.notifications.notifications) or list(plan.entity_metadata.notifications)


def assign_cluster(
    spec: execution_pb2.ExecutionSpec,
    plan: launch_plan_pb2.LaunchPlanSpec,
    parent: execution_pb2.ExecutionSpec | None,
    attributes: Attributes,
) -> None:
    """Fill in the pool and the cluster label. A pool other than the configured one is refused."""
    pools = [one.cluster_assignment for one in attributes.get("CLUSTER_ASSIGNMENT", ())]
    wanted = spec.cluster_assignment.cluster_pool_name
    if wanted and pools and wanted != pools[0].cluster_pool_name:
        raise InvalidArgument(
            f"execution asks for the cluster pool [{wanted}], and only [{pools[0].cluster_pool_name}]"
            " is assigned to its project and domain"
        )
    inherited = [parent.cluster_assignment] if parent is not None else []
    if found := _pool([spec.cluster_assignment, *inherited, plan.cluster_assignment, *pools]):
        spec.cluster_assignment.CopyFrom(found)
    labels = [spec.execution_cluster_label.value]
    labels += [parent.execution_cluster_label.value] if parent is not None else []
    labels += [one.execution_cluster_label.value for one in attributes.get("EXECUTION_CLUSTER_LABEL", ())]
    if label := next(filter(None, labels), ""):
        spec.execution_cluster_label.value = label


def _pool(
    pools: Iterable[cluster_assignment_pb2.ClusterAssignment],
) -> cluster_assignment_pb2.ClusterAssignment | None:
    return next((pool for pool in pools if pool.cluster_pool_name), None)


def task_resources(attributes: Attributes, platform: Platform) -> tuple[dict[str, str], dict[str, str]]:
    """Default requests and limits of tasks: the most specific row's, and the platform's where it has none."""
    defaults, limits = dict(platform.default_resources), dict(platform.resource_limits)
    for row in attributes.get("TASK_RESOURCE", ())[:1]:
        defaults |= _amounts(row.task_resource_attributes.defaults)
        limits |= _amounts(row.task_resource_attributes.limits)
    return defaults, limits


def _amounts(spec: matchable_resource_pb2.TaskResourceSpec) -> dict[str, str]:
    found = {kubernetes: str(getattr(spec, name)) for name, kubernetes in _RESOURCES.items()}
    return {name: amount for name, amount in found.items() if amount}
