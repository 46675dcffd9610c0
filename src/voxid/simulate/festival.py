"""Festival's voices in Debian and the script that makes one of them speak."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxid.errors import ConfigError

__all__ = ["VOICES", "FestivalVoice", "festival_command"]

_HOME = Path("/usr/share/festival/voices")


@dataclass(frozen=True)
class FestivalVoice:
    """One voice: its folder is named like it. kind: diphone, hts or clunits. encoding: of the text it reads."""

    name: str
    language: str
    kind: str
    package: str
    encoding: str = "utf-8"

    @property
    def installed(self) -> bool:
        """Return whether its folder is there."""
        return any(_HOME.glob(f"*/{self.name}"))


VOICES = (
    FestivalVoice("kal_diphone", "en", "diphone", "festvox-kallpc16k"),
    FestivalVoice("ked_diphone", "en", "diphone", "festvox-kdlpc16k"),
    FestivalVoice("cmu_us_slt_arctic_hts", "en", "hts", "festvox-us-slt-hts"),
    FestivalVoice("upc_ca_ona_hts", "ca", "hts", "festvox-ca-ona-hts", "iso-8859-15"),
    FestivalVoice("czech_dita", "cs", "diphone", "festvox-czech-dita", "iso-8859-2"),
    FestivalVoice("czech_krb", "cs", "diphone", "festvox-czech-krb", "iso-8859-2"),
    FestivalVoice("czech_machac", "cs", "diphone", "festvox-czech-machac", "iso-8859-2"),
    FestivalVoice("czech_ph", "cs", "diphone", "festvox-czech-ph", "iso-8859-2"),
    FestivalVoice("hy_fi_mv_diphone", "fi", "diphone", "festvox-suopuhe-mv", "iso-8859-1"),
    FestivalVoice("suo_fi_lj_diphone", "fi", "diphone", "festvox-suopuhe-lj", "iso-8859-1"),
    FestivalVoice("lp_diphone", "it", "diphone", "festvox-italp16k", "iso-8859-1"),
    FestivalVoice("pc_diphone", "it", "diphone", "festvox-itapc16k", "iso-8859-1"),
    FestivalVoice("hindi_NSK_diphone", "hi", "diphone", "festvox-hi-nsk"),
    FestivalVoice("marathi_NSK_diphone", "mr", "diphone", "festvox-mr-nsk"),
    FestivalVoice("telugu_NSK_diphone", "te", "diphone", "festvox-te-nsk"),
    FestivalVoice("msu_ru_nsh_clunits", "ru", "clunits", "festvox-ru"),
)


def festival_command(
    kind: str, language: str, text: str, out: Path, rng: np.random.Generator
) -> tuple[list[str], bytes, str]:
    """Return the command without its script, the script, and the name of the voice drawn.

    Raises:
        ConfigError: ``synthesiser_missing``: no voice of the kind and language is installed.
    """
    fitting = [voice for voice in VOICES if voice.kind == kind and voice.language == language]
    there = [voice for voice in fitting if voice.installed]
    if not there:
        packages = " or ".join(voice.package for voice in fitting)
        raise ConfigError(
            "synthesiser_missing",
            f"festival-{kind} has no voice for {language!r} in {_HOME}; on Debian run: apt-get install {packages}.",
        )
    voice = there[int(rng.integers(len(there)))]
    # In a string of Festival's Scheme only quote and backslash have a meaning; a sentence needs neither.
    plain = text.replace("\\", " ").replace('"', " ")
    script = (
        f"(voice_{voice.name})\n"
        f"(Parameter.set 'Duration_Stretch {rng.uniform(0.85, 1.2):.2f})\n"
        f'(utt.save.wave (utt.synth (Utterance Text "{plain}")) "{out}" \'riff)\n'
    )
    return ["festival", "-b"], script.encode(voice.encoding, "replace"), voice.name
