"""The section `plugins.settings.container`: how pods are made, how long they may wait, what is linked."""

from lacewing.pods import LogTemplate, PodSettings, Quantity
from pydantic import Field


class ContainerSettings(PodSettings, extra="forbid", frozen=True):
    """What all pods have, and what only this plugin knows of."""

    image_pull_grace_seconds: float = Field(
        180.0, ge=0, description="How long an image may fail to be pulled before the attempt fails."
    )
    create_error_grace_seconds: float = Field(
        180.0, ge=0, description="How long a container may fail to be created before the task fails."
    )
    config_error_grace_seconds: float = Field(
        0.0, ge=0, description="The same for a container whose configuration is refused."
    )
    secret_grace_seconds: float = Field(
        180.0, ge=0, description="How long a pod waits for a Secret that is not there before a new attempt."
    )
    pending_timeout_seconds: float = Field(
        0.0, ge=0, description="How long a pod may be pending before the attempt fails; 0 is for ever."
    )
    retry_memory_factor: float = Field(
        1.0,
        ge=1,
        description="Memory of an attempt after one that ran out of it, as a multiple; 1 leaves it as it is.",
    )
    retry_memory_limit: Quantity = Field(
        "", description="The most that such an attempt is given, besides the platform's own limit."
    )
    log_templates: list[LogTemplate] = Field([], description="Links to logs, of every attempt.")
    dynamic_log_templates: dict[str, list[LogTemplate]] = Field(
        {}, description="The same for tasks whose config names the type in `link_type`, a list with commas."
    )
