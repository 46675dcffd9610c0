// The recorder a person sees: a button, a running waveform, a level, advice, and at the end a WAV file.
import { make } from "./dom.js";
import { complain } from "./talk.js";
import { Microphone, asWav } from "./capture.js";
import { clock } from "./words.js";

const BARS = 240; // of the running waveform
const BAR_SAMPLES = 800; // 50 ms
const MOST_S = 300;

/**
 * Return an element with a recorder in it. `onDone(blob, seconds)` gets each recording, which ends by itself after
 * `mostS` seconds; `describedBy` are the ids of what its button is described by.
 */
export function recorder({ label = "Record", describedBy = null, mostS = MOST_S, onDone, onBlock = null }) {
  const button = make("button", { type: "button", class: "record", "aria-pressed": "false", "aria-label": label, "aria-describedby": describedBy });
  const canvas = make("canvas", { role: "img", "aria-label": "Running waveform of the microphone" });
  const level = make("i");
  const time = make("span", { class: "number" }, "0:00");
  const advice = make("span", { class: "badge" }, "Ready");
  const spoken = make("span", { class: "soft number" });
  const element = make("div", { class: "mic" }, button, canvas,
    make("div", { class: "below" }, time, make("span", { class: "level", role: "presentation" }, level), advice, spoken));
  const said = make("p", { class: "unseen", role: "status", "aria-live": "polite" });
  element.append(said);
  let microphone = null, blocks = [], bars = [], held = [], stopping = false, wanted = false;

  function paint() {
    const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(width * ratio)) { canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio); }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(element).getPropertyValue("--accent");
    const step = width / BARS;
    bars.slice(-BARS).forEach((peak, n) => {
      const tall = Math.max(1.5, Math.min(1, Math.sqrt(peak)) * (height - 6));
      pen.fillRect(n * step, (height - tall) / 2, Math.max(1, step * 0.7), tall);
    });
  }

  function hear(samples, meter) {
    blocks.push(samples);
    held.push(samples);
    let waiting = held.reduce((sum, one) => sum + one.length, 0);
    if (waiting >= BAR_SAMPLES) {
      bars.push(held.reduce((most, one) => one.reduce((top, x) => Math.max(top, Math.abs(x)), most), 0));
      held = [];
      show(meter);
    }
    if (onBlock) onBlock(samples, meter);
    if (meter.durationS > mostS - 0.5) stop();
  }

  function show(meter) {
    const shown = Math.max(0, Math.min(1, (meter.levelDb + 60) / 60)), [words, kind] = meter.advice;
    level.style.transform = `scaleX(${shown.toFixed(3)})`;
    level.className = meter.level > 0.985 ? "bad" : shown < 0.25 ? "warn" : "";
    time.textContent = clock(meter.durationS);
    spoken.textContent = meter.spokenS ? `about ${Math.round(meter.spokenS)} s of speech` : "";
    if (advice.textContent !== words) { advice.textContent = words; advice.className = `badge ${kind}`; said.textContent = words; }
    paint();
  }

  async function start() {
    if (wanted) return; // the browser still asks the person
    wanted = true;
    blocks = []; bars = []; held = [];
    try {
      const opened = await Microphone.open(hear);
      if (!wanted) { await opened.close(); return; } // stopped before the person allowed it
      microphone = opened;
      button.setAttribute("aria-pressed", "true");
      button.setAttribute("aria-label", "Stop recording");
    } catch (error) {
      wanted = false;
      complain(error);
    }
  }

  async function stop() {
    wanted = false;
    if (!microphone || stopping) return;
    stopping = true;
    const open = microphone;
    await open.close();
    microphone = null;
    stopping = false;
    button.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-label", label);
    level.style.transform = "scaleX(0)";
    advice.className = "badge";
    advice.textContent = "Ready";
    const recording = asWav(blocks), lengthS = open.meter.durationS;
    blocks = [];
    if (lengthS > 0.3) onDone(recording, lengthS);
  }

  button.addEventListener("click", () => (microphone ? stop() : start()));
  document.addEventListener("voxid:theme", paint);
  return { element, stop, recording: () => microphone !== null, disable: (on) => { button.disabled = on; } };
}
