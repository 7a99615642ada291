"""Names and label values that Kubernetes takes, made of those that users choose. Pure."""

import re
from functools import lru_cache

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_STRANGE = re.compile(r"[^-a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LABEL_LENGTH = 63


@lru_cache(maxsize=4096)
def label_value(text: str) -> str:
    """`text` as a label's value: lower case, every run of other characters a dash, at most 63 characters."""
    return _STRANGE.sub("-", text.lower())[:_LABEL_LENGTH].strip("-")


@lru_cache(maxsize=4096)
def object_name(text: str) -> str:
    """`text` as an object's name: itself if it is a DNS-1123 subdomain, else in kebab case."""
    if _SUBDOMAIN.match(text):
        return text
    return re.sub(r"[^-.a-z0-9]+", "", _HUMP.sub("-", text).lower()).strip("-.")


def container_name(text: str) -> str:
    """`text` as a container's name: a DNS-1123 label."""
    return text if _LABEL.match(text) else label_value(_HUMP.sub("-", text))
