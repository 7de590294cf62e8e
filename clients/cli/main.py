"""The `dap` command and its subcommands."""

from __future__ import annotations

import typer

from clients.cli import (
    bench,
    copy,
    doctor,
    evaluate,
    evaluate_boxes,
    export,
    export_detector,
    finetune,
    jobs,
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
    study,
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
    help="From images with image-level labels to a detector that needs few drawn boxes.\n\n"
    "[bold]dap mine[/bold] makes a label set of pseudo boxes, [bold]dap pretrain[/bold] a detector of it, "
    "[bold]dap finetune[/bold] the detector for your boxes. "
    "Exit codes: 0 done, 2 wrong use, 3 some images failed, 4 failed, 5 no answer, 6 no valid key.",
)
_LABELS, _TRAINING, _REST = "Label sets", "Training", "Service, jobs and this machine"
for _panel, _name, _command in (
    (_LABELS, "mine", mine.mine),
    (_LABELS, "plan", plan.plan),
    (_LABELS, "show", show.show),
    (_LABELS, "stats", stats.stats),
    (_LABELS, "evaluate-boxes", evaluate_boxes.evaluate_boxes),
    (_LABELS, "recut", recut.recut),
    (_LABELS, "export", export.export),
    (_LABELS, "verify", verify.verify),
    (_TRAINING, "train-classifier", train_classifier.train_classifier),
    (_TRAINING, "pretrain", pretrain.pretrain),
    (_TRAINING, "finetune", finetune.finetune),
    (_TRAINING, "self-train", self_train.self_train),
    (_TRAINING, "evaluate", evaluate.evaluate),
    (_TRAINING, "predict", predict.predict),
    (_TRAINING, "export-detector", export_detector.export_detector),
    (_TRAINING, "recipes", recipes.recipes),
    (_TRAINING, "study", study.study),
    (_TRAINING, "synthetic", synthetic.synthetic),
    (_REST, "serve", serve.serve),
    (_REST, "label", label.label),
    (_REST, "cp", copy.copy),
    (_REST, "run", run.run),
    (_REST, "doctor", doctor.doctor),
):
    app.command(_name, rich_help_panel=_panel)(_command)
app.add_typer(jobs.app, name="jobs", rich_help_panel=_REST)
app.add_typer(keys.app, name="keys", rich_help_panel=_REST)
app.add_typer(bench.app, name="bench", rich_help_panel=_REST)


def main() -> None:
    """Runs the command line."""
    app()


if __name__ == "__main__":
    main()
