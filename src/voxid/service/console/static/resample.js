// From the microphone's rate to 16 kHz: a windowed sinc, block by block, without a seam between blocks.

export const RATE_HZ = 16000;
const LOBES = 16; // zero crossings on each side: the stop band lies below -70 dB
const PASS = 0.94; // of the lower Nyquist frequency, so that the edge of the filter ends before it

const bessel = (x) => {
  let sum = 1, term = 1;
  for (let n = 1; n < 40; n++) { term *= (x / (2 * n)) ** 2; sum += term; }
  return sum;
};
const BETA = 8, BELOW = bessel(BETA);
const kaiser = (x) => (Math.abs(x) >= 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / BELOW);
const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));

/** Takes samples at one rate and gives them at 16 kHz; `flush` gives what is left at the end. */
export class Resampler {
  constructor(fromHz, toHz = RATE_HZ) {
    this.step = fromHz / toHz;
    this.cut = Math.min(1, 1 / this.step) * PASS;
    this.reach = Math.ceil(LOBES / this.cut);
    this.held = new Float32Array(this.reach); // silence before the beginning
    this.at = this.reach; // where in `held` the next sample to give lies
    this.filters = new Map(); // by the fraction of a sample: at whole ratios there are only a few
    this.equal = fromHz === toHz;
  }

  push(block) {
    if (this.equal) return block.slice();
    const input = new Float32Array(this.held.length + block.length);
    input.set(this.held);
    input.set(block, this.held.length);
    const given = [];
    while (this.at + this.reach < input.length) {
      given.push(this.taken(input));
      this.at += this.step;
    }
    const keep = Math.max(Math.floor(this.at) - this.reach, 0);
    this.held = input.slice(keep);
    this.at -= keep;
    return Float32Array.from(given);
  }

  flush() {
    return this.equal ? new Float32Array(0) : this.push(new Float32Array(this.reach));
  }

  taken(input) {
    const whole = Math.floor(this.at), taps = this.filter(this.at - whole);
    let sum = 0;
    for (let n = 0; n < taps.length; n++) sum += taps[n] * input[whole - this.reach + 1 + n];
    return sum;
  }

  filter(fraction) {
    const key = Math.round(fraction * 4096);
    if (!this.filters.has(key)) {
      const taps = new Float32Array(2 * this.reach);
      for (let n = 0; n < taps.length; n++) {
        const x = n - this.reach + 1 - key / 4096;
        taps[n] = this.cut * sinc(this.cut * x) * kaiser(x / (this.reach + 1));
      }
      this.filters.set(key, taps);
    }
    return this.filters.get(key);
  }
}
