"""A training recipe: one YAML file that says everything a run depends on."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from voxid.errors import ConfigError
from voxid.recipes import build, read_recipe
from voxid.train.backend import BackendOptions


@dataclass(frozen=True)
class CorpusEntry:
    """One corpus of the recipe.

    ``reader`` names a function of :mod:`voxid.train.corpora`; ``folder`` is the clone below the corpora root;
    ``repository`` and ``commit`` say where a stranger gets it. Speech that is not ``labelled`` is learnt from by
    distillation alone. ``weight`` multiplies how often the corpus is drawn.
    """

    name: str
    reader: str
    folder: str
    repository: str
    commit: str
    licence: str
    held_out_speakers: int = 0
    labelled: bool = True
    weight: float = 1.0


@dataclass(frozen=True)
class Copy:
    """One way in which a voice is altered to make a further speaker; 1 and 1 is the voice as recorded.

    ``speed`` moves tempo, pitch and formants together, ``formant`` the spectral envelope alone.
    """

    speed: float = 1.0
    formant: float = 1.0


@dataclass(frozen=True)
class Teacher:
    """A public model whose embeddings are learnt from; ``sha256`` pins the file given to ``voxid train --teacher``.

    ``name`` is ``resemblyzer`` or empty for none; see :mod:`voxid.train.teacher`.
    """

    name: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Data:
    """Which speech is used, and how much of it a speaker may bring.

    ``reserved`` names text files beside the recipe, one speaker id a line, of people who are never read;
    :func:`load_recipe` replaces the names by the ids. Each copy of an utterance is packed once more, distorted, with
    probability ``augmented_share``. Unlabelled speech is packed as recorded only, besides its distorted version.
    """

    corpora: tuple[CorpusEntry, ...]
    reserved: tuple[str, ...] = ()
    max_speaker_s: float = 90.0
    max_utterance_s: float = 16.0
    min_utterance_s: float = 0.35
    min_utterances: int = 2
    single_utterance_min_s: float = 8.0
    copies: tuple[Copy, ...] = (Copy(), Copy(speed=0.9), Copy(speed=1.1))
    augmented_share: float = 1.0
    teacher: Teacher = field(default_factory=Teacher)


@dataclass(frozen=True)
class Network:
    """Architecture and size; see :mod:`voxid.train.networks`."""

    name: str = "ecapa"
    channels: int = 256
    aggregation: int = 768
    embedding: int = 192
    stride: int = 2


@dataclass(frozen=True)
class Loss:
    """What the embeddings are trained to do; see :mod:`voxid.train.losses`.

    ``scale`` multiplies cosines. A class has ``sub_centres`` centres, of which the nearest counts; the ``top_k``
    nearest wrong classes are pushed away by ``top_margin`` radians more. ``within_corpus`` sets a voice against the
    classes of its own corpus only, so that microphones tell nobody apart; ``taught_centres`` puts the centres at first
    where the teacher has them. Pair losses (``ge2e``, ``triplet``) need
    ``utterances_per_speaker`` of 2 or more, which then have different texts.
    """

    name: str = "aam"
    scale: float = 30.0
    sub_centres: int = 1
    top_k: int = 0
    top_margin: float = 0.06
    within_corpus: bool = False
    taught_centres: bool = False
    utterances_per_speaker: int = 1


@dataclass(frozen=True)
class Stage:
    """One part of the schedule: constant crop length, learning rate and margin from one value to another.

    ``classify`` and ``distill`` weigh the loss over speakers and the distance to the teacher; ``distort`` is the
    share of crops distorted anew each time (:mod:`voxid.train.spectra`); from the first step of a stage with
    ``average`` on, the mean of the weights is kept, and it is what the run returns.
    """

    steps: int
    crop_s: float
    batch: int
    lr_from: float
    lr_to: float
    margin_from: float = 0.0
    margin_to: float = 0.2
    spec_augment: bool = True
    distort: float = 0.0
    classify: float = 1.0
    distill: float = 0.0
    average: bool = False


@dataclass(frozen=True)
class Recipe:
    """A whole run.

    A corpus is drawn with probability proportional to its size (sum over speakers of the root of their speech) to the
    power of ``balance``: 1 is by size, 0 every corpus alike. ``optimizer`` is ``adamw`` or ``muon``
    (:mod:`voxid.train.optimizer`); ``compile`` runs the step through ``torch.compile``.
    """

    name: str
    data: Data
    stages: tuple[Stage, ...]
    network: Network = field(default_factory=Network)
    loss: Loss = field(default_factory=Loss)
    backend: BackendOptions = field(default_factory=BackendOptions)
    seed: int = 17
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    balance: float = 1.0
    compile: bool = False
    bfloat16: bool = False
    validate_every_steps: int = 2000
    checkpoint_every_steps: int = 500

    @property
    def total_steps(self) -> int:
        """Steps over all stages."""
        return sum(stage.steps for stage in self.stages)


def load_recipe(path: str | Path) -> Recipe:
    """Return the recipe in a YAML file.

    Raises:
        ConfigError: ``recipe_missing`` when there is no such file, ``recipe_invalid`` for YAML errors, unknown or
            missing keys and wrong types; the sentence names the key.
    """
    path = Path(path)
    recipe = build(Recipe, read_recipe(path), str(path))
    if not isinstance(recipe, Recipe) or recipe.total_steps <= 0 or not recipe.data.corpora:
        raise ConfigError(
            "recipe_invalid", f"{path} needs at least one corpus and one stage with steps above 0."
        )
    return dataclasses.replace(
        recipe, data=dataclasses.replace(recipe.data, reserved=_reserved_ids(recipe.data, path))
    )


def _reserved_ids(data: Data, recipe_path: Path) -> tuple[str, ...]:
    ids: set[str] = set()
    for name in data.reserved:
        listing = recipe_path.parent / name
        if not listing.is_file():
            raise ConfigError(
                "recipe_invalid",
                f"{recipe_path} reserves the people listed in {listing}, which does not exist.",
            )
        ids.update(listing.read_text(encoding="utf-8").split())
    return tuple(sorted(ids))
