"""Makes the sample voices in src/voxid/data/voices: synthetic speech, no person's recording.

    apt-get install espeak-ng        (Debian 12 ships 1.51; another version gives slightly other audio)
    python scripts/make_voices.py [--out FOLDER]
    python scripts/make_voices.py --measure         how alike the voices are, by the default bundle

Each voice is one espeak-ng voice variant with its own pitch and rate, played a little faster or slower than
it was spoken: that moves all resonances together, as a shorter or longer vocal tract does. The five were
picked out of 330 random settings as the least alike; README.md in the folder has the measurement, and the
reasons for choosing this synthesiser. Everything is seeded; only the serial number of each Ogg stream differs
from run to run.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE_HZ: Final = 16_000
LEVEL_RMS: Final = 0.06  # about -24 dBFS, a usual level for speech
FLOOR_RMS: Final = 0.0006  # background 40 dB below the speech: a room is never digital silence
OPUS_COMPRESSION: Final = 0.93  # libsndfile's scale; comes out near 20 kb/s for one channel at 16 kHz
LABEL: Final = "Synthetic speech made with espeak-ng for voxid's demo. Not a recording of a person."
OUT: Final = Path(__file__).parents[1] / "src/voxid/data/voices"


@dataclass(frozen=True)
class Voice:
    """One synthetic speaker.

    Args:
        accent, variant: the espeak-ng voice, spoken as ``accent+variant``.
        pitch: 0 to 99, espeak-ng's base pitch.
        words_per_minute: rate as heard, after ``tract``.
        tract: playback speed; above 1 raises all resonances (a shorter vocal tract).
    """

    accent: str
    variant: str
    pitch: int
    words_per_minute: int
    tract: float


VOICES: Final = {
    "ada": Voice("en-gb-x-rp", "f2", pitch=76, words_per_minute=142, tract=0.86),
    "bruno": Voice("en-gb-x-rp", "Mike", pitch=56, words_per_minute=167, tract=0.86),
    "clara": Voice("en-gb-scotland", "f3", pitch=59, words_per_minute=166, tract=1.16),
    "dev": Voice("en-029", "Marco", pitch=63, words_per_minute=153, tract=1.16),
    "stranger": Voice("en-gb-x-rp", "klatt", pitch=53, words_per_minute=159, tract=1.16),
}

# Five utterances each, four to eight seconds, no sentence shared between two voices.
LINES: Final = {
    "ada": (
        "The ferry leaves the old harbour at seven, long before the bakery on the corner opens its doors.",
        "Please put the larger boxes near the window, and leave a path wide enough for the trolley.",
        "Nobody expected the little lighthouse to become the most photographed place on the island.",
        "When the fog came in we turned the radio up and waited for the bell on the outer wall.",
        "I keep two lists on my desk, one for things to finish today and one for things to forget.",
    ),
    "bruno": (
        "We measured the bridge twice on Thursday, and both times it was too short.",
        "My uncle repaired clocks, and every room of his house ticked a different way.",
        "The soup needs salt, a slice of lemon, and another hour on a very low flame.",
        "Every autumn the geese fly over the factory and the whole night shift goes outside.",
        "There is a narrow road behind the orchard that the maps have never shown.",
    ),
    "clara": (
        "If the rain stops before noon, the children will walk home along the river with their teacher.",
        "The museum moved its whole collection of glass without breaking a single cup.",
        "She planted beans beside the fence, and by August nobody could see the fence at all.",
        "Turn left after the second chapel, then follow the smell of fresh paint and coffee.",
        "Our choir sounds better in the stairwell than it ever did on a proper stage.",
    ),
    "dev": (
        "Somebody moved the blue folder, and nobody in the office remembers where it went.",
        "The train was late again, so I read the safety notice until I knew it by heart.",
        "A good shelf is level, dry, and just a little longer than you think you need.",
        "They tested the alarm at nine, at ten, and then by accident in the middle of lunch.",
        "Yesterday the printer finally agreed to print, though only in a rather pale green.",
    ),
    "stranger": (
        "I only came to read the meter, but the dog insisted that I stay for breakfast.",
        "The last page of the atlas is blank, so people have drawn their own countries on it.",
        "You can hear the market from here, long before you can see any of the stalls.",
        "Three winters ago the lake froze so hard that the post was delivered by sledge.",
        "My grandmother swore that the best apples always grow on the side facing the sea.",
    ),
}

# The conversation: who speaks, how long after the previous turn ended (negative: talks over its end), and what.
# dev is enrolled in the demo and absent here; the stranger is present and never enrolled.
MEETING: Final[tuple[tuple[str, float, str], ...]] = (
    (
        "ada",
        0.6,
        "Good morning. We have the hall until noon, so let us begin with the garden and then the roof.",
    ),
    (
        "bruno",
        0.7,
        "The garden is nearly finished. Two beds are still empty, and the water tank arrives on Monday.",
    ),
    (
        "clara",
        0.5,
        "I can plant the empty beds with the school group. They asked for something they may eat.",
    ),
    (
        "ada",
        0.4,
        "Strawberries, then. Nobody has ever complained about strawberries, apart from the blackbirds.",
    ),
    (
        "stranger",
        0.9,
        "Excuse me, I am from the water company. Is this where the new tank is supposed to go?",
    ),
    ("bruno", -0.5, "Yes, behind the shed. Come with me later and I will show you the tap and the old pipe."),
    (
        "stranger",
        0.5,
        "Thank you. I also need a signature, because the pipe runs under the neighbour's wall.",
    ),
    (
        "clara",
        0.6,
        "The neighbour is a friend of mine. I will ask her this evening and bring the paper back.",
    ),
    (
        "ada",
        0.5,
        "Then the roof. The carpenter says the west side will not survive another winter like the last.",
    ),
    (
        "bruno",
        0.8,
        "He said the same two years ago. Still, I went up with a torch, and this time he is right.",
    ),
    (
        "clara",
        -0.6,
        "How much would it cost, and could we do the west side first and the rest in the spring?",
    ),
    (
        "ada",
        0.5,
        "Four thousand for the west side. We have three, and the summer concert should bring the rest.",
    ),
    ("stranger", 0.8, "If you collect the rain from that roof, the town pays back a fifth of the work."),
    ("clara", 0.4, "That is the best news of the week. Please write it down for us before you leave."),
)


def speak(voice: Voice, text: str, rng: np.random.Generator) -> Samples:
    """Return one utterance, float32 (N,) at 16 kHz, without the silence around it, at LEVEL_RMS."""
    pitch = int(np.clip(voice.pitch + rng.integers(-3, 4), 0, 99))
    rate = round(voice.words_per_minute / voice.tract * rng.uniform(0.96, 1.04))
    name = f"{voice.accent}+{voice.variant}"
    command = ["espeak-ng", "-v", name, "-p", str(pitch), "-s", str(rate), "--stdout", text]
    wav = subprocess.run(command, capture_output=True, check=True).stdout
    samples, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
    samples = soxr.resample(samples, rate_hz * voice.tract, RATE_HZ).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return np.asarray(samples * (LEVEL_RMS / np.sqrt(np.mean(samples**2))), dtype=np.float32)


def with_floor(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples over a quiet background, clipped to [-1, 1]."""
    noise = rng.normal(0.0, FLOOR_RMS, samples.size)
    return np.clip(samples + noise, -1.0, 1.0).astype(np.float32)


def write_opus(path: Path, samples: Samples, title: str) -> None:
    """Write Opus in Ogg, labelled as synthetic in its own comments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with soundfile.SoundFile(
        path, "w", RATE_HZ, 1, format="OGG", subtype="OPUS", compression_level=OPUS_COMPRESSION
    ) as out:
        out.title = title
        out.comment = LABEL
        out.write(samples)


def make_utterances(out: Path, rng: np.random.Generator) -> None:
    """Write <voice>/01.opus to 05.opus, each with a third of a second of quiet around it."""
    quiet = np.zeros(RATE_HZ // 3, np.float32)
    for name, lines in LINES.items():
        for number, text in enumerate(lines, start=1):
            samples = np.concatenate([quiet, speak(VOICES[name], text, rng), quiet])
            write_opus(out / name / f"{number:02d}.opus", with_floor(samples, rng), f"{name} {number}")


def make_meeting(out: Path, rng: np.random.Generator) -> None:
    """Write meeting.opus and the truth about it, meeting.rttm."""
    turns: list[tuple[str, int, Samples]] = []
    end = 0
    for name, gap_s, text in MEETING:
        start = end + round(gap_s * RATE_HZ)
        samples = speak(VOICES[name], text, rng)
        turns.append((name, start, samples))
        end = start + samples.size
    mix = np.zeros(end + RATE_HZ // 2, np.float32)
    rttm = []
    for name, start, samples in turns:
        mix[start : start + samples.size] += samples
        onset_s, duration_s = start / RATE_HZ, samples.size / RATE_HZ
        rttm.append(f"SPEAKER meeting 1 {onset_s:.3f} {duration_s:.3f} <NA> <NA> {name} <NA> <NA>\n")
    write_opus(out / "meeting.opus", with_floor(mix, rng), "meeting")
    (out / "meeting.rttm").write_text("".join(rttm), encoding="ascii")


def write_manifest(out: Path) -> None:
    """Write voices.json: how each voice was made and what it says."""
    version = subprocess.run(["espeak-ng", "--version"], capture_output=True, check=True, text=True).stdout
    manifest = {
        "label": LABEL,
        "synthesiser": version.split("  Data")[0].strip(),
        "made_by": "scripts/make_voices.py",
        "voices": {name: {**asdict(voice), "lines": LINES[name]} for name, voice in VOICES.items()},
        "meeting": [{"voice": name, "text": text} for name, _, text in MEETING],
    }
    (out / "voices.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def measure(out: Path) -> None:
    """Print the highest score between utterances of each two voices, and the lowest within each."""
    from voxid.audio import load
    from voxid.bundle import default_bundle
    from voxid.embedding import get_embedder
    from voxid.score import center, cosine
    from voxid.speech import detect_speech

    bundle = default_bundle()
    embedder = get_embedder(bundle)
    centred = {}
    for name in VOICES:
        waveforms = [load(path) for path in sorted((out / name).glob("*.opus"))]
        rows = np.stack([embedder.embed(waveform, detect_speech(waveform)) for waveform in waveforms])
        centred[name] = center(rows, bundle.mean)
    print(f"{bundle.id}; the LLR threshold of far_1pct is {bundle.profile('far_1pct').threshold_llr:.1f}")
    print(" " * 9 + "".join(f"{name:>16}" for name in VOICES))
    for name, rows in centred.items():
        cells = []
        for other, others in centred.items():
            scores = cosine(rows, others)
            score = scores.min() if other == name else scores.max()
            cells.append(f"{score:6.2f} (LLR {float(bundle.calibration.llr(score)):4.1f})")
        print(f"{name:9}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    """Make everything, or measure what was made."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--measure", action="store_true")
    options = parser.parse_args()
    out = options.out
    if options.measure:
        measure(out)
        return
    rng = np.random.default_rng(2026)
    make_utterances(out, rng)
    make_meeting(out, rng)
    write_manifest(out)
    total = sum(path.stat().st_size for path in out.rglob("*.opus"))
    print(f"{out}: {total / 1000:.0f} kB of Opus")


if __name__ == "__main__":
    main()
