"""The pages for browsers: the same for everybody; what they show they ask of the routes below `/v1`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template

from fastapi import FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

WEB_FOLDER = Path(__file__).parents[2] / "clients" / "web"
_FILES = {"/": "index.html", "/docs": "docs.html"}
_LINKS = {
    "/": "Try an image",
    "/jobs": "Jobs",
    "/label-sets": "Label sets",
    "/models": "Models",
    "/docs": "HTTP API",
}


@dataclass(frozen=True, slots=True)
class _Page:
    """A page that its module fills; the words are ours and hold nothing to escape."""

    module: str
    title: str
    description: str
    content: str
    """What one skips to."""
    link: str
    """The link that it belongs to."""
    styles: tuple[str, ...]

    def render(self, shell: Template) -> str:
        """The document."""
        return shell.substitute(
            module=self.module,
            title=self.title,
            description=self.description,
            content=self.content,
            styles="\n".join(f'<link rel="stylesheet" href="/web/{name}.css">' for name in self.styles),
            links="\n".join(self._render_link(path, text) for path, text in _LINKS.items()),
        )

    def _render_link(self, path: str, text: str) -> str:
        current = ' aria-current="page"' if path == self.link else ""
        return f'    <a href="{path}"{current}>{text}</a>'


_PAGES = {
    "/jobs": _Page("jobs", "Jobs", "What runs, what waits and what has ended.", "jobs", "/jobs", ("jobs",)),
    "/jobs/new": _Page(
        "new-job",
        "New job",
        "Say what to do, see what it would do, and start it.",
        "form",
        "/jobs",
        ("picture", "new-job"),
    ),
    "/jobs/{job}": _Page("job", "Job", "One job, live.", "job", "/jobs", ("jobs",)),
    "/label-sets": _Page(
        "label-sets",
        "Label sets",
        "Images and the pseudo boxes found in them.",
        "label sets",
        "/label-sets",
        ("label-sets",),
    ),
    "/label-sets/{job}": _Page(
        "label-set",
        "Label set",
        "Images of a label set, their heat maps and boxes.",
        "images",
        "/label-sets",
        ("picture", "label-set"),
    ),
    "/models": _Page(
        "models",
        "Models",
        "Classifiers and detectors, what they were made from, and how good they are.",
        "models",
        "/models",
        ("label-sets",),
    ),
    "/models/{job}": _Page(
        "model", "Model", "One model: lineage, results, and a try.", "model", "/models", ("picture", "model")
    ),
}


def add_pages(app: FastAPI, *, has_jobs: bool) -> None:
    """Routes for the pages and what they are made of; those of jobs and their outputs only where there are jobs."""
    for path, name in _FILES.items():
        _add_page(app, path, partial(FileResponse, WEB_FOLDER / name))
    shell = Template((WEB_FOLDER / "shell.html").read_text())
    for path, page in _PAGES.items() if has_jobs else ():
        _add_page(app, path, partial(HTMLResponse, page.render(shell)))
    app.mount("/web", StaticFiles(directory=WEB_FOLDER), name="web")


def _add_page(app: FastAPI, path: str, make_response: Callable[[], Response]) -> None:
    @app.get(path, include_in_schema=False)
    async def page() -> Response:
        return make_response()
