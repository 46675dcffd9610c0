// One person: what is on record, and what may be done about it.
import { badge, byId, empty, facts, fill, make, row } from "./dom.js";
import { get, patch, remove } from "./api.js";
import { ask, busy, failed, say } from "./talk.js";
import { consentOf, healthOf } from "./health.js";
import { bundleInUse } from "./model.js";
import { count, day, fromNow, purpose, seconds, when } from "./words.js";

const page = byId("person"), path = `/v1/people/${page.dataset.id}`, may = (what) => page.dataset[`may${what}`] === "1";
let person = null, bundleId = null;

function show() {
  document.title = `${person.name} · voxid`;
  byId("name").textContent = person.name;
  byId("summary").textContent = `On record since ${day(person.created_at)} · ${count(person.voiceprints.length, "reference")} · ${seconds(person.net_speech_s)} of speech`;
  page.removeAttribute("aria-busy");
  acts();
  fill(byId("health"), make("ul", { class: "findings" }, healthOf(person, bundleId).map(([word, kind, advice]) => make("li", {}, badge(word, kind), make("p", { class: "soft" }, advice)))));
  showConsent();
  showReferences();
  showHistory();
}

function acts() {
  fill(byId("acts"),
    may("Enroll") && make("a", { class: "button", href: `/console/enroll?person=${person.id}` }, "Add recordings"),
    may("Write") && make("button", { type: "button", class: "button", on: { click: (event) => rename(event.currentTarget) } }, "Rename"));
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

async function erase(button) {
  const given = await ask({
    title: `Erase ${person.name}?`,
    text: "The data key is destroyed and every row deleted, now and for good. A copy in a backup stays unreadable and is not brought back by a restore.",
    action: "Erase for good", danger: true, typed: person.name,
  });
  if (!given) return;
  await busy(button, async () => { await remove(path); location.assign("/console/people"); });
}

byId("erase").addEventListener("click", (event) => erase(event.currentTarget));

try {
  bundleId = await bundleInUse();
  person = await get(path);
  show();
} catch (error) {
  failed(page, error);
}
