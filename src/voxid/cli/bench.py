"""``voxid bench``: how long the main things take on this machine, with the bundled voices."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import options
from voxid.cli.demo import ENROLLED, ENROLLED_WITH, PURPOSES, VOICES
from voxid.cli.output import command, print_json, results, waiting

if TYPE_CHECKING:
    from voxid.bundle import Bundle

_CLIP_S: Final = 3.0


@command
def bench(
    repetitions: Annotated[
        int,
        typer.Option("--repetitions", min=3, max=1000, metavar="N", help="How often each thing is timed."),
    ] = 30,
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> None:
    """Time verify, identify, enroll, embedding and diarization here: medians in milliseconds, warm.

    People are kept in a temporary gallery that is gone at the end.

    Example:

        voxid bench
    """
    model = options.choose_bundle(bundle)
    with tempfile.TemporaryDirectory(prefix="voxid-bench-") as folder, waiting("Timing", quiet=as_json):
        rows = _timed(Path(folder), model, repetitions)
    if as_json:
        print_json({"model": model.id, "repetitions": repetitions, "median_ms": rows})
        return
    for what, milliseconds in rows.items():
        results().print(f"{what:48} {milliseconds:9.1f} ms", markup=False, highlight=False)


def _timed(folder: Path, model: Bundle, repetitions: int) -> dict[str, float]:
    from voxid.audio import SAMPLE_RATE_HZ, load
    from voxid.diarize import diarize
    from voxid.embedding import Embedder
    from voxid.gallery import Consent
    from voxid.recognize import Gallery

    meeting = load(VOICES / "meeting.opus")
    minute = load((meeting.samples[: 60 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ))
    voice = load(VOICES / "ada" / "04.opus").samples
    clip = (voice[: round(_CLIP_S * SAMPLE_RATE_HZ)], SAMPLE_RATE_HZ)
    consent = Consent(purposes=PURPOSES, evidence="synthetic voice; there is nobody to ask")
    embedder = Embedder(model, threads=1)
    with Gallery.open(folder / "people.voxid", bundle=model) as gallery:
        start = time.perf_counter()
        for name in ENROLLED:
            gallery.enroll(name, [VOICES / name / file for file in ENROLLED_WITH], consent)
        enrolled_ms = 1000.0 * (time.perf_counter() - start) / len(ENROLLED)
        return {
            "enroll a person with three clips of 6 s": enrolled_ms,
            "verify a 3 s clip": _median_ms(lambda: gallery.verify("ada", clip), repetitions),
            "identify a 3 s clip among four people": _median_ms(lambda: gallery.identify(clip), repetitions),
            "embed 60 s of speech on one thread": _median_ms(lambda: embedder.embed(minute), 3),
            f"diarize and name {meeting.duration_s:.0f} s": _median_ms(
                lambda: diarize(meeting, gallery=gallery, bundle=model), 3
            ),
        }


def _median_ms(act: Callable[[], object], repetitions: int) -> float:
    """Return the median over the repetitions, after one to warm up."""
    act()
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - start)
    return 1000.0 * median(seconds)
