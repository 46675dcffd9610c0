// How scores are spread among the people enrolled, where the thresholds lie, and what an evaluation measured.
import { byId, empty, facts, fill, make, row } from "./dom.js";
import { get } from "./api.js";
import { complain, failed } from "./talk.js";
import { distributions } from "./charts.js";
import { count, percent, signed } from "./words.js";

const legend = () => make("ul", { class: "legend" }, make("li", { class: "target" }, "the same person"), make("li", {}, "different people"), make("li", { class: "threshold" }, "a threshold"));

function showOwn({ spread, profiles }) {
  const own = byId("own");
  own.removeAttribute("aria-busy");
  if (!spread) { fill(own, empty("Too few people to show", "The picture appears when five people or more are enrolled who agreed to be verified or identified.")); return; }
  const sum = (counts) => counts.reduce((all, one) => all + one, 0), same = sum(spread.targets), others = sum(spread.nontargets);
  const [first] = profiles, above = spread.nontargets.reduce((all, one, n) => all + (spread.edges[n] >= first.threshold_llr ? one : 0), 0);
  fill(own,
    distributions({ ...spread, profiles, label: `Distribution of log-likelihood ratios: ${same} comparisons of the same person, ${others} of different people` }),
    legend(),
    make("p", { class: "soft" }, `${count(spread.people, "person", "people")}, ${count(same, "comparison")} with themselves and ${count(others, "comparison")} with others; ${above} of the latter lie above ${first.name} (${percent(above / Math.max(others, 1), 2)}). Each curve is scaled to its own height.`,
      same ? "" : " Nobody has two recordings yet, so nothing is compared with itself."));
}

function showProfiles({ model_id: model, profiles }) {
  fill(byId("model-note"), "Model ", make("span", { class: "code" }, model), ". Each threshold was chosen for a false-accept rate on trials of people the model had not heard.");
  fill(byId("thresholds"), make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Profile", "False accepts", "Accept from LLR", "Review from LLR", "Own voices rejected", "Set on"].map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, profiles.map((one) => row(
      ["Profile", make("b", {}, one.name)], ["False accepts", percent(one.far, one.far < 0.01 ? 1 : 0)], ["Accept from", signed(one.threshold_llr, 2)],
      ["Review from", one.review_llr === null ? "no review" : signed(one.review_llr, 2)], ["Rejected", percent(one.frr, 1)],
      ["Set on", `${one.targets.toLocaleString()} + ${one.nontargets.toLocaleString()} trials`])))));
}

// A report of `voxid evaluate verification --json`: rates with their intervals, at the EER and at shipped thresholds.
function showReport(report, name) {
  if (report.task !== "verification" || !report.eer) throw new Error(`${name} is no report of voxid evaluate verification.`);
  const rate = (one) => (one ? `${percent(one.value, 2)} (${percent(one.low, 2)} to ${percent(one.high, 2)})` : "not measured");
  const profiles = Object.entries(report.profiles || {});
  fill(byId("measured"),
    make("dl", { class: "facts" }, facts([
      ["Report", name], ["Model", report.model], ["Trials", `${report.trials.toLocaleString()} of ${report.speakers} people on ${report.trial_list}`],
      ["Equal error rate", rate(report.eer)], ["Intervals", "95 %, people resampled"],
    ])),
    profiles.length ? make("div", { class: "wide-box" }, make("table", { class: "grid folds" },
      make("thead", {}, make("tr", {}, ["Profile", "Threshold", "False accepts", "Own voices rejected"].map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, profiles.map(([profile, one]) => row(["Profile", make("b", {}, profile)], ["Threshold", signed(one.threshold_llr, 2)], ["False accepts", rate(one.far)], ["Rejected", rate(one.frr)]))))) : null,
    (report.notes || []).map((note) => make("p", { class: "soft" }, note)));
}

byId("report").addEventListener("change", async (event) => {
  const [file] = event.target.files;
  if (!file) return;
  try {
    const parsed = JSON.parse(await file.text());
    showReport(Array.isArray(parsed) ? parsed[0] : parsed, file.name);
  } catch (error) {
    complain(error instanceof SyntaxError ? new Error(`${file.name} is not JSON.`) : error);
  }
  event.target.value = "";
});

try {
  const scores = await get("/v1/scores");
  showOwn(scores);
  showProfiles(scores);
} catch (error) {
  failed(byId("own"), error);
}
