// Enrollment: consent, then recordings one by one, then the voiceprint. The service hears each recording and says what it is worth.
import { badge, byId, fill, make, row } from "./dom.js";
import { get, once, post, remove, upload } from "./api.js";
import { ask, busy, complain } from "./talk.js";
import { recorder } from "./recorder.js";
import { consentOf } from "./health.js";
import { day, purpose, seconds } from "./words.js";

const WANTED_S = 12; // of speech; the service would take less, and would be less sure of the voice
const PROMPTS = [
  "The rain had stopped by noon, so we carried the long table out under the chestnut tree and counted nine chairs.",
  "Could you read me the number once more? I wrote down seven, four, four, two, and then the pen gave up.",
  "My neighbour keeps bees on the roof; every August she leaves a jar of pale honey beside our door.",
  "We missed the early train, shared a cheese sandwich on platform five, and laughed about it all the way home.",
  "If the shop is closed, leave the parcel with the gentleman who repairs violins across the square.",
];
const asked = new URLSearchParams(location.search).get("person");
let person = null, session = null, sending = 0;

// --- consent ---

const form = byId("consent-form"), chosen = () => Array.from(form.querySelectorAll("input[name=purpose]:checked"), (box) => box.value);

function writeRelease() {
  const names = chosen().map((name) => purpose(name).toLowerCase());
  byId("release-purposes").textContent = names.length ? names.join("; ") : "nothing yet";
  byId("release-end").textContent = byId("expires").value ? `on ${day(`${byId("expires").value}T12:00:00`)} at the latest` : "when it has not been used for as long as the retention schedule says";
}

async function releaseHash() {
  const bytes = new TextEncoder().encode(byId("release").innerText);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function agreed() {
  if (!chosen().length) throw new Error("Choose at least one thing the voice may be used for.");
  const values = Object.fromEntries(new FormData(form)), name = values.name.trim(), signer = values.signer.trim();
  const consent = {
    purposes: chosen(), evidence: values.evidence.trim(), method: "electronic signature", text_sha256: await releaseHash(),
    jurisdiction: values.jurisdiction.trim() || null, signer: signer.toLowerCase() === name.toLowerCase() ? null : signer,
    expires_at: values.expires ? new Date(`${values.expires}T23:59:59`).toISOString() : null,
  };
  person = await post("/v1/people", { name, consent });
  await begin();
}

form.addEventListener("input", writeRelease);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("begin"), agreed);
});

// --- speech ---

async function begin() {
  session = await post("/v1/enrollments", { person_id: person.id, wanted_speech_s: WANTED_S }, { headers: once() });
  toStep(2);
  byId("speech-head").textContent = `The voice of ${person.name}`;
  show();
  mic.element.querySelector("button").focus();
}

function toStep(number) {
  ["step-consent", "step-speech", "step-done"].forEach((id, n) => { byId(id).hidden = n + 1 !== number; });
  byId("steps").querySelectorAll("li").forEach((step, n) => {
    step.classList.toggle("done", n + 1 < number);
    if (n + 1 === number) step.setAttribute("aria-current", "step"); else step.removeAttribute("aria-current");
  });
  window.scrollTo(0, 0);
}

async function send(blob, name) {
  sending++;
  show();
  try {
    session = await upload(`/v1/enrollments/${session.id}/recordings`, blob, { headers: once() });
    if (session.last && !session.last.accepted) complain(`${name}: ${session.last.reason}`);
  } catch (error) {
    complain(error);
  } finally {
    sending--;
    show();
  }
}

function show() {
  const { recordings, net_speech_s: spoken, remaining_speech_s: remaining } = session, bar = byId("progress");
  bar.max = spoken + remaining || 1;
  bar.value = spoken;
  bar.classList.toggle("full", remaining === 0);
  byId("remaining").textContent = sending ? "Listening to the recording …"
    : remaining > 0 ? `${seconds(spoken)} of speech so far; ${seconds(remaining)} more to go.` : `${seconds(spoken)} of speech: enough. More recordings make the voiceprint firmer.`;
  byId("prompt").textContent = PROMPTS[recordings.length % PROMPTS.length];
  byId("finish").disabled = !session.ready || sending > 0;
  fill(byId("utterances"), recordings.length ? table(recordings) : null);
  fill(byId("problem"), problem());
}

function table(recordings) {
  return make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Recording", "Speech", "Quality", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Actions"))))),
    make("tbody", {}, recordings.map((one, n) => row(
      ["Recording", `${n + 1}`], ["Speech", make("span", { class: "number" }, seconds(one.net_speech_s))], ["Quality", quality(one)],
      ["", make("button", { type: "button", class: "button small plain danger", "aria-label": `Leave out recording ${n + 1}`, on: { click: (event) => leaveOut(one, event.currentTarget) } }, "Leave out"), "right"]))));
}

function quality(one) {
  if (one.clipping_share > 0.001) return badge("Clipped", "warn", "Too loud: the peaks are cut off");
  if (one.snr_db === null) return badge("Fine", "good");
  const words = `${Math.round(one.snr_db)} dB above the noise`;
  return one.snr_db < 15 ? badge("Noisy", "warn", words) : badge(one.snr_db < 25 ? "Fine" : "Clear", "good", words);
}

// What stands in the way, and the way around it for who knows better.
function problem() {
  const anyway = (sentence, options, action) => make("div", { class: "notice warn" }, make("p", {}, sentence), make("p", { class: "row" },
    make("button", { type: "button", class: "button small", on: { click: (event) => insist(sentence, options, event.currentTarget) } }, action)));
  if (session.inconsistent) return anyway(session.inconsistent, { allow_inconsistent: true }, "It is the same person");
  if (session.duplicate_is_certain) return anyway(`This voice is enrolled already, as ${session.duplicate}.`, { allow_duplicate: true }, "Enroll under this name as well");
  if (session.duplicate) return make("div", { class: "notice warn" }, make("p", {}, `This voice is like that of ${session.duplicate}; make sure it is not the same person.`));
  return null;
}

async function insist(sentence, options, button) {
  const given = await ask({ title: "Enroll all the same?", text: [sentence, "What you decide here is recorded in the audit log."], action: "Enroll" });
  if (given) await busy(button, () => finish(options));
}

async function leaveOut(one, button) {
  const next = await busy(button, () => remove(`/v1/enrollments/${session.id}/recordings/${one.id}`));
  if (next) { session = next; show(); }
}

async function finish(options = {}) {
  const done = await post(`/v1/enrollments/${session.id}/complete`, options, { headers: once() });
  session = null;
  toStep(3);
  fill(byId("done"),
    make("div", { class: "verdict good" }, make("span", { class: "mark", "aria-hidden": "true" }, "✓"),
      make("div", {}, make("strong", { tabindex: "-1", id: "enrolled" }, `${person.name} is enrolled`), make("p", { class: "soft" }, `${done.total} ${done.total === 1 ? "reference" : "references"} with ${seconds(done.net_speech_s)} of speech. The recordings were not kept.`))),
    done.warnings.map((warning) => make("div", { class: "notice warn" }, make("p", {}, warning))),
    make("div", { class: "row" }, make("a", { class: "button main", href: `/console/people/${person.id}` }, "See the person"), make("a", { class: "button", href: "/console/enroll" }, "Enroll somebody else")));
  byId("enrolled").focus();
}

const mic = recorder({ label: "Record a sentence", onDone: (blob) => send(blob, "The recording") });
byId("recorder").append(mic.element);
byId("file").addEventListener("change", async (event) => {
  for (const file of Array.from(event.target.files)) await send(file, file.name);
  event.target.value = "";
});
byId("finish").addEventListener("click", () => busy(byId("finish"), () => finish()).then(() => { if (session) show(); }));
byId("cancel").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  await mic.stop();
  await remove(`/v1/enrollments/${session.id}`);
  session = null;
  location.assign(`/console/people/${person.id}`);
}));
window.addEventListener("beforeunload", (event) => { if (session?.recordings.length) event.preventDefault(); });

writeRelease();
get("/v1/policies").then((policy) => { if (!byId("jurisdiction").value) byId("jurisdiction").value = policy.jurisdiction || ""; }).catch(complain);
if (asked) {
  try {
    person = await get(`/v1/people/${encodeURIComponent(asked)}`);
    if (!consentOf(person)) throw new Error(`${person.name} has no consent in force; record one on their page first.`);
    await begin();
  } catch (error) {
    complain(error);
  }
}
