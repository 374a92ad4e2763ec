"""Ctrl-C ends a command whatever its main thread is in, a call that never returns among them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sweeps.store import Store

ROOT = Path(__file__).parents[2]
_STUCK = """if True:
    import ctypes, sys
    import sweeps.__main__

    def wait_for_ever(*arguments, **more):
        mutex = ctypes.create_string_buffer(256)
        print("stuck", flush=True)
        for _ in range(2):  # the second time it waits for the first, which no signal interrupts
            ctypes.CDLL(None).pthread_mutex_lock(mutex)

    import sweeps.cli.app, sweeps.driver
    sweeps.driver.run = wait_for_ever
    sys.argv = ["amc", "run", "quickstart"]
    sweeps.__main__.main()
"""


_FORKING = """if True:
    import os, sys, time
    import sweeps.__main__

    def begin(*arguments, **more):
        def wait():
            print("forked", flush=True)
            time.sleep(60)

        os.register_at_fork(after_in_parent=wait)
        if os.fork() == 0:
            os._exit(0)
        print("The interruption was lost", file=sys.stderr)

    import sweeps.cli.app, sweeps.driver
    sweeps.driver.run = begin
    sys.argv = ["amc", "run", "quickstart"]
    sweeps.__main__.main()
"""


@pytest.mark.parametrize("program", [_STUCK, _FORKING], ids=["a call that never returns", "swallowed exceptions"])
def test_ctrl_c_ends_a_command_wherever_its_main_thread_is(program):
    driver = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert driver.stdout.readline() in ("stuck\n", "forked\n")
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130 and errors.startswith("\nInterrupted.") and "lost" not in errors


_SOON_GIVEN_UP = """if True:
    import sys
    import sweeps.engine.watch
    from sweeps.__main__ import main

    sweeps.engine.watch._SILENT = 5
    sys.argv[0] = "amc"
    main()
"""


@pytest.mark.parametrize(
    ("struck", "how", "interrupted", "code", "sentence"),
    [
        ("gcs_server", signal.SIGSTOP, True, 130, "\nInterrupted."),
        ("gcs_server", signal.SIGSTOP, False, 2, "has not answered for 5 s: the same command goes on from the store"),
        ("raylet", signal.SIGKILL, False, 2, "Ray has ended on this machine: the same command goes on from the store"),
    ],
    ids=["the head hangs, Ctrl-C", "the head hangs", "the raylet is killed"],
)
def test_a_launch_without_a_head_or_a_raylet_ends_with_the_processes_of_its_ray(
    study_file, tmp_path, struck, how, interrupted, code, sentence
):
    study, store = study_file(models="mod_lcnn", recipe="{epochs: 4000, batch_size: 16}"), tmp_path / "store"
    start = ["-m", "sweeps"] if interrupted else ["-c", _SOON_GIVEN_UP]
    command = [sys.executable, *start, "run", study, "--store", str(store)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    deadline = time.monotonic() + 60  # on a machine with much else to do, Ray may still start then
    while not Store(store).training() and driver.poll() is None and time.monotonic() < deadline:
        time.sleep(0.2)
    processes = psutil.Process(driver.pid).children(recursive=True)
    (process,) = (process for process in processes if process.name() == struck)
    os.kill(process.pid, how)
    if interrupted:
        time.sleep(3)  # until Tune waits for it
        driver.send_signal(signal.SIGINT)
    try:
        _, errors = driver.communicate(timeout=60)
    finally:
        driver.kill()  # with which its head ends
    assert driver.returncode == code and sentence in errors, errors
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive
