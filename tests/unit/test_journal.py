"""The demo's log on a full disk."""

import subprocess
import sys

SCRIPT = """
import sys
import structlog
from lacewing.demo.journal import keep_journal

keep_journal()
for _ in range(3):
    structlog.get_logger().info("a line" * 10_000)
    print("another", file=sys.stderr, flush=True)
sys.__stdout__ = sys.__stderr__ = None
open(sys.argv[1], "w").write("alive")
"""


def test_a_line_that_cannot_be_written_is_lost_and_nothing_else(tmp_path):
    with open("/dev/full", "w") as full:
        subprocess.run(
            [sys.executable, "-c", SCRIPT, tmp_path / "after"], stdout=full, stderr=full, timeout=60
        )
    assert (tmp_path / "after").read_text() == "alive"
