// The audit log: newest first, filtered, each entry with its proof, the whole of it checked on demand.
import { badge, byId, empty, facts, fill, make, row } from "./dom.js";
import { get, keep, post, query } from "./api.js";
import { ask, busy, complain, failed } from "./talk.js";
import { isIn, isSigned } from "./proof.js";
import { count, precisely } from "./words.js";

const PAGE = 100;
const list = byId("list"), more = byId("more"), person = new URLSearchParams(location.search).get("person");
let entries = [], oldest = 0, find = null;

// About one person the service looks itself: in the order they were written, up to a thousand at once.
async function loadPerson() {
  let after = 0;
  do {
    const page = await get(query("/v1/audit/events", { person_id: person, after, limit: 1000 }));
    entries.unshift(...page.events.reverse());
    after = page.next;
  } while (after !== null);
  oldest = 0;
  show();
}

async function loadEarlier() {
  const until = oldest, after = Math.max(0, until - PAGE);
  const { events } = await get(query("/v1/audit/events", { after, limit: until - after }));
  entries.push(...events.filter((one) => one.sequence <= until).reverse());
  oldest = after;
  show();
}

async function start() {
  const head = await get("/v1/audit/head");
  fill(byId("head"), facts([
    ["Entries", head.size.toLocaleString()], ["As of", precisely(head.at)],
    ["Root", make("span", { class: "code" }, head.root)], ["Signed by", make("span", { class: "code" }, head.public_key)],
    ["Keep", make("span", {}, make("button", { type: "button", class: "button small", on: { click: () => keep(new Blob([`${JSON.stringify({ head })}\n`], { type: "application/json" }), `voxid-audit-head-${head.size}.json`) } }, "Save this signed head"), make("span", { class: "soft" }, " where whoever runs the service cannot change it"))],
  ]));
  entries = [];
  oldest = head.size;
  filters();
  if (person) await loadPerson(); else if (head.size) await loadEarlier(); else show();
}

function filters() {
  find = make("input", { class: "input", type: "search", id: "find", placeholder: "Act, outcome, actor, person, hash", autocomplete: "off" });
  find.addEventListener("input", show);
  const links = [["jsonl", "JSON lines"], ["cef", "CEF"]].map(([form, word]) => make("a", { class: "button small", href: `/v1/audit/export?form=${form}`, download: `voxid-audit.${form}` }, word));
  const one = person && make("span", {}, "About ", make("a", { class: "code", href: `/console/people/${person}` }, person.slice(0, 8)), " · ", make("a", { href: "/console/audit" }, "show all"));
  fill(byId("filters"), one, make("div", { class: "search" }, make("label", { class: "unseen", for: "find" }, "Find among the entries shown"), find), make("span", { class: "row push" }, make("span", { class: "soft" }, "Download all as"), links));
}

function matches(entry, wanted) {
  return [entry.act, entry.outcome, entry.actor.kind, entry.actor.id, entry.person, entry.person_id, entry.hash, JSON.stringify(entry.facts)].some((text) => String(text || "").toLowerCase().includes(wanted));
}

const kindOf = (outcome) => (outcome.startsWith("refused") || outcome === "reject" ? "warn" : outcome === "done" || outcome === "accept" ? "good" : "");

function show() {
  const wanted = find.value.trim().toLowerCase(), found = wanted ? entries.filter((one) => matches(one, wanted)) : entries;
  list.removeAttribute("aria-busy");
  more.hidden = oldest === 0;
  if (!found.length) { fill(list, empty("No entry", wanted ? "Nothing among the entries shown matches; older ones can be loaded below." : "Nothing was done yet.")); return; }
  fill(list, make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["No.", "When", "Act", "Outcome", "By", "About", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "Details"))))),
    make("tbody", {}, found.map(line))));
}

function line(entry) {
  return row(
    ["No.", make("span", { class: "number soft" }, String(entry.sequence))], ["When", make("span", { class: "number" }, precisely(entry.at))],
    ["Act", make("b", {}, breakable(entry.act))], ["Outcome", badge(entry.outcome, kindOf(entry.outcome))],
    ["By", `${entry.actor.kind}${entry.actor.id ? ` ${entry.actor.id}` : ""}`], ["About", about(entry), "whole"],
    ["", make("button", { type: "button", class: "button small plain", "aria-label": `Details and proof of entry ${entry.sequence}`, on: { click: (event) => busy(event.currentTarget, () => detail(entry)) } }, "Details"), "right"],
  );
}

// An act in parts, between which a line may end.
const breakable = (act) => act.split(/(?<=[._])/).flatMap((part) => [part, make("wbr")]);

function about(entry) {
  if (entry.person_id?.startsWith("unknown-")) return make("a", { href: "/console/unknown", class: "code", title: entry.person_id }, entry.person_id.slice("unknown-".length));
  if (entry.person_id) return make("a", { href: `/console/people/${entry.person_id}`, class: "code" }, entry.person_id.slice(0, 8));
  if (entry.erased) return make("span", { class: "soft" }, "somebody erased");
  return entry.person ? make("span", { class: "code" }, entry.person.slice(0, 8)) : "";
}

async function detail(entry) {
  const proof = await get(`/v1/audit/events/${entry.sequence}/proof`);
  const [inside, signed] = [await isIn(proof), await isSigned(proof.head)];
  const list = make("dl", { class: "facts" }, facts([
    ["When", precisely(entry.at)], ["Outcome", entry.outcome], ["Request", entry.actor.request_id && make("span", { class: "code" }, entry.actor.request_id)],
    ...Object.entries(entry.facts).map(([name, value]) => [name, make("span", { class: "code" }, Array.isArray(value) ? value.join(", ") : String(value))]),
    ...Object.entries(entry.personal || {}).map(([name, value]) => [`${name} (sealed)`, make("span", { class: "code" }, typeof value === "object" ? JSON.stringify(value) : String(value))]),
    ["Hash", make("span", { class: "code" }, entry.hash)],
    ["In the log", inside ? badge("Proved", "good", `${count(proof.path.length, "hash", "hashes")} lead to the root of ${proof.head.size} entries`) : badge("Not proved", "bad")],
    ["Signature", signed === null ? "this browser cannot check Ed25519" : signed ? badge("Good", "good") : badge("Wrong", "bad")],
  ]));
  await ask({ title: `${entry.sequence}: ${entry.act}`, text: "Hash, path and signature were checked in this browser.", action: "Close", fields: [list], only: true });
}

byId("verify").addEventListener("click", (event) => busy(event.currentTarget, async () => {
  fill(byId("verified"), make("p", { class: "soft" }, "Reading and hashing everything again …"));
  const report = await post("/v1/audit/verify");
  fill(byId("verified"), report.whole
    ? make("div", { class: "notice good" }, make("p", {}, `Whole: ${count(report.entries, "entry", "entries")}, none changed, removed or moved.`))
    : make("div", { class: "notice bad" }, make("p", {}, make("b", {}, `Entry ${report.bad_entry} is bad. `), report.problem)));
  await start();
}));
more.addEventListener("click", () => busy(more, loadEarlier));

start().catch((error) => { failed(list, error); if (!error.code) complain(error); });
