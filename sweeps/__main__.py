"""`python -m sweeps` is the command `amc`."""

from sweeps.cli import main

main()
