"""How a platform wants its pods: the settings that every plugin which builds pods shares.

Toleration, affinity and their kin are in Kubernetes' own form, and are checked by Kubernetes.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from lacewing.pods.quantity import checked

Quantity = Annotated[str, AfterValidator(checked)]
Object = dict[str, Any]


class PodSettings(BaseModel, extra="forbid", frozen=True):
    """Defaults and rules for all pods. A plugin's own settings model may inherit from it.

    Source: plugins.md, sections 2.2 to 2.9; each default is Flyte's unless its description says otherwise.
    """

    default_cpu: Quantity = Field(
        "", description="CPU of a primary container where neither task nor platform says. Flyte: 1000m."
    )
    default_memory: Quantity = Field(
        "", description="Memory of a primary container where neither task nor platform says. Flyte: 1024Mi."
    )
    image_pull_policy: str = Field("", description="imagePullPolicy of containers that a task describes.")
    scheduler_name: str = Field("", description="The scheduler of pods that name none.")

    default_labels: dict[str, str] = Field({}, description="Labels; all others win over these.")
    default_annotations: dict[str, str] = Field(
        {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        description="Annotations; all others win over these.",
    )
    default_env: dict[str, str] = Field({}, description="Variables of every container.")
    env_from_secrets: list[str] = Field(
        [], description="Secrets whose keys are variables of every container; they may be absent."
    )
    env_from_config_maps: list[str] = Field(
        [], description="ConfigMaps whose keys are variables of every container; they may be absent."
    )

    default_node_selector: dict[str, str] = Field({}, description="Node labels; the pod's own win.")
    interruptible_node_selector: dict[str, str] = Field(
        {}, description="Node labels of interruptible pods; these win over the pod's own."
    )
    default_affinity: Object = Field({}, description="The affinity of pods that have none.")
    interruptible_requirement: Object = Field(
        {}, description="A node selector requirement (key, operator, values) of interruptible pods."
    )
    non_interruptible_requirement: Object = Field(
        {}, description="A node selector requirement of pods that are not interruptible."
    )
    default_tolerations: list[Object] = Field([], description="Tolerations of every pod.")
    interruptible_tolerations: list[Object] = Field([], description="Tolerations of interruptible pods.")
    resource_tolerations: dict[str, list[Object]] = Field(
        {}, description="Resource name to the tolerations of pods that ask for it."
    )
    tolerated_resources: list[str] = Field(
        [], description="Extended resources whose own name is tolerated as a taint by pods that ask for them."
    )

    default_pod_security_context: Object = Field({}, description="securityContext of pods without one.")
    default_security_context: Object = Field({}, description="The same of primary containers.")
    host_network: bool | None = Field(None, description="hostNetwork of every pod, if set.")
    dns_config: Object = Field({}, description="dnsConfig of pods without one.")

    gpu_resource_name: str = Field("nvidia.com/gpu", description="The resource that a GPU is.")
    gpu_device_node_label: str = Field(
        "k8s.amazonaws.com/accelerator", description="Node label, and taint, that names the GPU's model."
    )
    gpu_partition_size_node_label: str = Field(
        "k8s.amazonaws.com/gpu-partition-size", description="Node label, and taint, of a GPU's partitions."
    )
    gpu_unpartitioned_requirement: Object = Field(
        {}, description="Node selector requirement for whole GPUs; by default no partition label."
    )
    gpu_unpartitioned_toleration: Object = Field({}, description="Toleration for whole GPUs.")

    pod_templates: dict[str, Object] = Field(
        {},
        description="Pod templates by `name` or `namespace/name`: objects with metadata and spec, as a"
        " PodTemplate's `template`.",
    )
    default_pod_template: str = Field("", description="The template of tasks that name none.")
