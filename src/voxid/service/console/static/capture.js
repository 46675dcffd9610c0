// The microphone as samples at 16 kHz, and as a WAV file in memory. Nothing is sent from here.
import { RATE_HZ, Resampler } from "./resample.js";

const SPEECH_ABOVE_NOISE_DB = 9, QUIET_DBFS = -38, LOUD = 0.985;

/** Why there is no microphone, in words. */
export class NoMicrophone extends Error {
  constructor(sentence) { super(sentence); this.code = "no_microphone"; }
}

/**
 * An open microphone. `onBlock(samples, meter)` is called with each block at 16 kHz; `close()` lets the microphone go.
 * The browser's own processing is off: it is made for calls and changes voices.
 */
export class Microphone {
  static async open(onBlock) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new NoMicrophone("This browser gives a page the microphone only over https or on this machine itself (localhost).");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
      });
    } catch (error) {
      throw new NoMicrophone(error.name === "NotFoundError"
        ? "No microphone was found; connect one and try again."
        : "The microphone was not given to this page; allow it in the browser's address bar and try again.");
    }
    const context = new AudioContext();
    await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    return new Microphone(stream, context, onBlock);
  }

  constructor(stream, context, onBlock) {
    this.stream = stream;
    this.context = context;
    this.resampler = new Resampler(context.sampleRate);
    this.meter = new Meter();
    this.onBlock = onBlock;
    const tap = new AudioWorkletNode(context, "voxid-tap", { numberOfOutputs: 0 });
    this.port = tap.port;
    tap.port.onmessage = (event) => this.hear(this.resampler.push(event.data));
    context.createMediaStreamSource(stream).connect(tap);
  }

  hear(samples) {
    if (!samples.length) return;
    this.meter.hear(samples);
    this.onBlock(samples, this.meter);
  }

  async close() {
    this.port.onmessage = null;
    this.stream.getTracks().forEach((track) => track.stop());
    await this.context.close();
    this.hear(this.resampler.flush());
  }
}

/** How loud it is, whether it clips, and about how long somebody has spoken: a guide while recording, no measurement. */
export class Meter {
  constructor() {
    this.level = 0; // of the latest block, 0 to 1 of full scale
    this.levelDb = -90;
    this.clipped = 0;
    this.samples = 0;
    this.spoken = 0;
    this.floorDb = -60;
    this.noisy = 0;
  }

  hear(samples) {
    let sum = 0, peak = 0;
    for (const one of samples) { sum += one * one; peak = Math.max(peak, Math.abs(one)); if (Math.abs(one) >= LOUD) this.clipped++; }
    const db = 10 * Math.log10(sum / samples.length + 1e-9);
    this.level = peak;
    this.levelDb = db;
    // The quietest of late is the noise: it falls at once and rises by 3 dB a second.
    this.floorDb = Math.max(-75, Math.min(db, this.floorDb + (3 * samples.length) / RATE_HZ));
    this.samples += samples.length;
    if (db > this.floorDb + SPEECH_ABOVE_NOISE_DB && db > -55) { this.spoken += samples.length; this.noisy = this.noisy * 0.98 + db * 0.02; }
  }

  get durationS() { return this.samples / RATE_HZ; }
  get spokenS() { return this.spoken / RATE_HZ; }

  /** What to tell the speaker now: [sentence, kind]. */
  get advice() {
    if (this.clipped > 0.0005 * this.samples && this.clipped > 40) return ["Too loud: move back or turn the microphone down.", "bad"];
    if (this.floorDb > -42) return ["Noisy room: a quieter place gives a better voiceprint.", "warn"];
    if (this.durationS > 2 && this.spoken === 0) return ["Nothing is heard: is the microphone on?", "warn"];
    if (this.spokenS > 1 && this.noisy < QUIET_DBFS - 10) return ["Very quiet: come closer to the microphone.", "warn"];
    return this.spoken ? ["Sounds good.", "good"] : ["Speak now.", ""];
  }
}

/** Return samples at 16 kHz as a 16-bit WAV file. */
export function asWav(blocks) {
  const length = blocks.reduce((sum, block) => sum + block.length, 0), bytes = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, word) => { for (let n = 0; n < word.length; n++) bytes.setUint8(at + n, word.charCodeAt(n)); };
  text(0, "RIFF"); bytes.setUint32(4, 36 + 2 * length, true); text(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true); bytes.setUint16(20, 1, true); bytes.setUint16(22, 1, true);
  bytes.setUint32(24, RATE_HZ, true); bytes.setUint32(28, 2 * RATE_HZ, true); bytes.setUint16(32, 2, true); bytes.setUint16(34, 16, true);
  text(36, "data"); bytes.setUint32(40, 2 * length, true);
  let at = 44;
  for (const block of blocks) for (const one of block) { bytes.setInt16(at, sample16(one), true); at += 2; }
  return new Blob([bytes.buffer], { type: "audio/wav" });
}

/** Return samples as 16-bit little-endian PCM. */
export function asPcm16(samples) {
  const given = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((one, n) => given.setInt16(2 * n, sample16(one), true));
  return given.buffer;
}

const sample16 = (one) => Math.round(Math.max(-1, Math.min(1, one)) * 32767);
