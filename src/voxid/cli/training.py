"""``voxid train``: a recipe becomes a model bundle."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.cli import options
from voxid.cli.output import command, note, notes, print_json, results
from voxid.errors import ConfigError

if TYPE_CHECKING:
    from rich.progress import Progress

    from voxid.bundle import Bundle
    from voxid.train.tasks import Trained


@command
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file such as those in recipes/.")],
    corpora: Annotated[
        Path, typer.Option("--corpora", metavar="FOLDER", help="One folder per corpus of the recipe.")
    ] = Path("corpora"),
    work: Annotated[
        Path, typer.Option("--work", metavar="FOLDER", help="Packed speech, checkpoints and the log; kept.")
    ] = Path("runs"),
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="The bundle's folder; without it WORK/NAME/bundle."),
    ] = None,
    teacher: Annotated[
        Path | None,
        typer.Option("--teacher", metavar="FILE", help="The public model the recipe learns from, if any."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew instead of going on from a checkpoint.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a network by a recipe and export it (needs the train extra): embeddings as a bundle, or what the recipe's
    task says: segmentation, target_speech, eend, spoof.

    An interrupted run goes on where it was when it is started again. Several GPUs or machines share a run under
    torchrun --nproc-per-node N -m voxid train RECIPE.

    Example:

        voxid train recipes/ecapa-base.yaml --corpora ../corpora
    """
    require_torch()
    from voxid.train.course import task_of

    where = _Places(recipe, corpora, work, out, teacher, resume=not fresh)
    task = task_of(recipe)
    with bars(as_json) as bar:
        made: Trained
        made, folder = _train_bundle(where, bar) if task is None else _train_task(task, where, bar)
    if as_json:
        print_json({"id": made.id, "path": str(folder), "card": made.card})
    else:
        results().print(f"{made.id} is in {folder}", markup=False, style="green")


@dataclass(frozen=True)
class _Places:
    """Where a run finds and leaves things."""

    recipe: Path
    corpora: Path
    work: Path
    out: Path | None
    teacher: Path | None
    resume: bool

    def folder(self, name: str) -> Path:
        """Return where the model goes."""
        return self.out or self.work / name / "bundle"


def _train_bundle(where: _Places, bar: Progress) -> tuple[Bundle, Path]:
    from voxid.train import load_recipe, run

    plan = load_recipe(where.recipe)
    folder = where.folder(plan.name)
    bundle = run(
        where.recipe,
        where.corpora,
        work=where.work,
        out=folder,
        teacher=where.teacher,
        resume=where.resume,
        on_pack=part_reporter(bar, "packing"),
        on_row=row_reporter(bar, plan.total_steps),
        on_fit=part_reporter(bar, "fitting the back-end:"),
    )
    return bundle, folder


def _train_task(task: str, where: _Places, bar: Progress) -> tuple[Trained, Path]:
    from voxid.train.course import load_course
    from voxid.train.tasks import task_named

    chosen = task_named(task, where.recipe)
    plan = load_course(chosen.recipe, task, where.recipe)
    folder = where.folder(plan.name)
    made = chosen.run(
        where.recipe,
        where.corpora,
        work=where.work,
        out=folder,
        teacher=where.teacher,
        resume=where.resume,
        on_pack=part_reporter(bar, "packing"),
        on_row=row_reporter(bar, plan.total_steps),
    )
    return made, folder


def require_torch() -> None:
    """Refuse with a sentence where the train extra is not installed."""
    missing = [name for name in ("torch", "yaml", "onnx") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            "train_extra_missing",
            f"Training needs {', '.join(missing)}, which the core leaves out; install it with: "
            "pip install 'voxid[train]'.",
        )


def bars(quiet: bool) -> Progress:
    """Return what shows several bars on stderr, nothing where stderr is no terminal or ``quiet`` is set."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = notes()
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
    )


def part_reporter(bar: Progress, doing: str) -> Callable[[str, int, int], None]:
    """Return what shows the parts of a longer piece of work, such as the corpora packed: one bar each."""
    tasks: dict[str, Any] = {}

    def report(part: str, done: int, total: int) -> None:
        if part not in tasks:
            tasks[part] = bar.add_task(f"{doing} {part}", total=total)
        bar.update(tasks[part], completed=done, total=total)

    return report


def row_reporter(bar: Progress, total_steps: int) -> Callable[[dict[str, Any]], None]:
    """Return what shows the training log: a bar of steps, and a line per validation."""
    tasks: list[Any] = []

    def report(row: dict[str, Any]) -> None:
        if "step" not in row:
            return
        if not tasks:
            tasks.append(bar.add_task("training", total=total_steps))
        facts = ", ".join(f"{key} {value:.4g}" for key, value in row.items() if isinstance(value, float))
        bar.update(tasks[0], completed=row["step"], description=f"training ({facts})"[:70])
        if "loss" not in row:
            note(f"step {row['step']}: {facts}")

    return report
