"""The pages for browsers: static files, the same for everybody; what they show they ask of the routes below `/v1`."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

WEB_FOLDER = Path(__file__).parents[2] / "clients" / "web"
_PAGES = {
    "/": "index",
    "/docs": "docs",
    "/jobs": "jobs",
    "/jobs/new": "new-job",
    "/jobs/{job}": "job",
    "/label-sets": "label-sets",
    "/label-sets/{job}": "label-set",
    "/models": "models",
    "/models/{job}": "model",
}


def add_pages(app: FastAPI, *, has_jobs: bool) -> None:
    """Routes for the pages and what they are made of; those of jobs and their outputs only where there are jobs."""
    for path, name in _PAGES.items():
        if has_jobs or path in ("/", "/docs"):
            _add_page(app, path, WEB_FOLDER / f"{name}.html")
    app.mount("/web", StaticFiles(directory=WEB_FOLDER), name="web")


def _add_page(app: FastAPI, path: str, file: Path) -> None:
    @app.get(path, include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(file)
