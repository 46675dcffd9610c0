"""Fit a bundle's map of telephone speech (narrow.npz) on the training speech of its recipe, and measure it.

    python scripts/fit_narrow_band.py --bundle src/voxid/bundles/ecapa-base --recipe recipes/ecapa-base.yaml \
        --corpora PATH

The bundle's id stays, and so do embeddings of wide-band speech; what was fitted and measured is in its card. Takes some
minutes of one core.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from voxid.train.narrowband import fit_narrow_band
from voxid.train.recipe import load_recipe
from voxid.train.shards import split


def main() -> None:
    """Parse the command line, fit, print what was measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder; its map is replaced")
    parser.add_argument("--recipe", type=Path, required=True, help="what it was trained by")
    parser.add_argument("--corpora", type=Path, required=True, help="folder of the clones")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    labelled = {entry.name for entry in recipe.data.corpora if entry.labelled}
    training, held_out = split(recipe, options.corpora)
    known = [utterance for utterance in training if utterance.corpus in labelled]
    with Progress(console=Console(stderr=True)) as bar:
        steps: dict[str, int] = {}

        def show(part: str, done: int, total: int) -> None:
            step = steps.setdefault(part, -1)
            if step < 0:
                step = steps[part] = int(bar.add_task(part, total=total))
            bar.update(step, completed=done)  # type: ignore[arg-type]

        bundle = fit_narrow_band(options.bundle, known, held_out, progress=show)
    for which, conditions in bundle.card["narrow_band"]["held_out"].items():
        if isinstance(conditions, dict):
            for condition, rates in conditions.items():
                print(
                    f"{which:8} {condition:22}", "  ".join(f"{name} {value}" for name, value in rates.items())
                )
    print(f"{bundle.id} has its map")


if __name__ == "__main__":
    main()
