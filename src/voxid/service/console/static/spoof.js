// Is it live? One recording, from the microphone or a file; nothing of it is kept.
import { byId, fill, make } from "./dom.js";
import { once, upload } from "./api.js";
import { recorder } from "./recorder.js";
import { piecesOverTime, verdictFacts, verdictHead } from "./verdict.js";
import { clock, signed } from "./words.js";

const result = byId("result");

async function check(blob) {
  fill(result, make("div", { class: "empty" }, "Listening …"));
  try {
    show(await upload("/v1/spoof-checks", blob, { headers: once() }));
  } catch (error) {
    fill(result, make("div", { class: "verdict warn" }, make("span", { class: "mark", "aria-hidden": "true" }, "!"), make("div", {}, make("strong", {}, "Not checked"), make("p", {}, error.message))));
    if (!error.code) console.error(error);
  }
}

function show(found) {
  fill(result, verdictHead(found),
    found.pieces.length ? [piecesOverTime(found.pieces, found.duration_s), make("p", { class: "soft" }, "Each bar is a piece the detector heard: up speaks for a live voice, down for a fake."), listed(found.pieces)] : null,
    make("dl", { class: "facts" }, verdictFacts(found)),
    make("p", { class: "soft" }, "A verdict is evidence, no proof: fakes of a kind the detector never heard may pass, and live voices over poor lines may not."));
}

const listed = (pieces) => make("details", {}, make("summary", {}, "The same as numbers"), make("table", { class: "grid" },
  make("thead", {}, make("tr", {}, ["From", "To", "LLR"].map((head) => make("th", { scope: "col" }, head)))),
  make("tbody", {}, pieces.map((one) => make("tr", {}, [clock(one.start_s, true), clock(one.end_s, true), signed(one.llr, 2)].map((cell) => make("td", { class: "number" }, cell)))))));

byId("recorder").append(recorder({ label: "Record the voice", onDone: check }).element);
byId("file").addEventListener("change", (event) => { const [file] = event.target.files; if (file) check(file); event.target.value = ""; });
