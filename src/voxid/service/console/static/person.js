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
