"""`python -m lacewing.demo HOST PORT`: the demo's process, as `lacewing demo start` starts it."""

import sys

from lacewing.demo.serve import main

main(sys.argv[1:])
