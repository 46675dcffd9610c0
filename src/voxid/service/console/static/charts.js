// Drawings on the axis of log-likelihood ratios: where one decision fell, how scores are spread.
import { draw } from "./dom.js";
import { signed } from "./words.js";

const WIDTH = 640, GAUGE_WIDTH = 420, LEAST = 300, AROUND = 60;

/** Return how wide a drawing is made: as wide as a narrow window lets it be, so that its words are not made small. */
export const fitting = (most) => Math.min(most, Math.max(LEAST, document.documentElement.clientWidth - AROUND));

function axis(x, low, high, y, step) {
  const parts = [draw("line", { class: "axis", x1: x(low), x2: x(high), y1: y, y2: y })];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) {
    parts.push(draw("line", { class: "axis", x1: x(value), x2: x(value), y1: y, y2: y + 5 }));
    parts.push(draw("text", { x: x(value), y: y + 19, "text-anchor": "middle" }, signed(value, 0).replace("+0", "0").replace("−0", "0")));
  }
  return parts;
}

/**
 * Return a scale with one LLR on it and the bands of a profile: reject, review, accept.
 * `profile` has threshold_llr and review_llr (may be null).
 */
export function gauge(llr, profile, label) {
  const span = Math.max(8, Math.ceil(Math.abs(llr)) + 1), height = 86, width = fitting(GAUGE_WIDTH);
  const x = (value) => 12 + ((Math.max(-span, Math.min(span, value)) + span) / (2 * span)) * (width - 24);
  const review = profile.review_llr ?? profile.threshold_llr;
  return draw("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    draw("rect", { class: "rejecting", x: x(-span), y: 32, width: x(review) - x(-span), height: 18 }),
    draw("rect", { class: "band", x: x(review), y: 32, width: x(profile.threshold_llr) - x(review), height: 18 }),
    draw("rect", { class: "accepting", x: x(profile.threshold_llr), y: 32, width: x(span) - x(profile.threshold_llr), height: 18 }),
    draw("line", { class: "threshold", x1: x(profile.threshold_llr), x2: x(profile.threshold_llr), y1: 26, y2: 54 }),
    draw("path", { class: "needle", d: `M${x(llr)} 34l-7 -12h14z` }),
    axis(x, -span, span, 58, span > 10 ? 4 : 2),
    draw("text", { x: x(-span), y: 12 }, "less alike"),
    draw("text", { x: x(span), y: 12, "text-anchor": "end" }, "more alike"));
}

/**
 * Return two distributions over the same LLR edges, with thresholds.
 * `targets`, `nontargets`: counts per bin; `edges`: one more than bins; `profiles`: with name, threshold_llr, review_llr.
 */
export function distributions({ edges, targets, nontargets, profiles, label }) {
  const low = edges[0], high = edges[edges.length - 1], top = 34, bottom = 214, height = 244, wide = fitting(WIDTH);
  const x = (value) => 12 + ((Math.max(low, Math.min(high, value)) - low) / (high - low)) * (wide - 24);
  const shape = (counts, kind) => {
    const sum = counts.reduce((all, one) => all + one, 0);
    if (!sum) return null;
    const most = Math.max(...counts), parts = [`M${x(low)} ${bottom}`];
    counts.forEach((one, n) => {
      const y = bottom - (one / most) * (bottom - top);
      parts.push(`L${x(edges[n]).toFixed(1)} ${y.toFixed(1)}L${x(edges[n + 1]).toFixed(1)} ${y.toFixed(1)}`);
    });
    parts.push(`L${x(high)} ${bottom}Z`);
    return draw("path", { class: kind, d: parts.join("") });
  };
  const marks = profiles.flatMap((profile, n) => {
    const at = x(profile.threshold_llr), right = at > wide * 0.7;
    return [
      draw("line", { class: "threshold", x1: at, x2: at, y1: top - 16 + 14 * (n % 2), y2: bottom }),
      draw("text", { x: right ? at - 6 : at + 6, y: top - 8 + 14 * (n % 2), "text-anchor": right ? "end" : "start" }, `${profile.name} ${signed(profile.threshold_llr)}`),
    ];
  });
  const width = high - low;
  return draw("svg", { class: "chart", viewBox: `0 0 ${wide} ${height}`, role: "img", "aria-label": label },
    shape(nontargets, "nontarget"), shape(targets, "target"), marks, axis(x, low, high, bottom, wide < 450 || width > 40 ? 10 : width > 16 ? 4 : 2));
}

/** Return a line over time; `values` may hold null where nothing was measured. */
export function trace(values, label) {
  const known = values.filter((one) => one !== null), most = Math.max(...known, 1e-9), height = 56;
  const x = (n) => (n / Math.max(values.length - 1, 1)) * WIDTH, y = (value) => height - 4 - (value / most) * (height - 10);
  let pen = "M";
  const path = values.map((value, n) => {
    if (value === null) { pen = "M"; return ""; }
    const part = `${pen}${x(n).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = "L";
    return part;
  }).join("");
  return draw("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": label }, draw("path", { class: "trace", d: path || "M0 0", "vector-effect": "non-scaling-stroke" }));
}
