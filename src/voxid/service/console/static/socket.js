// One live call over a WebSocket: sound goes out as 16-bit PCM, messages come in; a broken connection is resumed.
import { asPcm16 } from "./capture.js";
import { RATE_HZ } from "./resample.js";

const HELD_S = 30; // of sound kept to be sent again after a break
const AGAIN_MS = [300, 1000, 2000, 4000, 8000];

/**
 * A call. `onMessage(message)` gets what the service tells of it; `onState(word)` gets connecting, live, broken, ending
 * and over.
 */
export class Call {
  constructor(start, onMessage, onState) {
    this.start = { type: "start", sample_rate_hz: RATE_HZ, encoding: "pcm_s16le", channels: 1, ...start };
    this.onMessage = onMessage;
    this.onState = onState;
    this.held = []; // [number of the first sample, samples]
    this.samples = 0;
    this.sequence = 0;
    this.tries = 0;
    this.live = false;
    this.over = false;
    this.ending = false;
    this.connect();
  }

  connect() {
    this.onState("connecting");
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/live`);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify(this.token ? { type: "resume", token: this.token, after: this.sequence } : this.start));
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = (event) => this.closed(event);
  }

  hear(message) {
    if (message.sequence) this.sequence = message.sequence;
    if (message.type === "started") { this.token = message.token; this.goLive(0); }
    if (message.type === "resumed") this.goLive(message.received_frames);
    if (message.type === "timeline") this.over = true;
    this.onMessage(message);
  }

  goLive(from) {
    this.live = true;
    this.tries = 0;
    this.onState(this.ending ? "ending" : "live");
    for (const [first, block] of this.held) {
      if (first + block.length > from) this.socket.send(asPcm16(first >= from ? block : block.slice(from - first)));
    }
    if (this.ending) this.socket.send(JSON.stringify({ type: "end" }));
  }

  closed(event) {
    this.live = false;
    if (this.over || !this.token || event.code >= 4400 || this.tries >= AGAIN_MS.length) {
      if (!this.over && event.code !== 1000) this.onMessage({ type: "problem", code: "live_lost", detail: "The connection to the service was lost." });
      this.over = true;
      this.onState("over");
      return;
    }
    this.onState("broken");
    setTimeout(() => this.connect(), AGAIN_MS[this.tries++]);
  }

  /** Take in samples at 16 kHz. */
  put(block) {
    this.held.push([this.samples, block]);
    this.samples += block.length;
    while (this.held.length && this.held[0][0] < this.samples - HELD_S * RATE_HZ) this.held.shift();
    if (this.live) this.socket.send(asPcm16(block));
  }

  /** Hear the call once more as a whole; the timeline comes as the last message. */
  end() {
    this.ending = true;
    this.onState("ending");
    if (this.live) this.socket.send(JSON.stringify({ type: "end" }));
  }
}
