"""What `lacewing demo start` checks before it starts anything."""

import subprocess
import sys

import pytest
from lacewing.demo.command import check_host, check_system
from lacewing.errors import ConfigError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_leave(host: str):
    check_host(host, False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "example.org"])
def test_any_other_address_does(host: str):
    check_host(host, True)
    with pytest.raises(ConfigError, match="--allow-remote"):
        check_host(host, False)


def test_another_system_than_linux_is_told_what_is_missing():
    check_system("linux")
    with pytest.raises(ConfigError, match="this is darwin"):
        check_system("darwin")


def test_the_command_that_starts_imports_nothing_that_serves():
    program = (
        "import sys, lacewing.demo.command; print(*(set(sys.modules) & {'grpc', 'sqlalchemy', 'fastapi'}))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
