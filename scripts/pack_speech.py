"""Pack speech for making training chunks in memory (voxid.simulate.chunks): decoded and heard through once.

    python scripts/pack_speech.py --speech FOLDER|LIST --out PACKED
    python scripts/pack_speech.py --corpora CORPORA [--recipe recipes/ecapa-base.yaml] --out PACKED

The second packs the recipe's training speakers only: held-out and reserved people are not in it.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from voxid.simulate.libraries import FileLibrary, SpeakerFiles
from voxid.simulate.packed import pack_speech
from voxid.train.recipe import load_recipe
from voxid.train.shards import split

RECIPE = Path(__file__).parents[1] / "recipes" / "ecapa-base.yaml"


def training_speakers(recipe: Path, corpora: Path, least_clips: int) -> list[SpeakerFiles]:
    """Return the labelled training speakers of a recipe with at least some recordings."""
    sessions: dict[tuple[str, str], dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for row in split(load_recipe(recipe), corpora)[0]:
        if row.labelled:
            sessions[row.speaker, row.corpus][row.session].append(row.path)
    return [
        SpeakerFiles(name, {session: tuple(paths) for session, paths in of.items()}, corpus)
        for (name, corpus), of in sorted(sessions.items())
        if sum(map(len, of.values())) >= least_clips
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--speech", type=Path, help="one folder per speaker, or a list of speaker<TAB>path")
    source.add_argument("--corpora", type=Path, help="the clones the recipe names")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--most-s", type=float, default=120.0, help="of speech per speaker")
    parser.add_argument("--least-clips", type=int, default=3, help="a corpus speaker with fewer is left out")
    arguments = parser.parse_args()
    if arguments.corpora:
        speakers = training_speakers(arguments.recipe, arguments.corpora, arguments.least_clips)
    elif arguments.speech.is_file():
        speakers = list(FileLibrary.of_list(arguments.speech).speakers)
    else:
        speakers = list(FileLibrary.of_folder(arguments.speech).speakers)

    def report(done: int) -> None:
        if done % 50 == 0 or done == len(speakers):
            print(f"{done} of {len(speakers)} speakers", flush=True)

    left_out = pack_speech(speakers, arguments.out, arguments.most_s, report)
    size = (arguments.out / "samples.i16").stat().st_size
    print(f"wrote {size / 2 / 16_000 / 3600:.1f} h to {arguments.out}; left out: {dict(left_out)}")


if __name__ == "__main__":
    main()
