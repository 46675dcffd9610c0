"""What a caller may change about live diarization."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Final

from voxid.diarize.options import DiarizeOptions
from voxid.errors import InputError

HOP_S: Final = 0.5
"""How often the last seconds are heard again, unless ``LiveOptions.hop_s`` says otherwise."""


@dataclass(frozen=True)
class LiveOptions:
    """How a call is followed while it goes on.

    Attributes:
        latency_s: how old speech is when it is first told, 0.5 to 5 s in halves. Longer: every moment has been heard
            more often, with what came after it, before it is told.
        hop_s: how often the last seconds are heard again, 0.5 to 2 s in halves and not more than ``latency_s``. Longer
            takes less of the processor, in proportion, and tells later and with less evidence.
        join_above: cosine with the mean of what a speaker has said, above which a voice heard for long is that speaker;
            one heard for a second needs half of it. Higher: more speakers and more merges later; lower: guests
            disappear in others. None makes it of the bundle's threshold for joining.
        merge_above: cosine of two speakers' means above which they are one. None makes it of ``join_above``.
        new_speaker_s: seconds heard alone that a voice needs to become a speaker of its own; before, it is shown as
            the nearest one who may be it. Half of it is enough beside everybody known. With a segmentation that never
            errs 1 s is best; with segmenter-small, which takes one voice for another in 6 % of its steps, confusion on
            five tuning conversations fell from 28 % at 1 s to 23 % at 3 s (by the end of the call from 31 to 18), label
            swaps from 399 to 241 an hour, and the count became right or one too many.
        continuity: what having been told as a speaker in the last seconds is worth, in cosine. Larger: fewer changes
            of label, slower correction.
        max_gap_s: pauses of one speaker up to this long stay inside the turn.
        keep_s: how much of the call's end the last pass hears again; what lies before stays as it was told. It bounds
            the memory: about 40 MB for 24 h of talk.
        final: of the last pass, and the threshold profile of names. Voices of chunks are clustered by AHC: on three
            tuning conversations confusion 15, 16 and 31 %, by NME-SC 22, 21 and 31.
    """

    latency_s: float = HOP_S
    hop_s: float = HOP_S
    join_above: float | None = None
    merge_above: float | None = None
    new_speaker_s: float = 3.0
    continuity: float = 0.2
    max_gap_s: float = DiarizeOptions.max_gap_s
    keep_s: float = 24 * 3600.0
    final: DiarizeOptions = field(default_factory=lambda: DiarizeOptions(clustering="ahc"))

    def __post_init__(self) -> None:
        hops = self.latency_s / HOP_S
        if not (1 <= hops <= 10) or abs(hops - round(hops)) > 1e-6:
            raise InputError(
                "latency_invalid",
                f"a latency of {self.latency_s} s was asked for; expected 0.5 to 5 s in halves, such as 0.5, 1 or "
                "5; change it.",
            )
        if self.hop_s not in (0.5, 1.0, 1.5, 2.0) or self.hop_s > self.latency_s:
            raise InputError(
                "hop_invalid",
                f"the last seconds are to be heard again every {self.hop_s} s at a latency of {self.latency_s} s; "
                "expected 0.5 to 2 s in halves, and not more than the latency; change it.",
            )
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise InputError("option_invalid", f"{name} is {value}; expected 0 or more; change it.")
        for name in ("join_above", "merge_above"):
            value = getattr(self, name)
            if value is not None and not -1 <= value <= 1:
                raise InputError(
                    "option_invalid", f"{name} is {value}; expected a cosine in [-1, 1]; change it."
                )


_NOT_NEGATIVE = [
    one.name for one in fields(LiveOptions) if one.type == "float" and one.name not in ("latency_s", "hop_s")
]
