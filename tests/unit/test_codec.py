"""Stored state that is read again, and that an earlier version wrote."""

from datetime import UTC, datetime

import immutables
from lacewing.model.array import ArrayRun, Element
from lacewing.model.codec import array_from_json, array_to_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def test_an_array_comes_back_as_it_was():
    elements = {0: Element(2, 1, {"name": "x"}, NOW, failures=("OOMKilled", "Error")), 3: Element()}
    array = ArrayRun("r..r", immutables.Map(elements), 4, 2, errors=("[1]: words",), untold=(0,))
    assert array_from_json(array_to_json(array)) == array


def test_an_array_of_a_version_that_kept_no_failures_can_be_read():
    data = array_to_json(ArrayRun("r", immutables.Map({0: Element(1)})))
    data["elements"]["0"] = data["elements"]["0"][:5]
    assert array_from_json(data).element(0) == Element(1)
