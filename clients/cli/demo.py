"""`make demo`: the main job on the photographs that scikit-image ships.

Photographs and labels -> boxes -> label set -> table and gallery -> the service answering one request, with the
commands a user would type.
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

from clients.cli.console import make_table, stdout

PHOTOS = {
    "astronaut.png": ("space shuttle",),
    "camera.png": ("tripod", "reflex camera"),
    "chelsea.png": ("Egyptian cat",),
    "coffee.png": ("espresso",),
    "motorcycle_left.png": ("moped",),
    "rocket.jpg": ("missile",),
}


def write_photos(folder: Path) -> Path:
    """Copies the photographs into `folder` and returns the CSV file that lists them with their labels."""
    import skimage.data

    shipped = Path(skimage.data.__file__).parent
    folder.mkdir(parents=True)
    table = folder / "photos.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        for name, labels in PHOTOS.items():
            shutil.copyfile(shipped / name, folder / name)
            writer.writerow([name, *labels])
    return table


def print_boxes(label_set_folder: Path) -> None:
    """Prints one line per box of a label set."""
    from dap_core.label_sets import open_label_set

    label_set = open_label_set(label_set_folder)
    lines = []
    for row in sorted(label_set.rows(), key=lambda row: row.key):
        for box in row.boxes:
            corners = " ".join(f"{side:4.0f}" for side in box.xyxy)
            name = label_set.classes[box.label].name
            lines.append((row.key, name, f"{box.threshold:.2f}", f"{box.score:.2f}", corners))
    stdout.print(make_table("boxes", ("photograph", "label", "tau", "score", "x1   y1   x2   y2"), lines))


def ask_service(out: Path, photograph: Path, label: str) -> None:
    """Starts the service, asks it for the boxes of one photograph through the Python client, and ends it."""
    from dap_client import Client

    from services.launching import run_server, serve_command

    stdout.print("$ dap serve", style="bold")
    with run_server(serve_command("--store", str(out / "store")), out / "service.log") as server:
        stdout.print(f"{server.url} is ready", markup=False)
        stdout.print(f'Client("{server.url}").label("{photograph.name}", ["{label}"])', style="bold", markup=False)
        with Client(server.url) as client:
            [result] = client.label(photograph, [label])
        for corners, threshold, score in zip(result.xyxy, result.thresholds, result.scores, strict=True):
            sides = " ".join(f"{side:4.0f}" for side in corners)
            stdout.print(f"{label}  {threshold:.2f}  {score:.2f}  {sides}", markup=False)
    stdout.print("the service has ended", markup=False)


def main(out: Path) -> int:
    """Runs the demo into the folder `out`, replacing what an earlier one left there."""
    from clients.cli.main import app

    if out.exists():
        shutil.rmtree(out)
    table = write_photos(out / "photos")
    labels = out / "labels"
    for arguments in (
        ["mine", str(table), "--out", str(labels)],
        ["show", str(labels), "--out", str(out / "index.html")],
    ):
        stdout.print(f"$ dap {' '.join(arguments)}", style="bold", soft_wrap=True)
        code = app(arguments, standalone_mode=False)
        if code:
            return int(code)
        if arguments[0] == "mine":
            print_boxes(labels)
    ask_service(out, out / "photos" / "chelsea.png", "Egyptian cat")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
