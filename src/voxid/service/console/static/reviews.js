// What a person has to decide: decisions in the review band, suggested names, hits of a watchlist, disputes.
import { badge, byId, empty, facts, fill, make } from "./dom.js";
import { get, post, query } from "./api.js";
import { ask, busy, complain, failed, say } from "./talk.js";
import { verdictBadge } from "./verdict.js";
import { clock, fromNow, signed, when } from "./words.js";

const SUBJECTS = { verification: "Verification to look at", suggested_name: "Suggested name", watchlist_hit: "Hit of a watchlist", dispute: "Dispute" };
const STATES = [["open", "To decide"], ["confirmed", "Confirmed"], ["rejected", "Rejected"]];
const list = byId("list"), more = byId("more"), states = byId("states");
let state = "open", after = null, shown = [];

function offerStates() {
  fill(states, STATES.map(([value, words]) => make("label", {}, make("input", { type: "radio", name: "state", value, checked: value === state, on: { change: () => { state = value; load(true).catch(complain); } } }), make("span", {}, words))));
}

async function load(anew) {
  if (anew) { after = null; shown = []; }
  const page = await get(query("/v1/reviews", { state, limit: 50, after }));
  const disputes = await Promise.all(page.reviews.filter((one) => one.subject === "dispute").map((one) => get(`/v1/disputes/${one.about.dispute_id}`)));
  const byDispute = new Map(disputes.map((one) => [one.id, one]));
  shown.push(...page.reviews.map((one) => ({ ...one, dispute: byDispute.get(one.about.dispute_id) })));
  after = page.next;
  show();
}

function show() {
  list.removeAttribute("aria-busy");
  more.hidden = !after;
  if (!shown.length) { fill(list, empty(state === "open" ? "Nothing is waiting" : "Nothing here", state === "open" ? "What needs a person's decision appears here." : "What was decided appears here.")); return; }
  fill(list, make("ul", { class: "voices" }, shown.map(card)));
}

function card(one) {
  const { about } = one;
  return make("li", {},
    make("div", { class: "row" }, make("h2", {}, SUBJECTS[one.subject]), one.person_id && make("a", { class: "name", href: `/console/people/${one.person_id}` }, one.person || "a person"), make("span", { class: "soft push" }, when(one.created_at))),
    make("p", {}, one.dispute ? `“${one.dispute.statement}”` : one.reason),
    make("dl", { class: "facts" }, facts([
      ["LLR", about.llr !== undefined && about.llr !== null ? `${signed(about.llr, 2)}${about.threshold_llr === undefined ? "" : `; the threshold is ${signed(about.threshold_llr, 2)}`}` : null],
      ["Is it live?", about.spoof && verdictBadge(about.spoof)], ["Where", place(about)], ["About", one.dispute && aboutDispute(one.dispute)],
      ["Answer by", one.dispute && state === "open" ? `${when(one.dispute.answer_by)} (${fromNow(one.dispute.answer_by)})` : null],
      ["Decided", one.decided && `${one.decided.by}, ${when(one.decided.at)}${one.decided.note ? `: ${one.decided.note}` : ""}`],
    ])),
    one.state === "open" ? make("div", { class: "row" }, acts(one)) : badge(one.state === "confirmed" ? "Confirmed" : "Rejected", one.state === "confirmed" ? "good" : "bad"));
}

function place(about) {
  if (about.call_id) return `a live call, ${clock(about.heard_s)} into it`;
  if (!about.timeline_id) return about.audio_sha256 ? make("span", { class: "code" }, `SHA-256 ${about.audio_sha256.slice(0, 16)}…`) : null;
  const at = about.start_s === undefined ? "" : ` at ${clock(about.start_s, true)}`;
  return make("a", { href: query(`/console/recordings/${about.timeline_id}`, { at: about.start_s }) }, `${about.speaker || "the recording"}${at}`);
}

const aboutDispute = (dispute) => (dispute.subject === "timeline" ? make("a", { href: `/console/recordings/${dispute.subject_id}` }, "a timeline") : dispute.subject.replace("_", " "));

function acts(one) {
  const who = one.person || "this person";
  const [yes, no] = one.subject === "dispute" ? [["overturned", "Overturn the result"], ["upheld", "Uphold the result"]] : [["confirmed", `It is ${who}`], ["rejected", `It is not ${who}`]];
  return [yes, no].map(([outcome, words], n) => make("button", { type: "button", class: `button small${n === 0 && one.subject !== "dispute" ? " main" : ""}`, on: { click: (event) => decide(one, outcome, words, event.currentTarget) } }, words));
}

async function decide(one, outcome, words, button) {
  const note = make("div", { class: "field" }, make("label", { for: "note" }, "Why"), make("textarea", { class: "input", id: "note", name: "note", maxlength: 4000 }));
  const given = await ask({ title: `${words}?`, text: "It is decided once, with everything that follows from it, and stands in the audit log with your key.", action: "Decide", fields: [note] });
  if (!given) return;
  const to = one.subject === "dispute" ? `/v1/disputes/${one.about.dispute_id}/resolve` : `/v1/reviews/${one.id}/decide`;
  if (!await busy(button, () => post(to, { outcome, note: given.note.trim() }))) return;
  say("Decided.");
  await load(true);
}

offerStates();
more.addEventListener("click", () => busy(more, () => load(false)));
load(true).catch((error) => failed(list, error));
