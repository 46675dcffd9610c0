// Proof of life: digits or words to be said now, a clock, one answer, and each part of it that must hold.
import { badge, byId, facts, fill, make } from "./dom.js";
import { once, post, query, upload } from "./api.js";
import { busy, complain } from "./talk.js";
import { disputeButton } from "./dispute.js";
import { recorder } from "./recorder.js";
import { verdictBadge } from "./verdict.js";
import { everybody, personOf } from "./whom.js";
import { clock, signed } from "./words.js";

const MOST_ANSWER_S = 30; // a longer answer is refused
const SEND_S = 2; // a recording still running so long before the end is sent, to be there in time
const TOLD_S = [30, 10]; // how much time is left, for who cannot see the clock
const PARTS = {
  once: "First answer", in_time: "In time", new: "Not heard before", speaker: "Their voice",
  live: "A live voice", content: "What was asked for", one_voice: "One voice throughout",
};
const form = byId("ask"), who = byId("who"), result = byId("result"), text = byId("text");
let people = [], open = null; // the challenge that waits for its answer: { person, id, endsAt, ofS, told }
let timer = null;

const leftS = () => (open.endsAt - performance.now()) / 1000;

async function ask() {
  const person = await personOf(who.value, people);
  if (!person) { who.setAttribute("aria-invalid", "true"); who.focus(); complain(`Nobody called ${who.value.trim()} is enrolled.`); return; }
  who.removeAttribute("aria-invalid");
  const ofS = Number(byId("time").value), askedAt = performance.now();
  const challenge = await post("/v1/challenges", { person_id: person.id, kind: form.elements.kind.value, lifetime_s: ofS });
  open = { person, id: challenge.id, endsAt: askedAt + 1000 * ofS, ofS, told: 0 }; // from before the asking: never later than the service's end
  fill(text, challenge.words.map((word) => make("span", {}, `${word} `)));
  byId("say-head").textContent = `To be said now by ${person.name}`;
  fill(result, make("div", { class: "empty" }, "Waiting for the answer."));
  show(true);
  mic.element.querySelector("button").focus();
  tick();
}

function show(asked) {
  byId("asking").hidden = asked;
  byId("challenge").hidden = !asked;
}

function tick() {
  clearTimeout(timer);
  if (!open) return;
  const left = Math.max(0, leftS()), low = left <= TOLD_S[TOLD_S.length - 1];
  byId("clock").textContent = clock(Math.ceil(left));
  byId("clock").classList.toggle("low", low);
  byId("left").value = left / open.ofS;
  byId("left").classList.toggle("low", low);
  const due = TOLD_S.filter((one) => one < open.ofS && left <= one).length;
  if (due > open.told) byId("warning").textContent = `${Math.ceil(left)} seconds left`;
  open.told = due;
  if (left <= SEND_S && mic.recording()) mic.stop();
  else if (left === 0) { over("The time is up", "Nothing was answered; ask for something new."); return; }
  timer = setTimeout(tick, 200);
}

// Nothing was sent: the challenge ends by itself.
function over(title, sentence) {
  close();
  head("warn", "…", title, sentence);
  byId("begin").focus();
}

function close() {
  const closed = open;
  open = null;
  clearTimeout(timer);
  byId("warning").textContent = "";
  mic.stop();
  show(false);
  return closed;
}

async function answer(blob) {
  if (!open) return; // cancelled, or too late
  const { person, id } = close();
  fill(result, make("div", { class: "empty" }, "Listening …"));
  try {
    tell(person, await upload(query(`/v1/people/${person.id}/liveness`, { challenge: id }), blob, { headers: once() }));
  } catch (error) {
    head("warn", "!", "Not looked at", error.message);
    if (!error.code) console.error(error);
  }
  byId("begin").focus();
}

function head(kind, mark, title, sentence) {
  fill(result, make("div", { class: `verdict ${kind}` }, make("span", { class: "mark", "aria-hidden": "true" }, mark), make("div", {}, make("strong", {}, title), make("p", { class: "soft" }, sentence))));
}

function tell(person, found) {
  const { decision } = found;
  if (found.passed) head("good", "✓", `${person.name} is here`, "Every part of the answer holds.");
  else head("bad", "✕", "Not proved", "Every part has to hold; ask again for a new try.");
  result.append(make("ul", { class: "parts" }, found.parts.map(part)));
  const measured = facts([
    ["Voice", decision && decision.llr !== null ? `LLR ${signed(decision.llr, 2)}` : null], ["Profile", decision?.profile], ["Is it live?", verdictBadge(found.spoof)],
  ]);
  if (measured.length) result.append(make("dl", { class: "facts" }, measured));
  if (decision?.id && result.dataset.mayDispute === "1") result.append(make("div", { class: "row" }, disputeButton("decision", decision.id)));
}

function part({ name, holds, reason }) {
  const [words, kind, mark] = holds === null ? ["not looked at", "", "–"] : holds ? ["holds", "good", "✓"] : ["does not hold", "bad", "✕"];
  const state = badge(words, `marked ${kind}`.trim());
  state.prepend(make("span", { "aria-hidden": "true" }, mark));
  return make("li", {}, make("b", {}, PARTS[name]), state, make("p", { class: "soft" }, reason));
}

const mic = recorder({ label: "Record the answer", describedBy: "text how", mostS: MOST_ANSWER_S, onDone: answer });
byId("recorder").append(mic.element);
byId("file").addEventListener("change", (event) => { const [file] = event.target.files; if (file) answer(file); event.target.value = ""; });
byId("give-up").addEventListener("click", () => over("Cancelled", "Nothing was answered."));
form.addEventListener("submit", (event) => { event.preventDefault(); busy(byId("begin"), ask); });

try {
  people = await everybody();
  fill(byId("people"), people.map((one) => make("option", { value: one.name })));
} catch (error) {
  complain(error);
}
