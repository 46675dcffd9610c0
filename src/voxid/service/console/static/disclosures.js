// The ledger of everybody on record.
import { get, query } from "./api.js";
import { byId, empty, fill, make } from "./dom.js";
import { busy, failed } from "./talk.js";
import { ledger, writeDown } from "./disclosing.js";
import { everybody, personField, personOf } from "./whom.js";

const list = byId("list"), more = byId("more"), write = byId("write");
let entries = [], after = null;

async function load(anew) {
  if (anew) { entries = []; after = null; }
  const page = await get(query("/v1/disclosures", { limit: 200, after }));
  entries.push(...page.disclosures);
  after = page.next;
  list.removeAttribute("aria-busy");
  more.hidden = !after;
  fill(list, entries.length ? ledger(entries, (one) => make("a", { class: "name", href: `/console/people/${one.person_id}` }, one.person))
    : empty("Nothing was given to anybody", "Write down what leaves the house: to whom, what, and on which basis."));
}

async function named({ person }) {
  const found = await personOf(person);
  if (!found) throw Object.assign(new Error(`Nobody called ${person} is on record.`), { code: "person_missing" });
  return found;
}

write.addEventListener("click", async () => {
  const people = await busy(write, everybody);
  if (people && await writeDown(write, named, [personField("About whom", people)])) await busy(write, () => load(true));
});
more.addEventListener("click", () => busy(more, () => load(false)));
load(true).catch((error) => failed(list, error));
