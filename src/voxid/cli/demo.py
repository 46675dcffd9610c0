"""``voxid demo``: the main job on the bundled sample voices, which are synthetic."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from voxid.cli import options
from voxid.cli.output import EXIT_REJECTED, command, print_json, progress, results, waiting
from voxid.cli.targets import Targets
from voxid.cli.who import show_timeline
from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.recognize import Gallery
    from voxid.timeline import Timeline

VOICES: Final = Path(__file__).parents[1] / "data" / "voices"
ENROLLED: Final = ("ada", "bruno", "clara", "dev")
ENROLLED_WITH: Final = ("01.opus", "02.opus", "03.opus")
PURPOSES: Final = ("verify", "identify", "diarize-name")


@dataclass
class Step:
    """One thing the demo tried: what was asked, what should come out, what came out."""

    asked: str
    expected: str
    found: str
    detail: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether it came out as it should."""
        return self.found == self.expected


@dataclass
class Story:
    """What the demo did, for people and for ``--json``."""

    steps: list[Step] = field(default_factory=list)
    der: float = 0.0
    written: list[Path] = field(default_factory=list)

    @property
    def as_expected(self) -> bool:
        """Whether every step came out as it should."""
        return all(step.as_expected for step in self.steps)


@command
def demo(
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", file_okay=False, help="Where the files go.")
    ] = Path("voxid-demo"),
    bundle: options.BundlePath = None,
    as_json: options.AsJson = False,
) -> int:
    """Enroll four sample voices, verify, identify a stranger, and name the voices of a meeting.

    The voices are synthetic: they show that everything works, not how accurate it is. People are kept in a
    temporary gallery that is gone at the end; the timeline stays in FOLDER.

    Example:

        voxid demo
    """
    from voxid.recognize import Gallery

    story = Story()
    console = results()
    _make_folder(out)
    with tempfile.TemporaryDirectory(prefix="voxid-demo-") as folder:
        model = options.choose_bundle(bundle)
        with Gallery.open(Path(folder) / "people.voxid", bundle=model) as gallery:
            with waiting("Enrolling four people with three recordings each", quiet=as_json):
                _enroll(gallery)
            with waiting("Verifying and identifying", quiet=as_json):
                _recognize(gallery, story)
            if not as_json:
                _show_steps(story, console)
            timeline = _listen(gallery, story, out, as_json)
    if as_json:
        steps = [asdict(step) | {"as_expected": step.as_expected} for step in story.steps]
        written = [str(path) for path in story.written]
        print_json(
            {"steps": steps, "der": round(story.der, 4), "timeline": timeline.to_dict(), "written": written}
        )
    else:
        _show_end(story, timeline, console)
    return 0 if story.as_expected else EXIT_REJECTED


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            "output_unwritable", f"{out} cannot be made ({error.strerror}); choose another place with --out."
        ) from None


def _enroll(gallery: Gallery) -> None:
    from voxid.gallery import Consent

    consent = Consent(purposes=PURPOSES, evidence="synthetic voice; there is nobody to ask")
    for name in ENROLLED:
        gallery.enroll(name, [VOICES / name / file for file in ENROLLED_WITH], consent)


def _recognize(gallery: Gallery, story: Story) -> None:
    """Verify one right and one wrong claim, identify one person and the stranger."""
    for claim, voice, expected in (("ada", "ada", "accept"), ("ada", "bruno", "reject")):
        decision = gallery.verify(claim, VOICES / voice / "04.opus")
        detail = "" if decision.llr is None else f"LLR {decision.llr:.1f}"
        story.steps.append(
            Step(f"verify {claim} with {voice}'s voice", expected, decision.outcome.value, detail)
        )
    for voice, expected in (("clara", "clara"), ("stranger", "unknown")):
        candidates = gallery.identify(VOICES / voice / "05.opus")
        found = candidates[0].person if candidates else "unknown"
        detail = f"LLR {candidates[0].llr:.1f}" if candidates else ""
        asked = (
            "identify a voice that was never enrolled" if voice == "stranger" else f"identify {voice}'s voice"
        )
        story.steps.append(Step(asked, expected, found, detail))


def _listen(gallery: Gallery, story: Story, out: Path, quiet: bool) -> Timeline:
    """Put names on the meeting, compare with the truth, write the files."""
    from voxid.audio import load
    from voxid.diarize import diarize
    from voxid.evaluate import evaluate_diarization
    from voxid.timeline import Timeline

    with progress("Listening to the meeting", quiet=quiet) as report:
        waveform = load(VOICES / "meeting.opus")
        timeline = diarize(waveform, gallery=gallery, progress=report)
    truth = Timeline.read_rttm(VOICES / "meeting.rttm", duration_s=waveform.duration_s)
    story.der = evaluate_diarization(truth, timeline).times["collar_0_overlap"].der or 0.0
    named = sorted(name for name in timeline.speakers if name in ENROLLED)
    strangers = len(timeline.speakers) - len(named)
    expected = sorted(name for name in truth.speakers if name in ENROLLED)
    story.steps.append(
        Step(
            f"put names on {waveform.duration_s:.0f} s of talk between three of them and the stranger",
            f"{', '.join(expected)} + 1 stranger",
            f"{', '.join(named)} + {strangers} stranger{'s' if strangers != 1 else ''}",
        )
    )
    targets = Targets(rttm=out / "meeting.rttm", html=out / "meeting.html", svg=out / "meeting.svg")
    story.written = targets.write(timeline, waveform)
    return timeline


def _show_steps(story: Story, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("asked", "expected", "found", ""):
        table.add_column(heading)
    for step in story.steps:
        style = "green" if step.as_expected else "red"
        table.add_row(step.asked, step.expected, Text(step.found, style=style), step.detail)
    console.print(f"Four synthetic people are enrolled: {', '.join(ENROLLED)}.", markup=False)
    console.print(table)
    console.print()


def _show_end(story: Story, timeline: Timeline, console: Console) -> None:
    show_timeline(timeline, console)
    last = story.steps[-1]
    console.print(f"Names in the meeting: {last.found} (expected {last.expected}).", markup=False)
    console.print(
        f"Against the truth: DER {100 * story.der:.1f} % (collar 0, overlap scored). The voices are synthetic "
        "and easy; real speech is harder.",
        markup=False,
    )
    for path in story.written:
        console.print(f"wrote {path}", markup=False, style="green")
    page = next(path for path in story.written if path.suffix == ".html")
    console.print(f"Open {page} in a browser and click a turn to hear it.", markup=False)
    for step in story.steps:
        if not step.as_expected:
            console.print(f"not as expected: {step.asked}: {step.found}", markup=False, style="bold red")
