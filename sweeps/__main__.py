"""The command `amc` and its handling of signals. Nothing that is slow to import precedes the handlers."""

import errno
import os
import signal
import sys

from sweeps.signals import interrupt, interrupted, leave, leave_with, on_interruption

_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main() -> None:
    """Entry point: bad input ends in a sentence and exit code 2, an interruption in a sentence and exit code 130."""
    _make_writable()
    sys.argv[1:] = [_at_home(argument) for argument in sys.argv[1:]]
    on_interruption(lambda number, frame: leave())  # a module that is being imported might swallow an exception
    from amc_core.errors import AmcError
    from sweeps.cli import app
    from sweeps.cli.show import complain

    on_interruption(interrupt)
    try:
        try:
            app()
        except AmcError as error:
            complain(str(error))
            leave_with(2)
        finally:
            sys.stdout.flush()
    except BaseException as end:
        # Typer and Rich turn it into an exit with code 1.
        if isinstance(end, BrokenPipeError) or isinstance(end.__context__, BrokenPipeError):
            os._exit(128 + signal.SIGPIPE)  # as other commands do if their reader, such as head, has ended
        # Ray may replace our exception with its own, and ends by itself on SIGTERM while it starts.
        if interrupted() or (isinstance(end, SystemExit) and end.code == signal.SIGTERM):
            leave()
        if isinstance(end, OSError):
            complain(_system_failure(end))
            sys.exit(2)
        raise


def _at_home(argument: str) -> str:
    """The argument with ~ in --store=~/x replaced, as a shell does in --store ~/x."""
    option, equals, value = argument.partition("=")
    return option + equals + os.path.expanduser(value) if option.startswith("--") else argument


def _make_writable() -> None:
    """Prevent exceptions from printing characters that a terminal lacks, and from closed standard streams."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: the next opened file would get its number
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # terminals in ASCII or Latin-1 lack α


def _system_failure(error: OSError) -> str:
    """An error of the operating system, in a sentence."""
    reason = error.strerror or str(error)
    if error.filename is None and error.errno in _UNWRITTEN:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # buffered output would fail again at the end
        return f"standard output cannot be written: {reason}"
    return f"{error.filename!r}: {reason}" if error.filename else reason


if __name__ == "__main__":
    main()
