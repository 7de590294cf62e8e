"""`dap keys`: who may use a service."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from clients.cli.console import make_table, print_json, reports_errors, stderr, stdout

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Make, list and revoke the API keys of a service."
)
_Store = Annotated[str | None, typer.Option("--store", help="Folder of the service.", show_default="dap-store")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("create")
@reports_errors
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    scope: Annotated[list[str], typer.Option("--scope", help="label, jobs or admin; may be repeated.")],
    store: _Store = None,
    as_json: _AsJson = False,
) -> None:
    """Make a key and print it, once: only its hash is kept.

    [bold]dap keys create laptop --scope label[/bold]
    """
    from services.keys import create_key

    key, token = create_key(_open(store), name, scope)
    if as_json:
        print_json({"id": key.id, "name": key.name, "scopes": key.scopes, "token": token})
        return
    stderr.print(f"key {key.id} for {key.name}: {', '.join(key.scopes)}; it is not shown again", markup=False)
    stdout.print(token, markup=False, soft_wrap=True)


@app.command("list")
@reports_errors
def show(store: _Store = None, as_json: _AsJson = False) -> None:
    """List all keys, revoked ones too; never the keys themselves."""
    from services.keys import list_keys

    keys = list_keys(_open(store))
    if as_json:
        hidden = [{name: value for name, value in asdict(key).items() if name != "sha256"} for key in keys]
        print_json({"keys": hidden})
        return
    rows = [(key.id, key.name, " ".join(key.scopes), key.created_at, key.revoked_at or "valid") for key in keys]
    table = make_table("keys", ("id", "name", "scopes", "made", "revoked"), rows)
    for column in table.columns:
        column.justify = "left"
    stdout.print(table)


@app.command("revoke")
@reports_errors
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As dap keys list shows it.")], store: _Store = None
) -> None:
    """Make a key worthless; running services notice within seconds."""
    from services.keys import revoke_key

    key = revoke_key(_open(store), key_id)
    stdout.print(f"{key.id} ({key.name}) was revoked at {key.revoked_at}", markup=False)


def _open(store: str | None):  # type: ignore[no-untyped-def]
    from services.settings import read_settings
    from services.storage import open_store

    return open_store(read_settings(store=store).store)
