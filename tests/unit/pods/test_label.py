"""Names and labels that Kubernetes takes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lacewing.pods import container_name, label_value, object_name


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my_package.module.task", "my-package-module-task"),
        ("Ünï__code", "n-code"),
        ("--a--", "a"),
        ("x" * 70, "x" * 63),
        ("", ""),
    ],
)
def test_a_label_is_made_of_any_text(text, value):
    assert label_value(text) == value


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a1b2-n0-0", "a1b2-n0-0"),
        ("a1b2-myNode-0", "a1b2-my-node-0"),
        ("a1b2-my_node-0", "a1b2-mynode-0"),
        ("a.b", "a.b"),
    ],
)
def test_an_object_keeps_its_name_if_it_can(text, name):
    assert object_name(text) == name


def test_a_containers_name_has_no_dots():
    assert container_name("a.B") == "a-b"


@given(st.text(max_size=100))
def test_a_label_is_always_legal(text):
    assert re.fullmatch(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?", label_value(text))
