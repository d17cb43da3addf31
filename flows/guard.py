"""What every command does with an error: one clear line, and the exit code that goes with it."""

import errno
import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from urllib.parse import urlsplit

import click

from flows.interruption import Interrupted, interrupt
from tasks.shared.errors import (
    StillhouseError,
    brief_path,
    chain_of,
    one_line,
    says_disk_is_full,
    says_out_of_memory,
    says_tokenizer_fails,
    without_logins,
)
from tasks.shared.serving.addresses import LOOPBACK
from tasks.shared.workspace import check_space, find_workspace, is_gone

MISTAKE = 2
FAULT = 1
INTERRUPTED = 130
BROKEN_PIPE = 141
_REFUSED = (401, 403, 421)
"""Statuses with which a server turns somebody away."""
_SERVER_FAILED = 500
"""From here on a status says that the server is at fault, not what it was asked."""


def one_clear_line(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose mistakes, faults and interruptions are told in one line, without a traceback."""

    @wraps(command)
    def guarded(*args: object, **kwargs: object) -> None:
        try:
            with _ended_in_order():
                command(*args, **kwargs)
        except StillhouseError as error:
            click.echo(f"stillhouse: {_workspace_trouble(error) or error}", err=True)
            sys.exit(MISTAKE)
        except (KeyboardInterrupt, click.Abort) as interruption:
            click.echo("stillhouse: interrupted; the same command goes on from here", err=True)
            sys.exit(interruption.exit_code if isinstance(interruption, Interrupted) else INTERRUPTED)
        except BrokenPipeError:  # whoever read our output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(BROKEN_PIPE)
        except Exception as error:
            if os.environ.get("STILLHOUSE_DEBUG"):
                raise
            gone = _workspace_trouble(error)
            if gone:
                click.echo(f"stillhouse: {gone}", err=True)
                sys.exit(MISTAKE)
            trouble = _memory_trouble(error) or _disk_trouble(error)
            if trouble:
                click.echo(f"stillhouse: {trouble} and run the same command again; what was finished is kept", err=True)
                sys.exit(MISTAKE)
            said = _server_trouble(error) or _tokenizer_trouble(error)
            if said:
                click.echo(f"stillhouse: {said}", err=True)
                sys.exit(MISTAKE)
            kind = type(error).__name__
            click.echo(
                f"stillhouse: a fault of ours, {kind}: {one_line(error)}; STILLHOUSE_DEBUG=1 shows where", err=True
            )
            sys.exit(FAULT)

    return guarded


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Lets SIGTERM and a terminal that goes away end a command as Ctrl-C does: what is half written is removed."""
    numbers = (signal.SIGTERM, signal.SIGHUP) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:  # not where `nohup` has it ignored
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _server_trouble(error: BaseException) -> str:
    """What to do about a Prefect server that refuses, fails or is gone, if that is behind an error."""
    for behind in chain_of(error):
        where = _of_prefect(behind)
        status = getattr(getattr(behind, "response", None), "status_code", None)
        if where and status in _REFUSED:
            said = f"{where} refuses ({status}), it wants a key"
            return f"{said}; one of `stillhouse up` is used with STILLHOUSE_HOME set to its workspace"
        if where and (status is None or status >= _SERVER_FAILED):
            said = f"{where} {f'failed with error {status}' if status else f'is gone ({one_line(behind)})'}"
            return f"{said}; run the same command again once it is well: finished steps are kept"
    return ""


def _of_prefect(error: BaseException) -> str:
    """The name of the Prefect server that was asked where an error of HTTP came from; empty for all other errors."""
    request = getattr(error, "_request", None) or getattr(getattr(error, "response", None), "request", None)
    asked = str(getattr(request, "url", ""))
    named = os.environ.get("PREFECT_API_URL", "")
    if named and asked.startswith(named.rstrip("/")):
        return f"the Prefect server at PREFECT_API_URL {without_logins(named)}"
    ours = urlsplit(asked)
    if not named and ours.hostname in LOOPBACK and ours.path.startswith("/api/"):
        return "the temporary Prefect server of this run"
    return ""


def _workspace_trouble(error: BaseException) -> str:
    """Says so where the workspace was deleted under a command, which its files and databases tell in their own ways."""
    with suppress(StillhouseError):
        workspace = find_workspace()
        # Of errors of ours those that led to them count: one that says where there is no workspace yet is right.
        others = [behind for behind in chain_of(error) if not isinstance(behind, StillhouseError)]
        told = any(str(workspace.root) in str(behind) or isinstance(behind, sqlite3.Error) for behind in others)
        if told and is_gone(workspace):
            where = brief_path(workspace.root)
            return f"the workspace {where} is gone, deleted or moved while this ran; run the command again"
    return ""


def _memory_trouble(error: BaseException) -> str:
    """What to do about memory that ran out, if that is behind an error."""
    if any(says_out_of_memory(behind) for behind in chain_of(error)):
        return "out of memory; lower labelling.tokens_per_batch, or the batch_size of what was being trained,"
    return ""


def _tokenizer_trouble(error: BaseException) -> str:
    """What to do about a model whose tokenizer fails at a text, if that is behind an error."""
    failed = next((behind for behind in chain_of(error) if says_tokenizer_fails(behind)), None)
    return f"{one_line(failed)}; take another model, or leave out the text that it fails at" if failed else ""


def _disk_trouble(error: BaseException) -> str:
    """What is wrong with the disk, if that is behind an error: libraries wrap it, or only say that a server failed."""
    workspace = "the workspace"
    with suppress(StillhouseError):
        workspace = brief_path(find_workspace().root)
    for behind in chain_of(error):
        if says_disk_is_full(behind):
            with suppress(OSError, StillhouseError):
                check_space(find_workspace())
                if isinstance(behind, OSError) and not behind.filename:
                    return "no space left where the output goes; make some"
            return f"no space left in {workspace}; make some"
        if isinstance(behind, OSError) and behind.errno in (errno.EACCES, errno.EROFS):
            return f"{behind.strerror}: {brief_path(behind.filename or workspace)}; mend that"
    try:
        check_space(find_workspace())
    except OSError as full:
        return f"no space left in {workspace}; make some" if full.errno == errno.ENOSPC else ""
    except StillhouseError:
        pass
    return ""
