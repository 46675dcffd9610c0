// The user's own copy of a recording: its waveform above the lanes, its sound. It is read in this browser only.
/* global viewer */
import { byId } from "./dom.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";

const HASHED_BYTES = 1 << 29; // beyond that the file is not read whole only to compare it

/** Play a file: the viewer follows its sound; `note` says whether it is the recording the timeline is of. */
export async function playFile(file, nonce, note) {
  const audio = new Audio(), board = byId("board"), scroll = byId("scroll"), track = byId("track"), box = byId("wave");
  box.replaceChildren();
  const color = (name) => getComputedStyle(board).getPropertyValue(name).trim();
  const wave = WaveSurfer.create({
    container: box, media: audio, height: 104, cspNonce: nonce, sampleRate: 4000, interact: false, hideScrollbar: true,
    autoScroll: false, autoCenter: false, cursorWidth: 0, waveColor: color("--rest"), progressColor: color("--accent"), normalize: true,
  });
  const fit = () => {
    box.style.width = `${scroll.clientWidth}px`;
    if (!wave.getDecodedData()) return;
    wave.zoom(track.clientWidth / Math.max(viewer.data.duration_s, 0.001));
    wave.setScroll(scroll.scrollLeft);
  };
  wave.on("error", () => { note.textContent = `This browser cannot play ${file.name}; try WAV, MP3 or Opus.`; board.classList.add("bare"); });
  wave.once("ready", () => { board.classList.remove("bare"); fit(); viewer.zoomBy(1); });
  scroll.addEventListener("scroll", () => wave.setScroll(scroll.scrollLeft), { passive: true });
  new ResizeObserver(fit).observe(track);
  document.addEventListener("voxid:theme", () => wave.setOptions({ waveColor: color("--rest"), progressColor: color("--accent") }));
  wave.loadBlob(file).catch(() => {}); // said by the error event
  viewer.give(audio);
  note.textContent = `Playing ${file.name}.`;
  if (!viewer.data.audio_sha256 || !window.crypto?.subtle || file.size > HASHED_BYTES) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  note.textContent = hex === viewer.data.audio_sha256
    ? `${file.name} is the recording this timeline was made from.`
    : `${file.name} is not the file this timeline was made from: sound and turns may not belong together.`;
}
