// Watchlists: made for a stated purpose, people put on and taken off, recordings gone through. A hit decides nothing.
import { get, listed, post, put, remove, upload } from "./api.js";
import { badge, byId, empty, fill, make, row } from "./dom.js";
import { ask, busy, failed, say } from "./talk.js";
import { everybody, personField, personOf } from "./whom.js";
import { count, day, fromNow } from "./words.js";

const SHOWN = 50;
const list = byId("list"), form = byId("new"), mayRead = list.dataset.mayRead === "1", mayReview = list.dataset.mayReview === "1";
const names = new Map();

async function load() {
  const lists = await listed("/v1/watchlists", "watchlists");
  const cards = await Promise.all(lists.reverse().map(card));
  list.removeAttribute("aria-busy");
  fill(list, cards.length ? make("ul", { class: "voices" }, cards) : empty("No watchlist", "State above what people are looked for; nobody is looked for without it."));
}

async function card(one) {
  const entries = make("div", { class: "wide-box" }), outcome = make("div", { role: "status" }), path = `/v1/watchlists/${one.id}`;
  const file = make("input", { class: "unseen", type: "file", id: `file-${one.id}`, accept: "audio/*,video/*", on: { change: (event) => search(one, event.target, outcome) } });
  const again = () => showEntries(path, entries, SHOWN);
  await again();
  return make("li", {},
    make("div", { class: "row" }, make("h2", {}, one.title), badge(`Ends ${fromNow(one.ends_at)}`, ""), make("span", { class: "soft push" }, `${day(one.created_at)} to ${day(one.ends_at)}`)),
    make("p", {}, one.purpose), entries,
    make("div", { class: "row" },
      mayRead && make("button", { type: "button", class: "button small main", on: { click: (event) => enter(one, path, event.currentTarget, again) } }, "Put somebody on it"),
      make("label", { class: "button small", for: file.id }, "Go through a recording"), file,
      make("button", { type: "button", class: "button small plain danger push", "aria-label": `Delete ${one.title}`, on: { click: (event) => discard(one, path, event.currentTarget) } }, "Delete")),
    outcome);
}

async function showEntries(path, box, most) {
  const entries = await listed(`${path}/entries`, "entries"), shown = entries.slice(0, most);
  await Promise.all(shown.map(async ({ person_id: id }) => { if (mayRead && !names.has(id)) names.set(id, (await get(`/v1/people/${id}`)).name); }));
  if (!entries.length) { fill(box, make("p", { class: "soft" }, "Nobody is on it.")); return; }
  fill(box, make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Who", "Why", "Since", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Actions"))))),
    make("tbody", {}, shown.map((entry) => line(entry, path, () => showEntries(path, box, most))))),
  entries.length > most && make("button", { type: "button", class: "button small", on: { click: (event) => busy(event.currentTarget, () => showEntries(path, box, most + SHOWN * 4)) } }, `Show more of ${entries.length}`));
}

function line(entry, path, again) {
  const name = names.get(entry.person_id) || `${entry.person_id.slice(0, 8)}…`;
  return row(
    ["", mayRead ? make("a", { class: "name", href: `/console/people/${entry.person_id}` }, name) : name], ["Why", entry.reason], ["Since", make("span", { class: "number" }, day(entry.added_at))],
    ["", make("button", { type: "button", class: "button small plain danger", "aria-label": `Take off ${name}`, on: { click: (event) => busy(event.currentTarget, async () => { await remove(`${path}/entries/${entry.person_id}`); await again(); say(`${name} is not on it any more.`); }) } }, "Take off"), "right"]);
}

async function enter(one, path, button, again) {
  const people = await busy(button, everybody);
  if (!people) return;
  const why = make("div", { class: "field" }, make("label", { for: "reason" }, "Why"), make("textarea", { class: "input", id: "reason", name: "reason", required: true, maxlength: 4000 }));
  const given = await ask({ title: one.title, text: "Only who consented to be on watchlists can be put on one.", action: "Put on it", fields: [personField("Who", people), why] });
  if (!given) return;
  await busy(button, async () => {
    const person = await personOf(given.person, people);
    if (!person) throw Object.assign(new Error(`Nobody called ${given.person} is on record.`), { code: "person_missing" });
    await put(`${path}/entries/${person.id}`, { reason: given.reason.trim() });
    await again();
    say(`${person.name} is on it.`);
  });
}

async function search(one, input, outcome) {
  const [file] = input.files;
  input.value = "";
  if (!file) return;
  fill(outcome, make("p", { class: "soft" }, "Listening …"));
  try {
    const found = await upload(`/v1/watchlists/${one.id}/searches`, file);
    fill(outcome, make("div", { class: `notice ${found.hits ? "warn" : ""}` }, make("p", {}, `${file.name}: ${count(found.hits, "hit")} among ${count(found.compared, "person", "people")}. `,
      found.hits ? ["Who it may be, a reviewer decides", mayReview ? [": ", make("a", { href: "/console/reviews" }, "to the reviews")] : null, "."] : null)));
  } catch (error) {
    failed(outcome, error);
  }
}

async function discard(one, path, button) {
  const given = await ask({ title: `Delete ${one.title}?`, text: "Nobody is looked for any more; what was found stays with the reviewers.", action: "Delete", danger: true });
  if (given) await busy(button, async () => { await remove(path); await load(); say(`${one.title} was deleted.`); });
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  busy(byId("make"), async () => {
    await post("/v1/watchlists", { title: byId("title").value.trim(), purpose: byId("purpose").value.trim(), keep_days: Number(byId("days").value) });
    form.reset();
    await load();
    say("The watchlist was made.");
  });
});
load().catch((error) => failed(list, error));
