"""`dap serve`: the HTTP service on this machine."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from clients.cli.console import reports_errors, stderr


@reports_errors
def serve(
    host: Annotated[str | None, typer.Option(help="Address; any but loopback needs a key.")] = None,
    port: Annotated[int | None, typer.Option(help="Port.", show_default="8000")] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where keys and jobs are: folder or s3://bucket/prefix.", show_default="dap-store"),
    ] = None,
    no_ray: Annotated[bool, typer.Option("--no-ray", help="One process, one labeler, no Ray.")] = False,
    classifier: Annotated[
        str | None, typer.Option(help="Network, or where `dap train-classifier` wrote one.", show_default="lite0")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Its weights: a file.")] = None,
    engine: Annotated[str | None, typer.Option(help="auto, openvino or torch.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, ... Left out: a GPU if there is one.")] = None,
    replicas: Annotated[int | None, typer.Option(help="Labelers, each a process of its own.")] = None,
    max_in_flight: Annotated[int | None, typer.Option(help="Images under way; more are refused.")] = None,
    max_jobs: Annotated[
        int | None, typer.Option(help="Jobs that run at once, others wait; 0: none.", show_default="1")
    ] = None,
    deadline: Annotated[float | None, typer.Option(help="Seconds after which an image is given up.")] = None,
) -> None:
    """Answer requests for boxes over HTTP, and serve the page for the browser.

    [bold]dap serve[/bold]   [bold]dap serve --port 9000 --no-ray[/bold]   Every option is also a variable, as DAP_PORT.
    """
    from clients.cli.source_options import make_classifier_absolute
    from services.running import check_exposure, run_in_process, run_on_ray
    from services.settings import read_settings

    settings = read_settings(
        host=host,
        port=port,
        store=store,
        classifier=None if classifier is None else make_classifier_absolute(classifier),
        weights=weights,
        engine=engine,
        precision=precision,
        device=device,
        num_replicas=replicas,
        max_in_flight=max_in_flight,
        max_jobs=max_jobs,
        deadline_s=deadline,
    )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    check_exposure(settings)
    address = f"http://{settings.host}:{settings.port}"
    run = run_in_process if no_ray else run_on_ray
    stderr.print("starting the labeler …" if no_ray else "starting Ray and the labelers …", markup=False)
    run(settings, lambda: stderr.print(f"{address}  ready; ends with Ctrl-C", markup=False))
