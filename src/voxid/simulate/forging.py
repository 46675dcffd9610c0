"""A folder of genuine speech in, a folder of spoofed speech and its manifest out; what is there already is kept."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from voxid.audio import SAMPLE_RATE_HZ, load
from voxid.errors import InputError, StoreError, VoxidError
from voxid.simulate.distortions import Samples
from voxid.simulate.fakes import GENERATORS, Generator
from voxid.simulate.libraries import AUDIO_SUFFIXES, READ_LIMITS
from voxid.simulate.lyra import LYRA, lyra_generator
from voxid.simulate.replay import draw_replay_chain
from voxid.simulate.synthesisers import SYNTHESISERS, Sentence

__all__ = ["COLUMNS", "MANIFEST", "Forgery", "Outcome", "Plan", "chosen_names", "forge_all", "plan_forgeries"]

MANIFEST = "manifest.csv"
"""Name of the list of all that was made."""
COLUMNS = ("path", "label", "generator", "family", "source", "licence", "speaker", "text", "sha256")
"""Columns of the manifest."""

_MOST_OTHERS = 2


@dataclass(frozen=True)
class Plan:
    """What to make of what.

    Attributes:
        speech: folder of genuine speech, one folder per speaker, or flat; None: synthesisers alone. out: to write.
        names: of generators and synthesisers. per_utterance: how many of the generators for each recording.
        seed: the same seed makes the same fakes. longest_s: of each recording, from its start.
        licence: of the genuine speech, written to the manifest. sentences: for the synthesisers, each said by
            ``per_utterance`` of them. lyra: folder of Lyra's weights, where that is asked for.
    """

    speech: Path | None
    out: Path
    names: tuple[str, ...]
    per_utterance: int
    seed: int
    longest_s: float
    licence: str
    sentences: tuple[Sentence, ...] = ()
    lyra: Path | None = None


@dataclass(frozen=True)
class Forgery:
    """One file to make: ``path`` inside the folder, by which generator, of which recording or sentence."""

    path: str
    generator: str
    source: Path | None
    speaker: str
    others: tuple[Path, ...] = ()
    sentence: Sentence | None = None


@dataclass
class Outcome:
    """What was made, what was there already, and what could not be made, counted by the error's code."""

    made: int = 0
    kept: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    """The first sentence of each code."""


def chosen_names(asked: str | None, with_lyra: bool) -> tuple[str, ...]:
    """Return the generators and synthesisers named, comma between them; a family's name stands for all of it.

    None: every generator that makes fakes of recordings. Lyra counts where its weights are given.

    Raises:
        InputError: ``generator_unknown``.
    """
    families = {name: made.family for name, made in GENERATORS.items()}
    families |= {name: made.family for name, made in SYNTHESISERS.items()}
    if with_lyra:
        families[LYRA] = "neural"
    if asked is None:
        return tuple(name for name in families if name not in SYNTHESISERS)
    chosen: dict[str, None] = {}
    for name in (part.strip() for part in asked.split(",")):
        found = [key for key, family in families.items() if name in (key, family)]
        if not found:
            raise InputError(
                "generator_unknown",
                f"There is no generator or family {name!r}; choose of {', '.join(families)}, or of the families "
                f"{', '.join(sorted(set(families.values())))}; lyra needs its weights.",
            )
        chosen.update(dict.fromkeys(found))
    return tuple(chosen)


def plan_forgeries(plan: Plan) -> list[Forgery]:
    """Return all that is to be made: for every recording some generators, for every sentence some synthesisers.

    Raises:
        InputError: ``speech_missing``: the folder has no audio; ``sentences_needed``: a synthesiser has no text.
    """
    makers = [name for name in plan.names if name not in SYNTHESISERS]
    speakers = [name for name in plan.names if name in SYNTHESISERS]
    if speakers and not plan.sentences:
        raise InputError(
            "sentences_needed",
            f"{', '.join(speakers)} speak text; give sentences with --texts, or leave them out.",
        )
    planned = list(_of_recordings(plan, makers)) if makers else []
    for number, sentence in enumerate(plan.sentences if speakers else ()):
        fitting = [name for name in speakers if sentence.language in SYNTHESISERS[name].languages]
        rng = _rng(plan.seed, str(number), sentence.text)
        for at in rng.permutation(len(fitting))[: plan.per_utterance]:
            path = f"{fitting[at]}/{number:05d}-{sentence.language}.flac"
            planned.append(Forgery(path, fitting[at], None, "", sentence=sentence))
    return planned


def forge_all(
    plan: Plan, planned: Sequence[Forgery], processes: int, report: Callable[[float], None]
) -> Outcome:
    """Make what is not there yet, a row of the manifest for each as it is done; return what happened.

    Raises:
        StoreError: ``manifest_damaged``; ``folder_not_written``.
        ConfigError: Lyra's weights, or a package or program that something chosen needs, are missing.
    """
    for name in plan.names:
        SYNTHESISERS[name].check() if name in SYNTHESISERS else _generator(plan, name).check()
    try:
        plan.out.mkdir(parents=True, exist_ok=True)
        done = _rows_there(plan.out)
        missing = [one for one in planned if one.path not in done]
        outcome = Outcome(kept=len(planned) - len(missing))
        with open(_begun(plan.out, done.values()), "a", encoding="utf-8", newline="") as manifest:
            writer = csv.DictWriter(manifest, COLUMNS)
            for number, told in enumerate(_forged(plan, missing, processes), 1):
                if isinstance(told, VoxidError):
                    outcome.left_out[told.code] = outcome.left_out.get(told.code, 0) + 1
                    outcome.messages.setdefault(told.code, told.message)
                else:
                    writer.writerow(told)
                    manifest.flush()
                    outcome.made += 1
                report(number / len(missing))
    except OSError as error:
        raise StoreError(
            "folder_not_written",
            f"{plan.out} cannot be written ({error}); make room or choose another folder.",
        ) from None
    return outcome


_Told = dict[str, str] | VoxidError


def _forged(plan: Plan, planned: Sequence[Forgery], processes: int) -> Iterator[_Told]:
    """Yield the row of each, or why it could not be made, in order."""
    if processes == 1 or len(planned) < 2:
        yield from (_forge(plan, one) for one in planned)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(processes, len(planned)), mp_context=context) as pool:
        yield from pool.map(_forge, [plan] * len(planned), planned, chunksize=4)


def _forge(plan: Plan, one: Forgery) -> _Told:
    """Make and write one file, and the facts of a replay beside it. One bad recording does not stop the others."""
    rng = _rng(plan.seed, one.path, one.generator)
    try:
        samples, facts = _spoken(one, rng) if one.sentence is not None else _copied(plan, one, rng)
    except VoxidError as error:
        return error
    target = plan.out / one.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if one.generator == "replay":
        chain = draw_replay_chain(_rng(plan.seed, one.path, one.generator))
        target.with_suffix(".json").write_text(json.dumps(chain.to_dict(), indent=1) + "\n", encoding="utf-8")
    content = _flac(samples)
    draft = target.with_suffix(".part")
    draft.write_bytes(content)
    draft.replace(target)
    row = {"path": one.path, "label": "spoof", "generator": one.generator, "speaker": one.speaker, **facts}
    return {**row, "sha256": hashlib.sha256(content).hexdigest()}


def _spoken(one: Forgery, rng: np.random.Generator) -> tuple[Samples, Mapping[str, str]]:
    synthesiser = SYNTHESISERS[one.generator]
    sentence = one.sentence or Sentence("en", "")
    spoken = synthesiser.speak(sentence, rng)
    return spoken.samples, {
        "family": synthesiser.family,
        "source": synthesiser.source,
        "licence": synthesiser.licence,
        "speaker": spoken.voice,
        "text": sentence.text,
    }


def _copied(plan: Plan, one: Forgery, rng: np.random.Generator) -> tuple[Samples, Mapping[str, str]]:
    speech, path = _folder(plan), one.source or _folder(plan)
    generator = _generator(plan, one.generator)
    others = (
        [_heard(other, plan.longest_s) for other in one.others] if generator.family == "concatenation" else []
    )
    facts = {
        "family": generator.family,
        "source": path.relative_to(speech).as_posix(),
        "licence": plan.licence,
        "text": "",
    }
    return generator.make(_heard(path, plan.longest_s), rng, others), facts


def _generator(plan: Plan, name: str) -> Generator:
    return lyra_generator(plan.lyra) if name == LYRA and plan.lyra is not None else GENERATORS[name]


def _of_recordings(plan: Plan, makers: Sequence[str]) -> Iterator[Forgery]:
    """Yield what is to be made of each recording, the generators in an order of its own."""
    speech = _folder(plan)
    files = sorted(path for path in speech.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    if not files:
        raise InputError(
            "speech_missing", f"{speech} holds no audio files; give a folder with genuine speech."
        )
    of_speaker: dict[str, list[Path]] = {}
    for path in files:
        of_speaker.setdefault(_speaker(speech, path), []).append(path)
    for path in files:
        inside = path.relative_to(speech)
        rng = _rng(plan.seed, inside.as_posix(), "")
        speaker = _speaker(speech, path)
        also = [other for other in of_speaker[speaker] if other != path] if speaker else []
        for at in rng.permutation(len(makers))[: plan.per_utterance]:
            others = tuple(also[int(number)] for number in rng.permutation(len(also))[:_MOST_OTHERS])
            # The ending stays in the name: a.wav and a.mp3 are two recordings.
            name = f"{makers[at]}/{inside.as_posix()}.flac"
            yield Forgery(name, makers[at], path, speaker, others)


def _folder(plan: Plan) -> Path:
    """Return the folder of genuine speech. Raises: InputError: ``speech_missing``."""
    if plan.speech is None or not plan.speech.is_dir():
        raise InputError(
            "speech_missing",
            f"There is no folder {plan.speech or 'given with --from'}; give one with genuine speech in it.",
        )
    return plan.speech


def _speaker(speech: Path, path: Path) -> str:
    """Return the first folder of the recording, or nothing where recordings lie flat."""
    parts = path.relative_to(speech).parts
    return parts[0] if len(parts) > 1 else ""


def _heard(path: Path, longest_s: float) -> Samples:
    samples = load(path, limits=READ_LIMITS).samples[: round(longest_s * SAMPLE_RATE_HZ)]
    return np.asarray(samples, dtype=np.float32)


def _flac(samples: Samples) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(samples, -1.0, 1.0), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _rng(seed: int, *about: str) -> np.random.Generator:
    """Return random numbers that hang on the seed and on what they are for, not on the order of work."""
    told = "\0".join((str(seed), *about)).encode()
    return np.random.default_rng(int.from_bytes(hashlib.sha256(told).digest()[:16], "big"))


def _rows_there(out: Path) -> dict[str, dict[str, str]]:
    """Return the whole rows of the manifest whose files are there, by path."""
    manifest = out / MANIFEST
    if not manifest.is_file() or manifest.stat().st_size == 0:
        return {}
    with open(manifest, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise StoreError(
                "manifest_damaged",
                f"{manifest} does not begin with {','.join(COLUMNS)}; move it away or choose another folder.",
            )
        whole = (row for row in rows if len(row["sha256"] or "") == 64)
        return {row["path"]: row for row in whole if (out / row["path"]).is_file()}


def _begun(out: Path, rows: Iterable[dict[str, str]]) -> Path:
    """Return the manifest, written anew with these rows: a line that a crash cut off is gone."""
    draft = out / f"{MANIFEST}.part"
    with open(draft, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return draft.replace(out / MANIFEST)
