"""Public building blocks of pods, for plugins. Pure: no cluster, no clock.

`build_pod` makes the pod of an attempt; the rest are its parts. See docs/plugins.md.
"""

from lacewing.pods.build import PRIMARY_ANNOTATION, build_pod, primary_container, primary_name
from lacewing.pods.label import container_name, label_value, object_name
from lacewing.pods.log import LogTemplate, log_links
from lacewing.pods.moment import OBSERVED_AT, created_at, parsed, seen_at
from lacewing.pods.quantity import quantity
from lacewing.pods.resource import resources
from lacewing.pods.settings import PodSettings, Quantity
from lacewing.pods.target import PRIMARY
from lacewing.pods.template import merged

__all__ = [
    "OBSERVED_AT",
    "PRIMARY",
    "PRIMARY_ANNOTATION",
    "LogTemplate",
    "PodSettings",
    "Quantity",
    "build_pod",
    "container_name",
    "created_at",
    "label_value",
    "log_links",
    "merged",
    "object_name",
    "parsed",
    "primary_container",
    "primary_name",
    "quantity",
    "resources",
    "seen_at",
]
