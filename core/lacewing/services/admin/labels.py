"""Labels as Kubernetes takes them, refused in its words. Pure."""

import re

from flyteidl.admin import common_pb2

from lacewing.errors import InvalidArgument

_MOST = 16
_LONGEST = 63
_LONGEST_PREFIX = 253
_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_NAME_WORDS = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_WORDS = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must"
    " start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used"
    " for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def check_labels(labels: common_pb2.Labels) -> None:
    """Few enough, and each one good; raises InvalidArgument that names it."""
    if len(labels.values) > _MOST:
        raise InvalidArgument(f"Labels map has more than {_MOST} entries")
    for key, value in labels.values.items():
        if problem := _key_problem(key):
            raise InvalidArgument(f"invalid label key [{key}]: [{problem}]")
        if len(value) > _LONGEST:
            raise InvalidArgument(f"invalid label value [{value}]: [{_too_long('', _LONGEST)}]")
        if value and not _NAME.fullmatch(value):
            raise InvalidArgument(f"invalid label value [{value}]: [{_VALUE_WORDS}]")


def _key_problem(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if slash and len(prefix) > _LONGEST_PREFIX:
        return _too_long("prefix part ", _LONGEST_PREFIX)
    if slash and not _PREFIX.fullmatch(prefix):
        return "prefix part must be a lowercase RFC 1123 subdomain (e.g. 'example.com')"
    if len(name) > _LONGEST:
        return _too_long("name part ", _LONGEST)
    return "" if _NAME.fullmatch(name) else _NAME_WORDS


def _too_long(part: str, most: int) -> str:
    return f"{part}must be no more than {most} characters"
