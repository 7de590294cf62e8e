"""What the commands share: exit codes, one-line errors, progress on stderr, tables and JSON on stdout."""

from __future__ import annotations

import errno
import functools
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

P = ParamSpec("P")
R = TypeVar("R")

stdout = Console()
stderr = Console(stderr=True)


class ExitCode(IntEnum):
    """What a command ends with."""

    OK = 0
    USAGE = 2
    PARTLY_FAILED = 3
    FAILED = 4
    UNREACHABLE = 5
    UNAUTHORISED = 6
    INTERRUPTED = 130


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Turns errors of the project and of files into one clear line on stderr and an exit code.

    It is 2 for the input and 4 for the rest. That nobody reads the output any more is no error to report.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        from dap_core.errors import DapError, InputError

        try:
            return command(*args, **kwargs)
        except (InputError, ValueError) as error:
            raise fail(str(error), ExitCode.USAGE) from error
        except DapError as error:
            raise fail(str(error), ExitCode.FAILED) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise fail(f"{place}{error.strerror or error}", ExitCode.FAILED) from error

    return run


def fail(message: str, code: ExitCode) -> typer.Exit:
    """Prints an error line and gives the exception that ends the command."""
    stderr.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True)
    return typer.Exit(code)


def warn(message: str) -> None:
    """Prints a warning line."""
    stderr.print(f"[bold yellow]warning:[/] {escape(message)}", soft_wrap=True)


def print_json(values: dict[str, Any]) -> None:
    """Prints JSON on stdout, unstyled; a number that is not finite becomes null, as JSON has none."""
    sys.stdout.write(json.dumps(_drop_odd_numbers(values), indent=2, allow_nan=False) + "\n")


def _drop_odd_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_odd_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_drop_odd_numbers(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def make_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table whose first column is text and whose others are numbers; cells are shown literally."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    return table


def print_facts(title: str, rows: Sequence[tuple[str, object]]) -> None:
    """Prints a table of names and what stands for them, without a header."""
    table = make_table(title, ("", ""), rows)
    table.columns[1].justify = "left"
    table.show_header = False
    stdout.print(table)


@contextmanager
def image_progress(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr; call what it gives with the images done and failed since the last call."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("[red]{task.fields[failed]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )
    with progress:
        task = progress.add_task(what, total=total, rate="", failed="")
        failures = 0

        def advance(num_done: int, num_failed: int = 0) -> None:
            nonlocal failures
            failures += num_failed
            progress.update(task, advance=num_done, failed=f"{failures} failed" if failures else "")
            speed = progress.tasks[0].speed
            progress.update(task, rate=f"{speed:.1f} images/s" if speed else "")

        yield advance


def parse_numbers(text: str | None, option: str, kind: Callable[[str], R]) -> tuple[R, ...] | None:
    """The numbers of a comma-separated list; None for None. Raises ValueError naming the option."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{option} must be numbers separated by commas, got {text!r}") from None
