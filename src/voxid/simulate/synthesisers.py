"""Speech synthesisers of Debian, run as programs: text in, spoofed speech out.

None of them is needed to run voxid; each says which Debian package it comes in. Voice, rate and pitch are drawn anew
for every sentence. Text reaches a program by file or standard input, never through a shell.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from voxid.audio import load
from voxid.errors import ConfigError, InputError
from voxid.simulate.distortions import Samples
from voxid.simulate.festival import festival_command

__all__ = ["SYNTHESISERS", "Sentence", "Spoken", "Synthesiser", "read_sentences"]

_LONGEST_RUN_S = 60
_LONGEST_SENTENCE = 500  # characters
_SHORTEST_S = 0.3
_HTS_VOICES = Path("/usr/share/hts-voice")
_DICTIONARY = Path("/var/lib/mecab/dic/open-jtalk/naist-jdic")

_ESPEAK_LANGUAGES = MappingProxyType(
    {"en": ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029"), "pt": ("pt-br", "pt")}
)
_ESPEAK_ALSO = tuple("de fr es it ru cs fi pl nl ca hi sv da el hu nb ro sk sl tr uk ar".split())
_ESPEAK_VARIANTS = tuple(
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 croak Annie Alex Andrea Denis Ed Linda Max Michael Steph Gene Lee".split()
)
_KLATT_VARIANTS = ("klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6")
_PICO_LANGUAGES = MappingProxyType(
    {"en": ("en-US", "en-GB"), "de": ("de-DE",), "es": ("es-ES",), "fr": ("fr-FR",), "it": ("it-IT",)}
)


@dataclass(frozen=True)
class Sentence:
    """What is to be said: ``language`` as two letters (ISO 639-1)."""

    language: str
    text: str


@dataclass(frozen=True, eq=False)
class Spoken:
    """What a synthesiser said: (N,) at 16 kHz, and in which voice."""

    samples: Samples
    voice: str


@dataclass(frozen=True)
class _Run:
    """One call: the command, what goes to its standard input, and the name of the voice."""

    command: Sequence[str]
    voice: str
    given: bytes = b""


_Planner = Callable[[Sentence, Path, Path, np.random.Generator], _Run]


@dataclass(frozen=True)
class Synthesiser:
    """One program that speaks.

    Attributes:
        name, family, source: as of :class:`voxid.simulate.fakes.Generator`. licence: of program and voices.
        program: that must be on the path. package: of Debian, that brings it. languages: it can be asked for.
        plan: from sentence, text file, output file and random numbers to the command.
    """

    name: str
    family: str
    source: str
    licence: str
    program: str
    package: str
    languages: tuple[str, ...]
    plan: _Planner

    @property
    def installed(self) -> bool:
        """Return whether the program is on the path."""
        return shutil.which(self.program) is not None

    def speak(self, sentence: Sentence, rng: np.random.Generator) -> Spoken:
        """Return the sentence as the program says it.

        Raises:
            ConfigError: ``synthesiser_missing``: the program or all its voices of the language are not installed.
            InputError: ``language_not_spoken``; ``nothing_spoken``: the program failed or said nothing.
        """
        self.check()
        if sentence.language not in self.languages:
            raise InputError(
                "language_not_spoken",
                f"{self.name} does not speak {sentence.language!r}; it speaks {', '.join(self.languages)}.",
            )
        with tempfile.TemporaryDirectory() as folder:
            text, out = Path(folder, "text"), Path(folder, "out.wav")
            text.write_text(sentence.text + "\n", encoding="utf-8")
            run = self.plan(sentence, text, out, rng)
            try:
                ended = subprocess.run(
                    run.command, input=run.given, capture_output=True, timeout=_LONGEST_RUN_S, check=False
                )
                told = ended.stderr.decode("utf-8", "replace").strip()[-200:]
            except subprocess.TimeoutExpired:
                told = f"it had not ended after {_LONGEST_RUN_S} s"
            samples = (
                np.asarray(load(out).samples, np.float32) if _has_sound(out) else np.zeros(0, np.float32)
            )
        if samples.size < _SHORTEST_S * 16_000 or float(np.abs(samples).max()) < 1e-3:
            raise InputError(
                "nothing_spoken",
                f"{self.name} ({run.voice}) said nothing of {sentence.text[:60]!r} ({told or 'no message'}); leave "
                "this sentence out.",
            )
        return Spoken(samples, run.voice)

    def check(self) -> None:
        """Refuse where the program is not installed. Raises: ConfigError: ``synthesiser_missing``."""
        if not self.installed:
            raise ConfigError(
                "synthesiser_missing",
                f"{self.name} needs the program {self.program}, which is not on the path; on Debian run: "
                f"apt-get install {self.package}.",
            )


def read_sentences(path: Path) -> list[Sentence]:
    """Return the sentences of a text file, one a line: ``language<TAB>text``, or text alone, which is English.

    Raises:
        InputError: ``sentences_missing``, ``sentences_invalid`` with the line number.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "sentences_missing",
            f"{path} cannot be read ({error}); give a UTF-8 file with a sentence on each line.",
        ) from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        before, tab, after = line.partition("\t")
        language, text = (before.strip(), after.strip()) if tab else ("en", before.strip())
        if not (len(language) == 2 and language.islower() and 0 < len(text) <= _LONGEST_SENTENCE):
            raise InputError(
                "sentences_invalid",
                f"{path}, line {number}: expected two letters of language, a tab and a sentence of at most "
                f"{_LONGEST_SENTENCE} characters, found {line[:60]!r}; correct it.",
            )
        found.append(Sentence(language, text))
    if not found:
        raise InputError("sentences_missing", f"{path} holds no sentence; give one on each line.")
    return found


def _has_sound(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 100


def _espeak(variants: Sequence[str]) -> _Planner:
    """Return the planner of eSpeak NG with one of the variants of its voices."""

    def plan(sentence: Sentence, text: Path, out: Path, rng: np.random.Generator) -> _Run:
        choice = _ESPEAK_LANGUAGES.get(sentence.language, (sentence.language,))
        voice = f"{choice[int(rng.integers(len(choice)))]}+{variants[int(rng.integers(len(variants)))]}"
        rate, pitch = int(rng.integers(120, 210)), int(rng.integers(20, 81))
        command = [
            "espeak-ng",
            "-v",
            voice,
            "-s",
            str(rate),
            "-p",
            str(pitch),
            "-w",
            str(out),
            "-f",
            str(text),
        ]
        return _Run(command, voice)

    return plan


def _flite(voices: Sequence[str]) -> _Planner:
    def plan(sentence: Sentence, text: Path, out: Path, rng: np.random.Generator) -> _Run:
        voice = voices[int(rng.integers(len(voices)))]
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={rng.uniform(0.85, 1.25):.2f}"]
        if voice.startswith("kal"):
            command += ["--setf", f"int_f0_target_mean={int(rng.integers(80, 150))}"]
        return _Run([*command, "-f", str(text), "-o", str(out)], voice)

    return plan


def _festival(kind: str) -> _Planner:
    def plan(sentence: Sentence, text: Path, out: Path, rng: np.random.Generator) -> _Run:
        command, script, voice = festival_command(kind, sentence.language, sentence.text, out, rng)
        scheme = text.with_suffix(".scm")
        scheme.write_bytes(script)
        return _Run([*command, str(scheme)], voice)

    return plan


def _pico(sentence: Sentence, text: Path, out: Path, rng: np.random.Generator) -> _Run:
    choice = _PICO_LANGUAGES[sentence.language]
    voice = choice[int(rng.integers(len(choice)))]
    plain = sentence.text.replace("<", " ").replace("&", " ")
    pitch, speed = int(rng.integers(75, 136)), int(rng.integers(85, 126))
    said = f'<pitch level="{pitch}"><speed level="{speed}">{plain}</speed></pitch>'
    return _Run(["pico2wave", "-l", voice, "-w", str(out), said], voice)


def _open_jtalk(sentence: Sentence, text: Path, out: Path, rng: np.random.Generator) -> _Run:
    voices = sorted(_HTS_VOICES.rglob("*.htsvoice"))
    if not voices or not _DICTIONARY.is_dir():
        raise ConfigError(
            "synthesiser_missing",
            f"open-jtalk needs a voice in {_HTS_VOICES} and the dictionary {_DICTIONARY}; on Debian run: apt-get "
            "install open-jtalk-mecab-naist-jdic hts-voice-nitech-jp-atr503-m001.",
        )
    voice = voices[int(rng.integers(len(voices)))]
    settings = {"-r": (0.8, 1.3), "-fm": (-5.0, 5.0), "-a": (0.45, 0.6), "-jf": (0.6, 1.4)}
    drawn = [part for key, span in settings.items() for part in (key, f"{rng.uniform(*span):.2f}")]
    command = ["open_jtalk", "-x", str(_DICTIONARY), "-m", str(voice), *drawn, "-ow", str(out), str(text)]
    return _Run(command, voice.stem)


_ESPEAK_LICENCE = "GPL-3.0-or-later (the program; what it says is free)"
_FESTIVAL_LICENCE = "BSD-like; voices as of their Debian packages"
_EN = ("en",)
_ESPEAK = (*_ESPEAK_LANGUAGES, *_ESPEAK_ALSO)
_ALL = (
    Synthesiser(
        "espeak-ng",
        "formant",
        "eSpeak NG",
        _ESPEAK_LICENCE,
        "espeak-ng",
        "espeak-ng",
        _ESPEAK,
        _espeak(_ESPEAK_VARIANTS),
    ),
    Synthesiser(
        "espeak-ng-klatt",
        "formant",
        "Klatt 1980, in eSpeak NG",
        _ESPEAK_LICENCE,
        "espeak-ng",
        "espeak-ng",
        _ESPEAK,
        _espeak(_KLATT_VARIANTS),
    ),
    Synthesiser(
        "flite-diphone",
        "concatenation",
        "Black and Lenzo 2001 (Flite)",
        "BSD-like",
        "flite",
        "flite",
        _EN,
        _flite(("kal", "kal16")),
    ),
    Synthesiser(
        "flite-clustergen",
        "hmm",
        "Black 2006 (CLUSTERGEN)",
        "BSD-like",
        "flite",
        "flite",
        _EN,
        _flite(("awb", "rms", "slt")),
    ),
    Synthesiser(
        "festival-diphone",
        "concatenation",
        "Festival",
        _FESTIVAL_LICENCE,
        "festival",
        "festival festvox-kallpc16k",
        ("en", "cs", "fi", "it", "hi", "mr", "te"),
        _festival("diphone"),
    ),
    Synthesiser(
        "festival-hts",
        "hmm",
        "Zen et al. 2007 (HTS), in Festival",
        _FESTIVAL_LICENCE,
        "festival",
        "festival festvox-us-slt-hts",
        ("en", "ca"),
        _festival("hts"),
    ),
    Synthesiser(
        "festival-clunits",
        "concatenation",
        "Black and Taylor 1997, in Festival",
        _FESTIVAL_LICENCE,
        "festival",
        "festival festvox-ru",
        ("ru",),
        _festival("clunits"),
    ),
    Synthesiser(
        "svox-pico",
        "hmm",
        "SVOX Pico",
        "Apache-2.0",
        "pico2wave",
        "libttspico-utils",
        tuple(_PICO_LANGUAGES),
        _pico,
    ),
    Synthesiser(
        "open-jtalk",
        "hmm",
        "Open JTalk",
        "BSD-3-Clause; voice CC-BY-3.0",
        "open_jtalk",
        "open-jtalk",
        ("ja",),
        _open_jtalk,
    ),
)
SYNTHESISERS: Mapping[str, Synthesiser] = MappingProxyType({made.name: made for made in _ALL})
