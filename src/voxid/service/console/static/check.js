// Verify a claim or identify a voice, from the microphone or a file.
import { badge, byId, facts, fill, make } from "./dom.js";
import { get, once, query, upload } from "./api.js";
import { complain, loading } from "./talk.js";
import { gauge } from "./charts.js";
import { disputeButton } from "./dispute.js";
import { recorder } from "./recorder.js";
import { modelInUse } from "./model.js";
import { verdictBadge } from "./verdict.js";
import { everybody, personOf } from "./whom.js";
import { percent, seconds, signed } from "./words.js";

const OUTCOMES = {
  accept: ["Accepted", "good", "✓"], reject: ["Rejected", "bad", "✕"], review: ["A person should look at this", "warn", "?"],
  not_enough_speech: ["Not enough speech", "warn", "…"], poor_quality: ["Too poor a recording", "warn", "…"], not_enrolled: ["Not enrolled", "warn", "–"],
  opted_out: ["Opted out", "warn", "–"], consent_missing: ["No consent", "warn", "–"], consent_expired: ["Consent has ended", "warn", "–"],
  template_expired: ["Voiceprint too old", "warn", "–"], spoof_suspected: ["Suspected to be no live voice", "bad", "!"], model_mismatch: ["Voiceprint of another model", "warn", "–"],
};
const who = byId("who"), profile = byId("profile"), result = byId("result");
let people = [], profiles = [], policy = null;

const verb = () => document.querySelector("input[name=verb]:checked").value;

function show() {
  const identify = verb() === "identify", off = identify && !policy.identify_purpose;
  byId("claim").hidden = identify;
  byId("identify-off").hidden = !off;
  byId("identify-off").firstElementChild.textContent = "Identification is off: no purpose was stated for it. An administrator states it in the policy.";
  mic.disable(off);
  byId("file").disabled = off;
  profile.value = identify ? policy.identify_profile : policy.verify_profile;
  explain();
}

function explain() {
  const chosen = profiles.find((one) => one.name === profile.value);
  byId("profile-note").textContent = chosen
    ? `Lets ${percent(chosen.far, chosen.far < 0.01 ? 1 : 0)} of other voices pass ${verb() === "identify" ? "for each person compared" : "as this person"}. In the model's test, with its short and poor recordings, ${percent(chosen.frr)} of the right voices did not pass.` : "";
}

async function compare(blob) {
  try {
    if (verb() === "verify") await verify(blob); else await identify(blob);
  } catch (error) {
    refuse(error);
  }
}

async function verify(blob) {
  const person = await personOf(who.value, people);
  if (!person) { who.setAttribute("aria-invalid", "true"); who.focus(); complain(who.value.trim() ? `Nobody called ${who.value.trim()} is enrolled.` : "Say first who they claim to be."); return; }
  who.removeAttribute("aria-invalid");
  waiting();
  const decision = await upload(query(`/v1/people/${person.id}/verifications`, { profile: profile.value }), blob, { headers: once() });
  const [words, kind, mark] = OUTCOMES[decision.outcome], used = profiles.find((one) => one.name === decision.profile);
  fill(result,
    make("div", { class: `verdict ${kind}` }, make("span", { class: "mark", "aria-hidden": "true" }, mark), make("div", {}, make("strong", {}, words), make("p", { class: "soft" }, person.name))),
    decision.llr === null ? null : gauge(decision.llr, used, `Log-likelihood ratio ${decision.llr} against the threshold ${used.threshold_llr.toFixed(2)}`),
    make("p", {}, decision.reason), live(decision.spoof), details(decision),
    decision.id && result.dataset.mayDispute === "1" ? make("div", { class: "row" }, disputeButton("decision", decision.id)) : null);
}

async function identify(blob) {
  waiting();
  const found = await upload(query("/v1/identifications", { profile: profile.value }), blob, { headers: once() });
  const used = profiles.find((one) => one.name === found.profile);
  fill(result,
    make("div", { class: `verdict ${found.candidates.length ? "good" : "warn"}` }, make("span", { class: "mark", "aria-hidden": "true" }, found.candidates.length ? "✓" : "?"),
      make("div", {}, make("strong", {}, found.candidates.length ? found.candidates[0].name : "Unknown"), make("p", { class: "soft" }, `Compared with ${found.compared} people who agreed to it`))),
    make("ol", { class: "candidates" }, found.candidates.map((one) => make("li", {}, make("a", { class: "name", href: `/console/people/${one.person_id}` }, one.name), badge(`LLR ${signed(one.llr)}`, "good"), gauge(one.llr, used, `${one.name}: log-likelihood ratio ${one.llr}`)))),
    found.candidates.length ? null : make("p", {}, nobody(found)), live(found.spoof), details(found));
}

const nobody = (found) => (found.withheld ? "Only a live voice is named here." : "Nobody enrolled is near enough. The voice was not kept.");

const live = (verdict) => verdict && make("p", { class: "row" }, verdictBadge(verdict), make("span", { class: "soft" }, verdict.reason));

const details = (one) => make("dl", { class: "facts" }, facts([
  ["Profile", one.profile], ["Speech", one.net_speech_s === undefined ? null : seconds(one.net_speech_s)], ["Purpose", one.purpose], ["Model", one.model_id],
  ["Recording", one.audio_sha256 && make("span", { class: "code", title: one.audio_sha256 }, `SHA-256 ${one.audio_sha256.slice(0, 16)}…`)],
]));

const waiting = () => fill(result, make("div", { class: "empty" }, "Comparing …"));

function refuse(error) {
  fill(result, make("div", { class: "verdict warn" }, make("span", { class: "mark", "aria-hidden": "true" }, "!"), make("div", {}, make("strong", {}, "Not compared"), make("p", {}, error.message))));
  if (!error.code) console.error(error);
}

const mic = recorder({ label: "Record the voice", onDone: compare });
byId("recorder").append(mic.element);
byId("file").addEventListener("change", (event) => { const [file] = event.target.files; if (file) compare(file); event.target.value = ""; });
document.querySelectorAll("input[name=verb]").forEach((one) => one.addEventListener("change", show));
profile.addEventListener("change", explain);

async function load() {
  policy = await get("/v1/policies");
  const model = await modelInUse();
  profiles = model ? model.profiles : [];
  fill(profile, profiles.map((one) => make("option", { value: one.name }, one.name)));
  people = await everybody();
  fill(byId("people"), people.map((one) => make("option", { value: one.name })));
  show();
}

try {
  await loading(byId("voice"), load());
} catch (error) {
  complain(error);
}
