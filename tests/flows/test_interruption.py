"""Ctrl-C and SIGTERM: heard at once, even where native code does not return."""

import signal
import subprocess
import sys
import time

import pytest

QUICKLY = "import flows.interruption as i; i._TOLD_AFTER_SECONDS = i._CLOSED_AFTER_SECONDS = 0.3\n"
COMMAND = """
import hashlib, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
from flows.guard import one_clear_line
from flows.interruption import interruptible

@one_clear_line
def command():
    with interruptible() as interruption:
        def last_words():
            print("last words", flush=True)
            {raising}
        interruption.last_words = last_words
        print("begun", flush=True)
        {work}

command()
"""
NATIVE = "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
"""Minutes in C, without Python's lock, as a backward pass."""


def interrupted(work: str, number: signal.Signals, quickly: str = "", raising: str = "") -> tuple[int, str, str, float]:
    command = [sys.executable, "-c", quickly + COMMAND.format(work=work, raising=raising)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.2)  # so that what it does has begun
        began = time.monotonic()
        process.send_signal(number)
        try:
            stdout, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, stdout, stderr, time.monotonic() - began


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_interrupted_says_so_and_how_it_ended(number: signal.Signals, code: int) -> None:
    found, stdout, stderr, seconds = interrupted("time.sleep(60)", number)
    assert (found, stdout) == (code, "")
    assert stderr == "stillhouse: interrupted; the same command goes on from here\n"
    assert seconds < 2


def test_native_code_that_does_not_return_is_not_waited_for() -> None:
    """As the backward pass of a large model on a busy machine: Python would hear of the signal when it is over."""
    found, stdout, stderr, seconds = interrupted(NATIVE, signal.SIGINT, QUICKLY)
    assert (found, stdout) == (130, "last words\n")
    first, last = stderr.splitlines()
    assert first == "stillhouse: interrupted; closing the run"
    assert last == "stillhouse: interrupted; ended at once, and the same command goes on from here"
    assert seconds < 3


def test_last_words_that_fail_are_not_told() -> None:
    """As where the disk is full, or the server gone; the next run closes what stays open."""
    found, stdout, stderr, _ = interrupted(NATIVE, signal.SIGINT, QUICKLY, "raise OSError('no space left on device')")
    assert (found, stdout) == (130, "last words\n")
    assert len(stderr.splitlines()) == 2
    assert "no space" not in stderr
