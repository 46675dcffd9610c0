// The list of people. Up to a thousand are held and searched here; beyond that the service finds a name.
import { badge, byId, empty, fill, make, row } from "./dom.js";
import { get, post, query } from "./api.js";
import { complain, failed } from "./talk.js";
import { consentOf, healthOf } from "./health.js";
import { bundleInUse } from "./model.js";
import { count, day, purposes, seconds } from "./words.js";

const HELD = 1000, SHOWN = 50;
const list = byId("list"), search = byId("search"), more = byId("more"), counted = byId("counted");
let people = [], whole = true, bundleId = null, shown = SHOWN, asked = 0;

async function load() {
  let after = null;
  do {
    const page = await get(query("/v1/people", { limit: 200, after }));
    people.push(...page.people);
    after = page.next;
  } while (after && people.length < HELD);
  whole = after === null;
  const order = new Intl.Collator();
  people.sort((a, b) => order.compare(a.name, b.name));
}

const simple = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

async function find() {
  const wanted = simple(search.value.trim()), turn = ++asked;
  let found = people.filter((person) => simple(person.name).includes(wanted));
  if (!found.length && !whole && wanted) {
    found = (await post("/v1/people/search", { name: search.value.trim() })).people;
    if (turn !== asked) return;
  }
  show(found, wanted !== "");
}

function show(found, searching) {
  list.removeAttribute("aria-busy");
  counted.textContent = searching ? `${found.length} found` : whole ? count(people.length, "person", "people") : `the first ${people.length} people`;
  more.hidden = found.length <= shown;
  if (!found.length) {
    fill(list, searching ? empty("Nobody of that name", "Check the spelling, or look among the unknown people.")
      : empty("Nobody is enrolled yet", "Enroll a person with their consent; it takes half a minute of speech.",
        make("a", { class: "button main", href: "/console/enroll" }, "Enroll a person")));
    return;
  }
  fill(list, make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["Name", "Voiceprint", "Speech", "References", "May be used to", "Since"].map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, found.slice(0, shown).map(line))));
}


function line(person) {
  const [[word, kind, advice]] = healthOf(person, bundleId), consent = consentOf(person);
  return row(
    ["", make("a", { class: "name", href: `/console/people/${person.id}` }, person.name)],
    ["Voiceprint", badge(word, kind, advice)],
    ["Speech", make("span", { class: "number" }, person.voiceprints.length ? seconds(person.net_speech_s) : "–")],
    ["References", String(person.voiceprints.length), "number"],
    ["Used to", consent ? make("span", {}, purposes(consent.purposes).map((word) => make("span", { class: "tag" }, word))) : make("span", { class: "soft" }, "nothing")],
    ["Since", make("span", { class: "number" }, day(person.created_at))],
  );
}

search.addEventListener("input", () => { shown = SHOWN; find().catch(complain); });
more.addEventListener("click", () => { shown += SHOWN * 4; find().catch(complain); });

try {
  bundleId = await bundleInUse();
  await load();
  await find();
} catch (error) {
  failed(list, error);
}
