// How the service is doing, read again every few seconds from what Prometheus reads.
import { badge, byId, empty, fill, make, row } from "./dom.js";
import { failed } from "./talk.js";
import { parse, quantile, total } from "./prometheus.js";
import { trace } from "./charts.js";
import { fromNow, percent, seconds } from "./words.js";

const EVERY_MS = 5000, KEPT = 120;
const CHECKS = { models: "Models answer", store: "Galleries can be written", disk: "Room on the disk", audit: "Audit log is whole" };
const INDICATORS = {
  identification_accuracy: "Identification accuracy", eer: "Equal error rate", far: "False-accept rate", frr: "False-reject rate", apcer: "Fakes taken for live (APCER)", bpcer: "Live voices called fake (BPCER)", latency_p95_by_stage: "p95 by stage",
  availability: "Availability", drift: "Drift", enrollment_success: "Enrollment success", spoof_pass_rate: "Spoof pass rate", audit_completeness: "Audit completeness",
};
const page = byId("operations"), history = [];
let started = null;

const ms = (value) => (value === null ? "–" : value < 1 ? `${Math.round(1000 * value)} ms` : seconds(value));
const api = (labels) => labels.route?.startsWith("/v1/") && labels.route !== "/v1/live";
const whole = (value) => (value === null ? "–" : Math.round(value).toLocaleString());

async function read() {
  const [answer, ready] = await Promise.all([fetch("/metrics", { credentials: "same-origin" }), fetch("/readyz", { credentials: "same-origin" })]);
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return { at: Date.now(), metrics: parse(await answer.text()), ready: await ready.json() };
}

function remember(now) {
  const last = history[history.length - 1], spent = last ? (now.at - last.at) / 1000 : 0;
  const count = (one) => total(one.metrics, "voxid_http_requests_total", api) || 0;
  history.push({ ...now, rate: last ? Math.max(0, (count(now) - count(last)) / spent) : null, p95: last ? quantile(now.metrics, "voxid_http_request_seconds", 0.95, api, last.metrics) : null });
  if (history.length > KEPT) history.shift();
}

function tile(term, value, note = "") {
  return make("div", { class: "tile" }, make("dt", {}, term), make("dd", {}, value, note ? make("small", {}, ` ${note}`) : null));
}

function show() {
  const now = history[history.length - 1], { metrics, ready } = now;
  const answered = total(metrics, "voxid_http_requests_total", api), broken = total(metrics, "voxid_http_requests_total", (labels) => api(labels) && labels.status.startsWith("5")) || 0;
  started ??= total(metrics, "process_start_time_seconds");
  page.removeAttribute("aria-busy");
  fill(page,
    make("dl", { class: "tiles" },
      tile("State", ready.status === "ready" ? badge("Ready", "good") : badge("Not ready", "bad"), started ? `since ${fromNow(new Date(started * 1000).toISOString())}` : ""),
      tile("Requests a second", now.rate === null ? "…" : now.rate.toFixed(1)), tile("p95 of the API", ms(quantile(metrics, "voxid_http_request_seconds", 0.95, api))),
      tile("Answered well", answered ? percent(1 - broken / answered, 2) : "–", answered ? `of ${whole(answered)}` : ""),
      tile("Live calls", whole(total(metrics, "voxid_live_calls"))), tile("Wait for the networks", whole(total(metrics, "voxid_inference_waiting"))),
      tile("Memory", megabytes(total(metrics, "process_resident_memory_bytes"))), tile("Audit events", whole(total(metrics, "voxid_audit_events_total")))),
    make("div", { class: "columns" },
      card("Requests a second, last ten minutes", course("rate", "Requests a second", (value) => value.toFixed(1))),
      card("p95, last ten minutes", course("p95", "95th percentile of the answer times", ms)),
      card("Checks", table(["Check", "State"], Object.entries(ready.checks).map(([name, found]) => row(["Check", CHECKS[name] || name], ["State", found === "ok" ? badge("Fine", "good") : badge(found, "bad")])))),
      card("Stages", stages(metrics)), card("Decisions", counted(metrics, "voxid_decisions_total", ["purpose", "outcome"], "Nothing has been decided since the start.")),
      card("Refusals", counted(metrics, "voxid_refusals_total", ["code"], "Nothing has been refused since the start."))),
    card("Indicators", indicators(metrics)));
}

// What was measured since this page was opened.
function course(name, label, words) {
  const values = history.map((one) => one[name]), known = values.filter((one) => one !== null);
  if (known.length < 2) return make("p", { class: "soft" }, "Drawn while this page stays open.");
  return [trace(values, `${label}: at most ${words(Math.max(...known))}, now ${words(known[known.length - 1])}`), make("p", { class: "soft fine" }, `at most ${words(Math.max(...known))}`)];
}

const card = (title, ...content) => make("section", { class: "card" }, make("h2", {}, title), content);
const table = (heads, rows) => make("div", { class: "wide-box" }, make("table", { class: "grid" }, make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, rows)));
const megabytes = (bytes) => (bytes === null ? "–" : `${Math.round(bytes / 2 ** 20).toLocaleString()} MB`);

function stages(metrics) {
  const names = (metrics.get("voxid_stage_seconds_count") || []).filter((one) => one.value > 0);
  if (!names.length) return empty("Nothing was heard yet", "Times appear with the first recording.");
  return table(["Stage", "Times", "Median", "p95"], names.map(({ labels, value }) => {
    const own = (other) => other.stage === labels.stage;
    return row(["Stage", make("b", {}, labels.stage)], ["Times", whole(value)], ["Median", ms(quantile(metrics, "voxid_stage_seconds", 0.5, own))], ["p95", ms(quantile(metrics, "voxid_stage_seconds", 0.95, own))]);
  }));
}

function counted(metrics, name, labels, none) {
  const series = (metrics.get(name) || []).filter((one) => one.value > 0).sort((a, b) => b.value - a.value);
  if (!series.length) return make("p", { class: "soft" }, none);
  return table([...labels.map((label) => label[0].toUpperCase() + label.slice(1)), "Times"], series.map((one) => row(...labels.map((label) => [label, one.labels[label]]), ["Times", whole(one.value)])));
}

function indicators(metrics) {
  const series = metrics.get("voxid_indicator_available") || [];
  return [make("p", { class: "soft" }, "Whether there is data behind each figure on the dashboards; what is absent was not measured, and is not nought."),
    make("ul", { class: "chips" }, series.map((one) => make("li", {}, badge(INDICATORS[one.labels.indicator] || one.labels.indicator.replaceAll("_", " "), one.value ? "good" : "", one.value ? "There is data" : "No data"), one.value ? null : make("span", { class: "soft" }, "no data"))))];
}

async function turn() {
  if (document.hidden) return;
  remember(await read());
  show();
}

try {
  await turn();
  const timer = setInterval(() => turn().catch((error) => { clearInterval(timer); failed(page, error); }), EVERY_MS);
} catch (error) {
  failed(page, error);
}
