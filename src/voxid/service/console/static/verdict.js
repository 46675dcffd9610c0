// Whether a voice is live and human, in words and a sign beside them: colour alone tells nobody anything.
import { fitting } from "./charts.js";
import { draw, facts, make } from "./dom.js";
import { clock, seconds, signed } from "./words.js";

const OUTCOMES = {
  genuine: ["Sounds live", "good", "✓", "Sounds like a live human voice"],
  suspicious: ["Suspicious", "warn", "?", "Suspicious: a person should listen"],
  spoof: ["Suspected fake", "bad", "✕", "Suspected to be no live voice"],
  cannot_tell: ["Cannot tell", "", "–", "It cannot be told"],
};
const WIDTH = 420, TOP = 12, BOTTOM = 140, MOST = 10;

/** Return the badge of a verdict; null where nobody asked. */
export function verdictBadge(verdict) {
  if (!verdict) return null;
  const [words, kind, mark] = OUTCOMES[verdict.outcome];
  return make("span", { class: `badge marked ${kind}`.trim(), title: verdict.reason }, make("span", { "aria-hidden": "true" }, mark), words);
}

/** Return a verdict as the head of a result. */
export function verdictHead(verdict) {
  const [, kind, mark, sentence] = OUTCOMES[verdict.outcome];
  return make("div", { class: `verdict ${kind}` }, make("span", { class: "mark", "aria-hidden": "true" }, mark), make("div", {}, make("strong", {}, sentence), make("p", { class: "soft" }, verdict.reason)));
}

/** Return what was measured, as terms and descriptions. */
export const verdictFacts = (verdict) => facts([
  ["Synthesised or converted", verdict.llr === null ? null : `LLR ${signed(verdict.llr, 2)}; above 0 speaks for a live voice`],
  ["Played back", verdict.replay_llr === null ? null : `LLR ${signed(verdict.replay_llr, 2)}`],
  ["Unlike its training", verdict.domain_distance === null ? null : `${verdict.domain_distance.toFixed(1)}${verdict.domain_limit === null ? "" : `; it cannot tell beyond ${verdict.domain_limit.toFixed(1)}`}`],
  ["Speech", seconds(verdict.net_speech_s)], ["Band", verdict.bandwidth_hz ? `up to ${(verdict.bandwidth_hz / 1000).toFixed(1)} kHz` : null], ["Detector", verdict.model_id],
]);

/** Return the pieces of a recording over time, each at its LLR: above the line speaks for a live voice. */
export function piecesOverTime(pieces, durationS) {
  const width = fitting(WIDTH), x = (at) => 34 + (Math.min(at, durationS) / Math.max(durationS, 0.1)) * (width - 46);
  const y = (llr) => (TOP + BOTTOM) / 2 - (Math.max(-MOST, Math.min(MOST, llr)) / MOST) * ((BOTTOM - TOP) / 2);
  const said = pieces.map((one) => `${clock(one.start_s)} to ${clock(one.end_s)} ${signed(one.llr)}`).join(", ");
  return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${BOTTOM + 26}`, role: "img", "aria-label": `LLR of each piece over time: ${said}` },
    [MOST, 0, -MOST].map((llr) => [draw("line", { class: "axis", x1: x(0), x2: x(durationS), y1: y(llr), y2: y(llr) }), draw("text", { x: 28, y: y(llr) + 4, "text-anchor": "end" }, llr ? signed(llr, 0) : "0")]),
    pieces.map((one) => draw("rect", { class: one.llr >= 0 ? "target" : "spoofed", x: x(one.start_s), width: Math.max(2, x(one.end_s) - x(one.start_s)), y: Math.min(y(one.llr), y(0)), height: Math.max(2, Math.abs(y(one.llr) - y(0))) })),
    draw("text", { x: x(0), y: BOTTOM + 22 }, clock(0)), draw("text", { x: x(durationS), y: BOTTOM + 22, "text-anchor": "end" }, clock(durationS, true)));
}
