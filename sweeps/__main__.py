"""The command `amc`, and what signals do to it. Imports nothing that takes long before they are caught."""

import errno
import os
import signal
import sys

from sweeps.signals import interrupt, interrupted, leave, leave_with, on_interruption

_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def main() -> None:
    """Entry point: bad input ends in one sentence and exit code 2, an interruption in one and exit code 130."""
    _make_writable()
    sys.argv[1:] = [_at_home(argument) for argument in sys.argv[1:]]
    on_interruption(lambda number, frame: leave())  # an exception might be swallowed by what is being imported
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
        # Typer and Rich make an exit with code 1 of it.
        if isinstance(end, BrokenPipeError) or isinstance(end.__context__, BrokenPipeError):
            os._exit(128 + signal.SIGPIPE)  # as other commands whose reader, head for one, has had enough
        # Ray may make another exception of ours, and ends by itself on SIGTERM while it starts.
        if interrupted() or (isinstance(end, SystemExit) and end.code == signal.SIGTERM):
            leave()
        if isinstance(end, OSError):
            complain(_system_failure(end))
            sys.exit(2)
        raise


def _at_home(argument: str) -> str:
    """--store=~/x with the home directory, as a shell has it in --store ~/x."""
    option, equals, value = argument.partition("=")
    return option + equals + os.path.expanduser(value) if option.startswith("--") else argument


def _make_writable() -> None:
    """Let nothing that is printed raise for its letters, or for a standard stream that is closed."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file to be opened would be taken for it
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # in ASCII and Latin-1, whose terminals lack α


def _system_failure(error: OSError) -> str:
    """What the operating system refused, in a sentence."""
    reason = error.strerror or str(error)
    if error.filename is None and error.errno in _UNWRITTEN:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left to be written would fail again at the end
        return f"standard output cannot be written: {reason}"
    return f"{error.filename!r}: {reason}" if error.filename else reason


if __name__ == "__main__":
    main()
