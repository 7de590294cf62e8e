"""`dap cp`: a folder of this machine into an object store, where jobs of a service can read it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from clients.cli.console import reports_errors, stderr, stdout
from clients.cli.quantities import format_bytes, format_count


@reports_errors
def copy(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A folder, or a file.", show_default=False)],
    destination: Annotated[str, typer.Argument(metavar="URI", help="s3://bucket/prefix, or a folder.")],
) -> None:
    """Copy a folder into an object store; run it again to finish a copy that was interrupted.

    Files that are there with the same size and content are left alone. Nothing is ever deleted.

    [bold]dap cp photos/ s3://photos/animals[/bold]
    """
    from dap_core.errors import SourceError
    from dap_core.stores import LocalStore
    from services.copying import Copied, copy_objects
    from services.storage import open_store

    if not source.exists():
        raise SourceError(f"{source} is neither a folder nor a file")
    folder, prefix = (source, "") if source.is_dir() else (source.parent, source.name)
    if prefix and destination.rstrip("/").rpartition("/")[2] == prefix:  # the file itself was named as the destination
        destination = destination.rstrip("/").rpartition("/")[0]
    files = LocalStore(folder)
    lock = threading.Lock()
    with _make_bar() as bar:
        task = bar.add_task("copying", total=sum(info.size for info in files.list_objects(prefix)))

        def show(copied: Copied) -> None:
            with lock:
                bar.update(task, advance=copied.size)

        done = copy_objects(files, open_store(destination), prefix, on_copied=show)
    new = [one for one in done if not one.was_there]
    size = format_bytes(sum(one.size for one in new))
    stdout.print(
        f"{format_count(len(new), 'file')} copied to {destination} ({size}), {len(done) - len(new):,} were there",
        markup=False,
        soft_wrap=True,
    )


def _make_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=stderr,
        disable=not stderr.is_terminal,
    )
