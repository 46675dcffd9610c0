// A call, followed while it is spoken: who speaks now, who spoke how long, each turn as it is known.
import { badge, byId, empty, facts, fill, make, row } from "./dom.js";
import { complain } from "./talk.js";
import { Microphone } from "./capture.js";
import { Call } from "./socket.js";
import { verdictBadge } from "./verdict.js";
import { clock, percent, seconds, signed } from "./words.js";

const COLORS = 7, SHOWN = 200, BARS = 200, BAR_SAMPLES = 1600, NOW_S = 3;
const STATES = { connecting: ["Connecting", ""], live: ["Live", "good"], broken: ["Connection lost, resuming", "warn"], ending: ["Hearing it once more as a whole", ""], over: ["Ended", ""] };
const start = byId("start"), stop = byId("stop"), names = byId("names"), canvas = byId("wave");
let microphone = null, call = null, turns = new Map(), colors = new Map(), verdicts = new Map(), bars = [], loudest = 0, waiting = 0, quality = null, heardS = 0;

function colorOf(speaker) {
  if (!colors.has(speaker)) colors.set(speaker, `c${colors.size % COLORS}`);
  return colors.get(speaker);
}

const dot = (speaker) => make("i", { class: `dot ${colorOf(speaker)}`, "aria-hidden": "true" });

function onMessage(message) {
  if (message.type === "problem") complain(message.detail);
  else if (message.type === "quality") quality = message;
  else if (message.type === "spoof") verdicts.set(message.voice, message);
  else if (message.type === "snapshot") { turns = new Map(); message.turns.forEach(take); verdicts = new Map(message.spoof.map((one) => [one.voice, one])); }
  else if (message.type === "timeline") { turns = new Map(message.turns.map((turn, n) => [n, { ...turn, type: "final" }])); heardS = message.duration_s; }
  else if (message.turn_id !== undefined) take(message);
  show();
}

function take(message) {
  heardS = Math.max(heardS, message.at_s || 0);
  if (message.withdrawn) turns.delete(message.turn_id); else turns.set(message.turn_id, message);
}

function onState(word) {
  const [words, kind] = STATES[word];
  fill(byId("state"), badge(words, kind));
  if (word === "over") {
    start.hidden = false;
    stop.hidden = true;
    names.disabled = false;
    call = null;
    show();
  }
}

function show() {
  const all = Array.from(turns.values()).sort((a, b) => a.start_s - b.start_s);
  const speaking = call && !call.ending ? all.filter((turn) => turn.type === "tentative" && turn.end_s > heardS - NOW_S) : [];
  fill(byId("now"), speaking.length
    ? speaking.map((turn) => make("p", { class: "speaking" }, dot(turn.speaker), turn.speaker))
    : make("p", { class: "soft" }, call ? (call.ending ? "The call has ended." : "Nobody speaks.") : all.length ? "The call has ended." : "Not listening."));
  showSpeakers(all);
  showTurns(all);
  showConnection();
}

function showSpeakers(all) {
  if (!all.length) return;
  const spoken = new Map();
  for (const turn of all) spoken.set(turn.speaker, (spoken.get(turn.speaker) || 0) + turn.end_s - turn.start_s);
  const sum = Array.from(spoken.values()).reduce((total, one) => total + one, 0) || 1;
  fill(byId("speakers"), make("ul", { class: "spoken" }, Array.from(spoken, ([speaker, time]) => {
    const turn = all.find((one) => one.speaker === speaker && one.person_id);
    return make("li", {}, dot(speaker), turn ? make("a", { class: "name", href: `/console/people/${turn.person_id}` }, speaker) : make("span", {}, speaker),
      verdictBadge(Array.from(verdicts.values()).find((one) => one.speaker === speaker)),
      make("span", { class: "number soft push" }, `${seconds(time)} · ${percent(time / sum)}`));
  })));
}

function showTurns(all) {
  if (!all.length) return;
  const words = { tentative: ["speaking", "warn"], final: ["final", "good"], revised: ["revised", ""] };
  fill(byId("turns"), make("table", { class: "grid folds" },
    make("thead", {}, make("tr", {}, ["From", "To", "Speaker", "Sure", "LLR", ""].map((head) => make("th", { scope: "col" }, head || make("span", { class: "unseen" }, "State"))))),
    make("tbody", {}, all.slice(-SHOWN).reverse().map((turn) => row(
      ["From", make("span", { class: "number" }, clock(turn.start_s, true))], ["To", make("span", { class: "number" }, clock(turn.end_s, true))],
      ["Speaker", make("span", { class: "speaker" }, dot(turn.speaker), turn.speaker)], ["Sure", percent(turn.confidence)], ["LLR", signed(turn.llr)], ["", badge(...words[turn.type])])))));
}

function showConnection() {
  const [channel] = quality ? quality.channels : [];
  fill(byId("connection"), facts([
    ["Heard", heardS ? clock(heardS) : null], ["Level", channel && `${channel.level_db} dB, noise ${channel.noise_db} dB`],
    ["Clipped", channel && channel.clipping_share > 0 ? percent(channel.clipping_share, 1) : null], ["Behind", quality && quality.behind_s > 1 ? seconds(quality.behind_s) : null],
  ]));
}

function hear(block) {
  if (call && !call.ending) call.put(block);
  for (const one of block) loudest = Math.max(loudest, Math.abs(one));
  waiting += block.length;
  if (waiting < BAR_SAMPLES) return;
  bars.push(loudest);
  bars = bars.slice(-BARS);
  loudest = waiting = 0;
  paint();
}

function paint() {
  const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight, pen = canvas.getContext("2d");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  pen.scale(ratio, ratio);
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--accent");
  bars.forEach((peak, n) => {
    const tall = Math.max(1.5, Math.sqrt(peak) * (height - 6));
    pen.fillRect(width - ((bars.length - n) / BARS) * width, (height - tall) / 2, Math.max(1, (width / BARS) * 0.7), tall);
  });
}

start.addEventListener("click", async () => {
  start.disabled = true;
  try {
    microphone = await Microphone.open(hear);
    turns = new Map(); colors = new Map(); verdicts = new Map(); bars = []; quality = null; heardS = 0;
    fill(byId("speakers"), empty("Nobody yet", "Speakers appear as they are heard."));
    fill(byId("turns"), empty("No turn yet", "A turn is told some two seconds after it was spoken; its name may be revised."));
    call = new Call({ names: names.checked }, onMessage, onState);
    start.hidden = true;
    stop.hidden = false;
    names.disabled = true;
    stop.focus();
  } catch (error) {
    complain(error);
  }
  start.disabled = false;
});

stop.addEventListener("click", async () => {
  stop.hidden = true;
  await microphone?.close();
  microphone = null;
  if (call) call.end();
});
document.addEventListener("voxid:theme", paint);
window.addEventListener("beforeunload", (event) => { if (call && !call.over) event.preventDefault(); });
