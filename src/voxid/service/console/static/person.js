// One person: what is on record, and what may be done about it.
import { badge, byId, empty, facts, fill, make, row } from "./dom.js";
import { download, get, keep, listed, patch, post } from "./api.js";
import { ask, busy, failed, loading, say } from "./talk.js";
import { ledger, writeDown } from "./disclosing.js";
import { consentOf, healthOf } from "./health.js";
import { join } from "./joining.js";
import { bundleInUse } from "./model.js";
import { count, day, fromNow, inOrder, purpose, seconds, when } from "./words.js";

const page = byId("person"), path = `/v1/people/${page.dataset.id}`, may = (what) => page.dataset[`may${what}`] === "1";
let person = null, bundleId = null;

function show() {
  document.title = `${person.name} · voxid`;
  byId("name").textContent = person.name;
  byId("summary").textContent = `On record since ${day(person.created_at)} · ${count(person.voiceprints.length, "reference")} · ${seconds(person.net_speech_s)} of speech`;
  acts();
  fill(byId("health"), make("ul", { class: "findings" }, healthOf(person, bundleId).map(([word, kind, advice]) => make("li", {}, badge(word, kind), make("p", { class: "soft" }, advice)))));
  showConsent();
  showReferences();
  showHistory();
}

function acts() {
  fill(byId("acts"),
    may("Enroll") && make("a", { class: "button", href: `/console/enroll?person=${person.id}` }, "Add recordings"),
    may("Write") && make("button", { type: "button", class: "button", on: { click: (event) => rename(event.currentTarget) } }, "Rename"),
    may("Write") && make("button", { type: "button", class: "button", on: { click: async (event) => { if (await join(person, event.currentTarget)) await reload(); } } }, "Same person as …"),
    may("Audit") && make("a", { class: "button", href: `/console/audit?person=${person.id}` }, "What was done"),
    may("Export") && make("button", { type: "button", class: "button", on: { click: (event) => exportData(event.currentTarget) } }, "Export data"));
}

async function exportData(button) {
  const field = make("div", { class: "field" }, make("label", { for: "passphrase" }, "Passphrase for the voiceprints"),
    make("input", { class: "input", id: "passphrase", name: "passphrase", type: "password", minlength: 8, maxlength: 1000, autocomplete: "new-password" }),
    make("p", { class: "soft" }, "Without one the voiceprints are left out; the rest is to be read."));
  const given = await ask({ title: `Everything kept of ${person.name}`, text: "A zip with a signed manifest of hashes, for the person themself.", action: "Export", fields: [field] });
  if (given) await busy(button, () => download("/v1/exports/person", { person_id: person.id, passphrase: given.passphrase || null }, "person.zip"));
}

async function rename(button) {
  const field = make("div", { class: "field" }, make("label", { for: "new-name" }, "New name"),
    make("input", { class: "input", id: "new-name", name: "name", required: true, maxlength: 200, autocomplete: "off", value: person.name }));
  const given = await ask({ title: `Rename ${person.name}`, text: "Voiceprints and consents stay; timelines show the new name from now on.", action: "Rename", fields: [field] });
  if (!given) return;
  const changed = await busy(button, () => patch(path, { name: given.name }));
  if (!changed) return;
  person = changed;
  show();
  say(`Renamed to ${person.name}.`);
}

function showReferences() {
  if (!person.voiceprints.length) { fill(byId("references"), empty("No reference yet", "Enroll speech to make a voiceprint.")); return; }
  fill(byId("references"), make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Made", "Speech", "Model", "SHA-256 of the recording"].map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, person.voiceprints.map((one) => row(
      ["Made", make("span", { class: "number" }, when(one.created_at))],
      ["Speech", make("span", { class: "number" }, seconds(one.net_speech_s))],
      ["Model", bundleId !== null && one.bundle_id !== bundleId ? badge(one.bundle_id, "bad", "Not the model in use") : one.bundle_id],
      ["SHA-256", make("span", { class: "code", title: one.audio_sha256 }, `${one.audio_sha256.slice(0, 16)}…`)])))));
}

function showConsent() {
  const consent = consentOf(person), box = byId("consent");
  if (!consent) {
    fill(box, empty("No consent in force", "Nothing is decided on this person until a consent is recorded."), renewing());
    return;
  }
  const ended = consent.expires_at && new Date(consent.expires_at) <= Date.now();
  fill(box,
    ended && make("div", { class: "notice bad" }, make("p", {}, `This consent ended ${fromNow(consent.expires_at)}.`)),
    make("ul", { class: "granted" }, inOrder(consent.purposes).map((name) => make("li", {}, make("span", {}, purpose(name)),
      may("Consent") && make("button", { type: "button", class: "button small plain danger", "aria-label": `Withdraw: ${purpose(name)}`, on: { click: (event) => withdraw(event.currentTarget, [name]) } }, "Withdraw")))),
    make("dl", { class: "facts" }, facts([
      ["Evidence", consent.evidence], ["Given by", consent.signer || person.name], ["How", consent.method], ["Law", consent.jurisdiction],
      ["Ends", consent.expires_at ? `${day(consent.expires_at)} (${fromNow(consent.expires_at)})` : "when it is withdrawn"],
      ["Text", consent.text_sha256 && make("span", { class: "code", title: consent.text_sha256 }, `SHA-256 ${consent.text_sha256.slice(0, 16)}…`)],
    ])),
    renewing());
}

function renewing() {
  if (!may("Consent")) return null;
  const all = consentOf(person) && make("button", { type: "button", class: "button small danger", on: { click: (event) => withdraw(event.currentTarget, null) } }, "Withdraw everything");
  const receipt = consentOf(person) && make("button", { type: "button", class: "button small", on: { click: (event) => receive(event.currentTarget) } }, "Signed receipt");
  return make("div", { class: "row" }, make("button", { type: "button", class: "button small", on: { click: (event) => renew(event.currentTarget) } }, "Record a new consent"), receipt, all);
}

async function receive(button) {
  const receipt = await busy(button, () => post(`${path}/receipts`));
  if (receipt) keep(new Blob([`${JSON.stringify(receipt, null, 1)}\n`], { type: "application/json" }), `consent-receipt-${receipt.body.record_id}.json`);
}

async function withdraw(button, purposes) {
  const consent = consentOf(person), last = purposes === null || consent.purposes.length === purposes.length;
  const given = await ask({
    title: last ? `Withdraw the consent of ${person.name}?` : `Withdraw “${purpose(purposes[0])}”?`,
    text: last ? "With no purpose left every voiceprint is destroyed at once. The history of the consent stays, as proof of the withdrawal."
      : "The voice is no longer used for this, from this moment on. The other permissions stay.",
    action: "Withdraw", danger: true,
  });
  if (!given) return;
  const done = await busy(button, () => post(`${path}/consents/withdraw`, { purposes: last ? null : purposes }));
  if (!done) return;
  await reload();
  say(last ? "The consent was withdrawn and the voiceprint destroyed." : "Withdrawn.");
}

async function renew(button) {
  const consent = consentOf(person), names = ["verify", "identify", "diarize-name", "watchlist"];
  const field = (id, label, properties) => make("div", { class: "field" }, make("label", { for: id }, label), make("input", { class: "input", id, name: id, autocomplete: "off", ...properties }));
  const boxes = make("fieldset", { class: "field" }, make("legend", {}, "The voice may be used to"),
    make("div", { class: "checks" }, names.map((name) => make("label", {}, make("input", { type: "checkbox", name, checked: !consent || consent.purposes.includes(name) }), make("span", {}, purpose(name))))));
  const given = await ask({
    title: `New consent of ${person.name}`, text: "It takes the place of the one in force.", action: "Record",
    fields: [boxes, field("evidence", "Where the agreement is recorded", { required: true, maxlength: 4000, placeholder: "signed form 17" }), field("until", "Ends on", { type: "date" })],
  });
  if (!given) return;
  const done = await busy(button, () => post(`${path}/consents`, {
    purposes: names.filter((name) => given[name]), evidence: given.evidence, jurisdiction: consent?.jurisdiction ?? null,
    expires_at: given.until ? new Date(`${given.until}T23:59:59`).toISOString() : null,
  }));
  if (!done) return;
  await reload();
  say("The consent was recorded.");
}

function showHistory() {
  const words = { given: ["Given", "good"], withdrawn: ["Withdrawn", "warn"], merged: ["Merged", ""] };
  fill(byId("history"), make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["", "When", "What", "Permissions from then on", "Evidence"].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Number"))))),
    make("tbody", {}, person.consents.slice().reverse().map((one) => row(
      ["", make("span", { class: "number soft" }, String(one.version))], ["When", make("span", { class: "number" }, when(one.recorded_at))],
      ["What", badge(...words[one.act])], ["Permissions", one.consent ? inOrder(one.consent.purposes).map(purpose).join(", ") : "none"], ["Evidence", one.consent?.evidence || ""])))));
}

async function showDisclosures() {
  const disclosures = await listed(`${path}/disclosures`, "disclosures");
  fill(byId("disclosures"), disclosures.length ? ledger(disclosures) : make("p", { class: "soft" }, "Nothing of this person was given to anybody."));
}

async function load() {
  bundleId = await bundleInUse();
  await reload();
}

async function reload() {
  person = await get(path);
  show();
}

async function erase(button) {
  const given = await ask({
    title: `Erase ${person.name}?`,
    text: "The data key is destroyed and every row deleted, now and for good. A copy in a backup stays unreadable and is not brought back by a restore.",
    action: "Erase for good", danger: true, typed: person.name,
  });
  if (!given) return;
  const receipt = await busy(button, () => post("/v1/erasures", { person_id: person.id }));
  if (receipt) erased(receipt);
}

// Nothing of the person is left to show but the receipt, which names nobody.
function erased({ body, ...signed }) {
  const file = () => keep(new Blob([`${JSON.stringify({ ...signed, body }, null, 1)}\n`], { type: "application/json" }), `erasure-receipt-${body.receipt_id}.json`);
  document.title = "Erased · voxid";
  byId("name").textContent = "Erased";
  byId("summary").textContent = "";
  fill(byId("acts"));
  fill(page, make("section", { class: "card", id: "erased", tabindex: "-1" },
    make("div", { class: "verdict good" }, make("span", { class: "mark", "aria-hidden": "true" }, "✓"), make("div", {}, make("strong", {}, "The person was erased"), make("p", { class: "soft" }, "The gallery and its log were read again: nothing of them was found. Hand them the receipt."))),
    make("dl", { class: "facts" }, facts([
      ["Receipt", make("span", { class: "code" }, body.receipt_id)], ["Proved", when(body.proved_at)], ["Destroyed", `${count(body.voiceprints, "voiceprint")}, ${count(body.consent_records, "consent record")}`],
      ["To be told", (body.recipients_to_tell || []).join(", ") || "nobody: nothing was disclosed"],
    ])),
    make("div", { class: "row" }, make("button", { type: "button", class: "button main", on: { click: file } }, "Save the receipt"), make("a", { class: "button", href: "/console/people" }, "Back to the people"))));
  byId("erased").focus();
}

async function optOut(button) {
  const given = await ask({
    title: `${person.name} opts out?`, text: "The person is erased, and nobody of this name is enrolled, verified or named again, also after a restore. Kept is a keyed hash of the name.",
    action: "Opt out", danger: true, typed: person.name,
  });
  if (given && await busy(button, () => post("/v1/opt-outs", { person_id: person.id }))) location.assign("/console/people");
}

byId("opt-out").addEventListener("click", (event) => optOut(event.currentTarget));
byId("disclose").addEventListener("click", async (event) => { if (await writeDown(event.currentTarget, () => person)) await showDisclosures(); });
byId("erase").addEventListener("click", (event) => erase(event.currentTarget));

try {
  await loading(page, load());
  if (may("Export")) await showDisclosures();
} catch (error) {
  failed(page, error);
}
