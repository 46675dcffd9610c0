// A timeline: listen, correct, split, merge, undo. Every change is kept by the service at once.
/* global viewer */
import { byId, fill, make } from "./dom.js";
import { get, post, query, upload } from "./api.js";
import { disputeButton } from "./dispute.js";
import { busy, complain } from "./talk.js";
import { playFile } from "./player.js";
import { clock, count, percent, seconds, signed } from "./words.js";

const page = byId("viewer"), path = `/v1/diarizations/${page.dataset.id}`, mayCorrect = page.dataset.mayCorrect === "1";
const status = byId("status"), name = byId("name");
let timeline = null, enrolled = [];

const tell = (sentence) => { status.textContent = sentence; };
const people = () => viewer.turns.map((turn) => turn.name);

// What the API says becomes what the viewer shows.
function take(next) {
  timeline = next;
  const speakers = next.speakers.map((one) => one.name), place = new Map(speakers.map((one, n) => [one, n]));
  const unsure = new Set(next.review.filter((one) => one.kind === "low_confidence").map((one) => `${one.start_s} ${one.speaker}`));
  viewer.replace(next.turns.map((turn) => ({
    start: turn.start_s, end: turn.end_s, who: place.get(turn.speaker), turn: turn.turn,
    confidence: turn.confidence ?? undefined, llr: turn.llr ?? undefined, reviewed: turn.reviewed || undefined,
    suggestion: turn.suggestion?.person, suggestion_llr: turn.suggestion?.llr, suggestion_threshold_llr: turn.suggestion?.threshold_llr,
    doubt: (unsure.has(`${turn.start_s} ${turn.speaker}`) || (turn.suggestion && !turn.reviewed)) || undefined,
  })), speakers);
  byId("disputed").hidden = !next.under_review;
  byId("undo").disabled = !next.edits || !mayCorrect;
  byId("doubt").hidden = !viewer.turns.some(viewer.doubtful);
  fillPeople();
  showDoubts();
}

function fillPeople() {
  const names = new Set(people());
  for (const turn of viewer.turns) if (turn.suggestion) names.add(turn.suggestion);
  for (const one of enrolled) names.add(one);
  fill(byId("people"), Array.from(names, (one) => make("option", { value: one })));
}

function showDoubts() {
  const list = byId("review");
  if (!timeline.review.length) { fill(list, make("li", { class: "soft" }, "Nothing is left to review.")); return; }
  fill(list, timeline.review.map((doubt) => make("li", {},
    make("button", { type: "button", class: "button small", "aria-label": `Listen at ${clock(doubt.start_s, true)}`, on: { click: () => listen(doubt) } }, `▶ ${clock(doubt.start_s, true)}`),
    make("span", {}, doubt.reason))));
}

function listen(doubt) {
  const turn = viewer.turns.find((one) => one.start === doubt.start_s && one.name === doubt.speaker);
  viewer.go(doubt.start_s, true);
  if (turn) viewer.select(turn, false);
  if (doubt.kind === "suggested_name") byId("all").checked = true;
}

function about(turn) {
  const parts = [];
  if (turn.confidence !== undefined) parts.push(`${percent(turn.confidence)} sure`);
  if (turn.llr !== undefined) parts.push(`LLR ${signed(turn.llr)}`);
  if (turn.suggestion) parts.push(`may be ${turn.suggestion} (LLR ${signed(turn.suggestion_llr)}, a name needs ${signed(turn.suggestion_threshold_llr)})`);
  const others = viewer.othersIn(turn);
  if (others.length) parts.push(`together with ${others.join(" and ")}`);
  parts.push(viewer.doubtful(turn) ? "needs review" : turn.reviewed ? "reviewed" : "not reviewed");
  return parts.join(" · ");
}

function showPanel(turn) {
  byId("correct").hidden = !turn || !mayCorrect;
  byId("which").textContent = turn ? `${turn.name}, ${clock(turn.start, true)} to ${clock(turn.end, true)}` : "No turn selected";
  byId("about").textContent = turn ? `Turn ${turn.index + 1} of ${viewer.turns.length}. ${about(turn)}.` : "Choose a turn above, or step through them with the arrow keys.";
  if (!turn) return;
  const same = viewer.turns.filter((one) => one.name === turn.name).length;
  name.value = turn.suggestion || turn.name;
  byId("everyone").textContent = same === 1 ? `every turn of ${turn.name} (this one)` : `all ${same} turns of ${turn.name}`;
  byId("join").disabled = !nextOf(turn);
  byId("agree").disabled = !confirmable(turn.name);
  if (teaching) teaching.disabled = !teachable(turn.name);
  showSplit();
}

const nextOf = (turn) => viewer.turns.find((one) => one.index > turn.index && one.name === turn.name);

function showSplit() {
  const turn = viewer.selected();
  if (!turn) return;
  const at = viewer.now(), inside = at > turn.start + 0.02 && at < turn.end - 0.02;
  byId("split").disabled = !inside;
  byId("split").textContent = inside ? `Split at ${clock(at, true)}` : "Split (move the cursor into the turn)";
}

// --- changes: each is kept by the service, answered with the whole timeline, and can be undone ---

// A voice that is kept without a name is confirmed by naming it, among the unknown people.
const confirmable = (shown) => Boolean(speakerOf(shown)?.person_id) || /^SPEAKER_\d{2,3}$/.test(shown);

const speakerOf = (shown) => timeline.speakers.find((one) => one.name === shown);

function asSpeaker(text) {
  const known = speakerOf(text);
  if (known?.person_id) return { person_id: known.person_id };
  return /^SPEAKER_\d{2,3}$/.test(text) ? { label: text } : { name: text };
}

async function change(button, what, body, sentence) {
  const at = viewer.selected()?.start ?? null;
  const next = await busy(button, () => post(`${path}/${what}`, { ...body, revision: timeline.revision }));
  if (!next) return;
  take(next);
  const same = viewer.turns.find((turn) => turn.start === at) || viewer.turns.find((turn) => at !== null && turn.start <= at && turn.end > at);
  if (same) viewer.select(same, true);
  tell(sentence);
}

function rename() {
  const turn = viewer.selected(), to = name.value.replace(/\s+/g, " ").trim();
  if (!turn) return;
  if (!to) { tell("Write a name first."); name.focus(); return; }
  const which = byId("all").checked ? { speaker: turn.name } : { turns: [turn.index + 1] };
  change(byId("rename"), "corrections", { ...which, to: asSpeaker(to) }, `${byId("all").checked ? `Every turn of ${turn.name}` : "This turn"} is ${to} now.`);
}

function agree() {
  const turn = viewer.selected();
  if (!turn || !mayCorrect || byId("agree").disabled) return;
  const which = byId("all").checked ? { speaker: turn.name } : { turns: [turn.index + 1] };
  change(byId("agree"), "corrections", { ...which, to: asSpeaker(turn.name) }, "Marked as reviewed.");
}

function split() {
  const turn = viewer.selected();
  if (!turn || byId("split").disabled) return;
  change(byId("split"), "split", { turn: turn.index + 1, at_s: Math.round(viewer.now() * 1000) / 1000 }, "The turn was cut in two.");
}

function join() {
  const turn = viewer.selected(), next = turn && nextOf(turn);
  if (next) change(byId("join"), "merge", { turns: [turn.index + 1, next.index + 1] }, "The two turns are one.");
}

const undo = () => { if (!byId("undo").disabled) change(byId("undo"), "undo", {}, "Undone."); };

// What a person said in turns somebody listened to becomes one more reference of theirs; it takes the recording once more.
const teaching = document.getElementById("teach");
const teachable = (shown) => Boolean(speakerOf(shown)?.person_id && byId("recording").files.length && viewer.turns.some((turn) => turn.name === shown && turn.reviewed));

async function teach() {
  const turn = viewer.selected(), [file] = byId("recording").files, who = speakerOf(turn.name);
  const added = await busy(teaching, () => upload(query(`${path}/references`, { person_id: who.person_id }), file));
  if (added) tell(`${seconds(added.speech_s)} of ${turn.name} were added: ${count(added.voiceprints, "reference")} now.`);
}

function toNextDoubt() {
  const from = viewer.selected() ? viewer.selected().index : -1;
  const next = viewer.turns.find((turn) => turn.index > from && viewer.doubtful(turn)) || viewer.turns.find(viewer.doubtful);
  if (!next) { tell("Nothing is left to review."); return; }
  viewer.go(next.start, false);
  viewer.select(next, true);
}

const keys = {
  " ": viewer.toggle, "+": () => viewer.zoomBy(1.6), "=": () => viewer.zoomBy(1.6), "-": () => viewer.zoomBy(1 / 1.6), "0": () => viewer.zoomBy(0),
  r: agree, u: undo, n: toNextDoubt, s: split, m: join,
  e: () => { if (viewer.selected()) { name.focus(); name.select(); } },
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select")) {
    if (event.key === "Escape" && viewer.selected()) viewer.selected().button.focus({ preventScroll: true });
    return;
  }
  if (!byId("shortcuts").checked) return;
  const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (way && !event.target.closest("input")) {
    event.preventDefault();
    if (event.shiftKey) viewer.go(viewer.now() + 5 * way, false); else viewer.step(way);
    showSplit();
    return;
  }
  const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act || (event.key === " " && event.target.closest("summary, label, input, a, button:not(.turn)"))) return;
  event.preventDefault();
  act();
  showSplit();
});
// A focused turn would also answer to Space when it is released.
document.addEventListener("keyup", (event) => {
  if (event.key === " " && byId("shortcuts").checked && event.target.closest(".turn")) event.preventDefault();
});

if (teaching) teaching.addEventListener("click", teach);
byId("correct").addEventListener("submit", (event) => { event.preventDefault(); rename(); });
for (const [id, act] of [["agree", agree], ["split", split], ["join", join], ["undo", undo], ["doubt", toNextDoubt], ["before", () => viewer.step(-1)], ["after", () => viewer.step(1)]]) byId(id).addEventListener("click", act);
// The viewer moves this cursor whenever the time changes, by whatever way.
new MutationObserver(showSplit).observe(byId("cursor"), { attributes: true });
byId("recording").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) playFile(file, page.dataset.nonce, byId("given")).catch(complain);
  showPanel(viewer.selected());
});

// Names that may be given: people on record.
async function listEnrolled() {
  try { return (await get("/v1/people?limit=200")).people.map((one) => one.name); } catch { return []; }
}

function offerDownloads() {
  const forms = [["rttm", "RTTM"], ["srt", "SRT"], ["vtt", "VTT"], ["csv", "CSV"], ["textgrid", "TextGrid"], ["json", "JSON"]];
  fill(byId("acts"), make("span", { class: "soft" }, "Download"), forms.map(([form, word]) => make("a", { class: "button small", href: `${path}/timeline.${form}`, download: `${timeline.uri}.${form}` }, word)),
    page.dataset.mayDispute === "1" ? disputeButton("timeline", page.dataset.id, async () => take(await get(`${path}/timeline`))) : null);
}

// A link may lead to a moment: ?at=12.3
function goToAsked() {
  const at = Number(new URLSearchParams(location.search).get("at"));
  if (!at) return;
  viewer.go(at, false);
  const turn = viewer.turns.find((one) => one.start <= at + 0.01 && one.end > at + 0.01);
  if (turn) viewer.select(turn, false);
}

viewer.onSelect(showPanel);
try {
  enrolled = await listEnrolled();
  take(await get(`${path}/timeline`));
  offerDownloads();
  goToAsked();
} catch (error) {
  complain(error);
}
