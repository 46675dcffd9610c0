// Unknown people: name them, join two that are one, forget them.
import { badge, byId, empty, fill, make } from "./dom.js";
import { listed, post, remove } from "./api.js";
import { ask, busy, failed, say } from "./talk.js";
import { clock, count, day, fromNow, seconds } from "./words.js";

const list = byId("list"), mayEnroll = list.dataset.mayEnroll === "1";
let unknown = [];

async function load() {
  unknown = await listed("/v1/unknown", "unknown");
  unknown.sort((a, b) => (b.last_at || "").localeCompare(a.last_at || ""));
  show();
}

function show() {
  list.removeAttribute("aria-busy");
  if (!unknown.length) { fill(list, empty("Nobody", "Voices without a name are kept only when a recording is sent with the grounds to do so.")); return; }
  fill(list, make("ul", { class: "voices" }, unknown.map(card)));
}

function card(one) {
  const acts = one.opt_out ? [] : [
    mayEnroll && make("button", { type: "button", class: "button small main", "aria-label": `This is … (${one.id})`, on: { click: (event) => nameIt(one, event.currentTarget) } }, "This is …"),
    unknown.filter((other) => !other.opt_out).length > 1 && make("button", { type: "button", class: "button small", "aria-label": `Same as … (${one.id})`, on: { click: (event) => joinIt(one, event.currentTarget) } }, "Same as …"),
    make("button", { type: "button", class: "button small", "aria-label": `Opts out: ${one.id}`, on: { click: (event) => optOut(one, event.currentTarget) } }, "Opts out"),
    make("button", { type: "button", class: "button small plain danger", "aria-label": `Forget ${one.id}`, on: { click: (event) => forget(one, event.currentTarget) } }, "Forget"),
  ];
  return make("li", {},
    make("div", { class: "row" }, make("h2", {}, one.id), one.opt_out ? badge("Opted out", "warn") : badge(count(one.times_heard, "recording"), ""), make("span", { class: "soft" }, one.opt_out ? `since ${day(one.opt_out.recorded_at)}: kept to be recognised and for nothing else` : `${seconds(one.speech_s)} of speech · kept until ${day(one.expires_at)} (${fromNow(one.expires_at)})`)),
    make("ul", { class: "heard" }, one.sightings.map((sighting) => make("li", {}, make("b", {}, sighting.uri), ` · ${day(sighting.heard_at)} · ${clock(sighting.speech_s)} of speech · `, make("span", { class: "soft" }, sighting.basis)))),
    make("div", { class: "row" }, acts));
}

async function nameIt(one, button) {
  const field = (id, label, properties) => make("div", { class: "field" }, make("label", { for: id }, label), make("input", { class: "input", id, name: id, autocomplete: "off", ...properties }));
  const given = await ask({
    title: `Who is ${one.id}?`, action: "Name",
    text: "The voice is enrolled under the name, and every timeline it is on shows it. That takes the person's consent to be named in recordings.",
    fields: [field("name", "Name", { required: true, maxlength: 200 }), field("evidence", "Where the consent is recorded", { maxlength: 4000, placeholder: "signed form 17; empty if it is on record here" })],
  });
  if (!given) return;
  const consent = given.evidence.trim() ? { purposes: ["diarize-name"], evidence: given.evidence.trim() } : null;
  const named = await busy(button, () => post(`/v1/unknown/${one.id}/name`, { name: given.name.trim(), consent }));
  if (!named) return;
  await load();
  say(`${one.id} is ${given.name.trim()} now.`);
}

async function joinIt(one, button) {
  const choice = make("select", { class: "input", id: "other", name: "other" }, unknown.filter((other) => other !== one && !other.opt_out).map((other) => make("option", { value: other.id }, `${other.id} (${other.sightings[0]?.uri || "no recording"})`)));
  const given = await ask({ title: `Same voice as ${one.id}`, text: "The other id leads to this one from now on.", action: "Join", fields: [make("div", { class: "field" }, make("label", { for: "other" }, "Which one"), choice)] });
  if (!given) return;
  const joined = await busy(button, () => post(`/v1/unknown/${one.id}/merge`, { other_id: given.other }));
  if (!joined) return;
  await load();
  say(`${given.other} was joined to ${one.id}.`);
}

async function optOut(one, button) {
  const wish = make("div", { class: "field" }, make("label", { for: "wish" }, "Where the wish is written down"), make("input", { class: "input", id: "wish", name: "wish", required: true, maxlength: 4000, autocomplete: "off" }));
  const given = await ask({ title: `${one.id} opts out`, text: "Everything but the voice is forgotten; the voice is kept to recognise the wish, and for nothing else.", action: "Record", danger: true, fields: [wish] });
  if (!given) return;
  if (await busy(button, () => post(`/v1/unknown/${one.id}/opt-out`, { evidence: given.wish.trim() }))) { await load(); say("Recorded."); }
}

async function forget(one, button) {
  const given = await ask({ title: `Forget ${one.id}?`, text: "Key, voice and the list of recordings are destroyed. These recordings do not bring it back.", action: "Forget", danger: true });
  if (!given) return;
  await busy(button, async () => { await remove(`/v1/unknown/${one.id}`); await load(); say(`${one.id} was forgotten.`); });
}

load().catch((error) => failed(list, error));
