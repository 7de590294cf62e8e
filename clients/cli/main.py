"""The `dap` command and its subcommands."""

from __future__ import annotations

import typer

from clients.cli import (
    bench,
    doctor,
    evaluate,
    evaluate_boxes,
    export,
    export_detector,
    finetune,
    keys,
    label,
    mine,
    plan,
    predict,
    pretrain,
    recipes,
    recut,
    run,
    self_train,
    serve,
    show,
    stats,
    synthetic,
    train_classifier,
    verify,
)

app = typer.Typer(
    name="dap",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Mine pseudo boxes from images with image-level labels, and look at what came of it.\n\n"
    "[bold]dap mine[/bold] makes a label set; the other commands read it. "
    "Exit codes: 0 done, 2 wrong use, 3 some images failed, 4 failed, 5 no answer, 6 no valid key.",
)
app.command("mine")(mine.mine)
app.command("plan")(plan.plan)
app.command("recipes")(recipes.recipes)
app.command("train-classifier")(train_classifier.train_classifier)
app.command("pretrain")(pretrain.pretrain)
app.command("finetune")(finetune.finetune)
app.command("self-train")(self_train.self_train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("export-detector")(export_detector.export_detector)
app.command("run")(run.run)
app.command("label")(label.label)
app.command("recut")(recut.recut)
app.command("stats")(stats.stats)
app.command("synthetic")(synthetic.synthetic)
app.command("evaluate-boxes")(evaluate_boxes.evaluate_boxes)
app.command("show")(show.show)
app.command("export")(export.export)
app.command("verify")(verify.verify)
app.command("doctor")(doctor.doctor)
app.command("serve")(serve.serve)
app.add_typer(keys.app, name="keys")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
