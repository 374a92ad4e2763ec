"""The command `amc`, and what signals do to it. Imports nothing that takes long before they are caught."""

import os
import signal
import sys


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM; not a KeyboardInterrupt, which Typer ends without a word."""


def main() -> None:
    """Entry point: bad input ends in one sentence and exit code 2, an interruption in one and exit code 130."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    try:
        from amc_core.errors import AmcError
        from sweeps.cli import app
        from sweeps.show import complain

        try:
            app()
        except AmcError as error:
            complain(str(error))
            sys.exit(2)
    except BaseException as end:
        # Ray may make another exception of ours, and ends by itself on SIGTERM while it starts.
        if _interrupted or (isinstance(end, SystemExit) and end.code == signal.SIGTERM):
            _leave()
        raise


_interrupted = False


def interrupt(number, frame) -> None:
    """Handles SIGINT and SIGTERM alike."""
    global _interrupted
    _interrupted = True
    raise Interrupted


def _leave() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("\nInterrupted. What was finished is in the store; the same command goes on from there.", file=sys.stderr)
    sys.stderr.flush()
    os._exit(130)  # Ray's threads may still be starting, and would not end well


if __name__ == "__main__":
    main()
