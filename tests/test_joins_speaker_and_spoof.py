"""One decision of speaker and spoof: the speaker opens the door, everything else can only close it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soxr

from level_detector import SPOOF_GAIN, SUSPICIOUS_GAIN, write_detector
from voxid import Consent, Gallery, Outcome, Waveform
from voxid.audio import load
from voxid.bundle import default_bundle
from voxid.decision import Decision
from voxid.errors import ConfigError, InputError
from voxid.recognize.fusing import Fusion
from voxid.recognize.listening import Heard, hear
from voxid.speech import SpeechQuality
from voxid.spoof.detector import SpoofDetector
from voxid.spoof.fusion import CaseShares, SpoofPolicy, case_shares, genuine_llr, joint_llr
from voxid.spoof.verdict import SpoofOutcome, SpoofVerdict

VOICES = Path(__file__).parents[1] / "src" / "voxid" / "data" / "voices"
HEARD = Heard("x", "0" * 64, SpeechQuality(3.0, 3.0, 20.0, 0.0), "ok", None)


def verdict(outcome: str, llr: float | None = 4.0, replay_llr: float | None = 4.0) -> SpoofVerdict:
    return SpoofVerdict(
        SpoofOutcome(outcome), llr, replay_llr, 1.0, 2.0, 3.0, 7800.0, "d@1", f"It is {outcome}."
    )


def decided(outcome: str, llr: float) -> Decision:
    return Decision(Outcome(outcome), "ann", llr, 0.5, "far_1pct", 0.01, 3.0, "m@1", "0" * 64, f"LLR {llr}.")


@pytest.mark.parametrize(
    ("policy", "speaker", "voice", "outcome"),
    [
        ("check", "accept", "genuine", "accept"),
        ("check", "accept", "suspicious", "review"),
        ("check", "accept", "spoof", "spoof_suspected"),
        ("check", "accept", "cannot_tell", "accept"),
        ("check", "review", "spoof", "spoof_suspected"),
        ("check", "review", "genuine", "review"),
        ("check", "reject", "spoof", "reject"),
        ("check", "reject", "genuine", "reject"),
        ("strict", "accept", "cannot_tell", "review"),
        ("strict", "accept", "genuine", "accept"),
        ("off", "accept", "spoof", "accept"),
    ],
)
def test_a_verdict_closes_the_door_and_never_opens_it(
    policy: str, speaker: str, voice: str, outcome: str
) -> None:
    """Every pair of outcomes has one answer; what the detector cannot tell is left to the policy."""
    fusion = Fusion(SpoofPolicy.named(policy), default_bundle().profile("far_1pct"))
    joined = fusion.joined(decided(speaker, 9.0), replace(HEARD, spoof=verdict(voice)))
    assert joined.outcome.value == outcome
    assert [part.name for part in joined.parts] == ["speaker", "quality", "spoof"][
        : 2 if policy == "off" else 3
    ]
    assert joined.parts[0].outcome == speaker
    told = joined.to_dict()
    assert (told["spoof"] is None) == (policy == "off")
    if voice == "cannot_tell" and policy == "check":
        assert "Whether the voice is live was not found out: It is cannot_tell." in joined.reason


def test_what_is_refused_without_comparing_stays_refused() -> None:
    """No consent, nobody of that name, too little speech: there is nothing to join."""
    fusion = Fusion(SpoofPolicy(), default_bundle().profile("far_1pct"))
    decision = replace(decided("not_enrolled", 0.0), llr=None)
    assert fusion.joined(decision, HEARD) is decision


def test_one_score_needs_both_to_be_good() -> None:
    """By mode score, each LLR bounds the joint one, and the profile's threshold holds for the speaker too."""
    profile = default_bundle().profile("far_1pct")
    fusion = Fusion(SpoofPolicy("score"), profile)
    sure = profile.threshold_llr + 3.0

    def outcome(speaker_llr: float, voice: SpoofVerdict) -> Outcome:
        word = "accept" if speaker_llr >= profile.threshold_llr else "reject"
        return fusion.joined(decided(word, speaker_llr), replace(HEARD, spoof=voice)).outcome

    assert outcome(sure, verdict("genuine", 8.0, 8.0)) is Outcome.ACCEPT
    assert outcome(sure, verdict("genuine", -6.0, 8.0)) is Outcome.SPOOF_SUSPECTED
    assert outcome(sure, verdict("spoof", 8.0, 8.0)) is Outcome.SPOOF_SUSPECTED
    assert outcome(profile.threshold_llr - 0.05, verdict("genuine", 30.0, 30.0)) is Outcome.REJECT
    unsure = verdict("cannot_tell", -9.0, -9.0)
    assert outcome(sure, unsure) is Outcome.ACCEPT, "an LLR beyond the domain counts for nothing"
    parts = fusion.joined(decided("accept", sure), replace(HEARD, spoof=verdict("genuine", 8.0, 8.0))).parts
    assert [part.name for part in parts] == ["speaker", "quality", "spoof", "joint"]


def test_joint_llr_is_the_ratio_of_mixed_densities() -> None:
    """Equation and definition agree: density of the target over that of everything else."""
    rng = np.random.default_rng(3)
    for speaker_llr, spoof_llr in rng.normal(0, 4, (20, 2)):
        target, nontarget, spoof = 1.0, np.exp(-speaker_llr), np.exp(-spoof_llr)
        expected = np.log(target / (0.9 * nontarget + 0.1 * spoof))
        assert joint_llr(speaker_llr, spoof_llr, 0.1) == pytest.approx(expected)
        after = case_shares(speaker_llr, spoof_llr, CaseShares(0.5, 0.45, 0.05))
        whole = 0.5 * target + 0.45 * nontarget + 0.05 * spoof
        assert after.spoof == pytest.approx(0.05 * spoof / whole)
        assert after.target + after.nontarget + after.spoof == pytest.approx(1.0)
    assert joint_llr(800.0, -800.0, 0.1) == pytest.approx(-800 - np.log(0.1)), "no overflow"


def test_two_kinds_of_fakes_are_one_case() -> None:
    """Either kind alone brings the LLR down."""
    assert genuine_llr(verdict("genuine", 3.0, 3.0)) == pytest.approx(3.0)
    assert genuine_llr(verdict("spoof", -5.0, 9.0)) == pytest.approx(-5.0 + np.log(2), abs=1e-4)
    with pytest.raises(InputError, match="measured no LLR"):
        genuine_llr(verdict("cannot_tell", None, None))


def test_policies_are_known_by_name() -> None:
    """A wrong word is an error and never a policy that lets everybody in."""
    with pytest.raises(ConfigError, match="expected one of off, check, strict"):
        SpoofPolicy.named("on")
    with pytest.raises(ConfigError, match="a share between 0 and 1"):
        SpoofPolicy(spoof_share=0.0)


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> SpoofDetector:
    return SpoofDetector.load(write_detector(tmp_path_factory.mktemp("level")))


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with Gallery.open(tmp_path_factory.mktemp("people") / "people.voxid") as people:
        consent = Consent(purposes=frozenset({"verify"}), evidence="form")
        watched = Consent(purposes=frozenset({"watchlist"}), evidence="form")
        people.enroll("Ada", [VOICES / "ada" / f"0{n}.opus" for n in (1, 2)], consent)
        people.enroll("Eve", [VOICES / "ada" / "04.opus"], watched, allow_duplicate=True)
        yield people


@pytest.fixture(scope="module")
def speech() -> Waveform:
    return load(VOICES / "ada" / "03.opus")


def softer(waveform: Waveform, gain: float) -> tuple[np.ndarray, int]:
    return waveform.samples * np.float32(gain), 16_000


def test_verify_asks_the_detector(gallery: Gallery, detector: SpoofDetector, speech: Waveform) -> None:
    """The same person, three times: live, doubtful, and a fake by this detector."""
    policy = SpoofPolicy()
    found = [
        gallery.verify("Ada", softer(speech, gain), spoof=policy, detector=detector)
        for gain in (1.0, SUSPICIOUS_GAIN, SPOOF_GAIN)
    ]
    assert [decision.outcome.value for decision in found] == ["accept", "review", "spoof_suspected"]
    assert [bool(decision) for decision in found] == [True, False, False]
    assert {decision.spoof.model_id for decision in found if decision.spoof is not None} == {detector.id}
    assert gallery.verify("Ada", speech).spoof is None, "nobody looks unless asked to"


def test_telephone_claims_go_by_the_policy(
    gallery: Gallery, detector: SpoofDetector, speech: Waveform
) -> None:
    """The detector cannot tell: check leaves the decision to the speaker, strict to a person."""
    call = (soxr.resample(speech.samples, 16_000, 8_000), 8_000)
    outcomes = [
        gallery.verify("Ada", call, spoof=SpoofPolicy.named(name), detector=detector).outcome
        for name in ("check", "strict")
    ]
    alone = gallery.verify("Ada", call).outcome
    assert alone in (Outcome.ACCEPT, Outcome.REVIEW)
    assert outcomes == [alone, Outcome.REVIEW]


def test_somebody_watched_for_goes_to_a_person(gallery: Gallery, speech: Waveform) -> None:
    """The voice of a claim may be that of somebody on a watchlist too."""
    decision = gallery.verify("Ada", speech, watch=True)
    assert decision.outcome is Outcome.REVIEW
    assert "somebody's on a watchlist" in decision.reason
    assert "Eve" not in str(decision.to_dict()), "who that is, the claim does not tell"
    assert [part.name for part in decision.parts] == ["speaker", "quality", "watchlist"]


def test_a_hearing_without_detector_is_not_taken_for_genuine(gallery: Gallery, speech: Waveform) -> None:
    """Who asks for a check and gives a hearing that makes none hears so."""
    with pytest.raises(ConfigError, match="the hearing given does not") as caught:
        gallery.verify(
            "Ada",
            speech,
            hearing=lambda source, channel: hear(source, gallery.bundle, gallery.policy, channel),
            spoof=SpoofPolicy(),
        )
    assert caught.value.code == "spoof_not_heard"
