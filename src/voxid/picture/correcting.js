
// Who is it really? Names given here leave the page only as a file that its reader saves.
(function () {
  const { data, turns, byId, clock } = viewer;
  const history = [];
  let saved = true;

  const changed = (turn) => turn.name !== turn.old;
  const tell = (sentence) => { byId("status").textContent = sentence; };

  function scope() {
    const turn = viewer.selected();
    if (!turn) return [];
    return byId("all").checked ? turns.filter((one) => one.name === turn.name) : [turn];
  }

  function about(turn) {
    const parts = [];
    if (changed(turn)) parts.push("you named this turn; the recording said " + turn.old);
    else {
      if (turn.confidence !== undefined) parts.push(Math.round(turn.confidence * 100) + "% sure");
      if (turn.llr !== undefined) parts.push("LLR " + turn.llr.toFixed(1));
      if (turn.suggestion) parts.push("may be " + turn.suggestion + " (LLR " + turn.suggestion_llr.toFixed(1) + ", a name needs " + turn.suggestion_threshold_llr.toFixed(1) + ")");
    }
    const others = viewer.othersIn(turn);
    if (others.length) parts.push("together with " + others.join(" and "));
    parts.push(viewer.doubtful(turn) ? "needs review" : turn.touched || turn.reviewed ? "reviewed" : "not reviewed");
    const text = parts.join(" · ");
    return text[0].toUpperCase() + text.slice(1) + ".";
  }

  function showPanel(turn) {
    byId("correct").hidden = !turn;
    if (!turn) return;
    const same = turns.filter((one) => one.name === turn.name).length;
    byId("which").textContent = turn.name + ", " + clock(turn.start, true) + " to " + clock(turn.end, true);
    byId("about").textContent = "Turn " + (turn.index + 1) + " of " + turns.length + ". " + about(turn);
    byId("name").value = turn.name === turn.old && turn.suggestion && !turn.touched ? turn.suggestion : turn.name;
    byId("everyone").textContent = same === 1 ? "every turn of " + turn.name + " (this one)" : "all " + same + " turns of " + turn.name;
    byId("undo").disabled = !history.length;
  }

  function fillPeople() {
    const names = new Set(turns.map((turn) => turn.name));
    for (const turn of turns) if (turn.suggestion) names.add(turn.suggestion);
    byId("people").replaceChildren(...Array.from(names, function (name) {
      const option = document.createElement("option");
      option.value = name;
      return option;
    }));
  }

  // Every change goes through here, so that every change can be undone.
  function change(some, name, touched) {
    history.push(some.map((turn) => [turn, turn.name, turn.touched]));
    for (const turn of some) {
      turn.name = name === null ? turn.name : name;
      turn.touched = touched;
    }
    settle(some);
  }

  function undo() {
    const last = history.pop();
    if (!last) return;
    for (const [turn, name, touched] of last) { turn.name = name; turn.touched = touched; }
    settle(last.map(([turn]) => turn));
    tell("Undone. " + count());
  }

  function settle(some) {
    saved = false;
    viewer.redraw();
    for (const turn of some) {
      const row = byId("rows").children[turn.index];
      if (!row) continue; // the table of a very long recording ends earlier
      if (!turn.cells) turn.cells = [row.cells[4].textContent, row.cells[5].textContent];
      row.cells[3].textContent = turn.name;
      row.cells[4].textContent = changed(turn) ? "" : turn.cells[0]; // both were about the old name
      row.cells[5].textContent = changed(turn) ? "" : turn.cells[1];
      row.classList.toggle("seen", turn.touched);
    }
    const done = (mark) => {
      const turn = turns[Number(mark.dataset.turn)];
      if (mark.dataset.kind !== "suggested_name") return turn.touched;
      return turns.every((one) => one.old !== turn.old || one.suggestion !== turn.suggestion || one.touched || one.reviewed);
    };
    document.querySelectorAll("#review li").forEach((mark) => mark.classList.toggle("done", done(mark)));
    fillPeople();
    byId("save").disabled = !data.audio_sha256 || !turns.some((turn) => turn.touched);
    byId("doubt").hidden = !turns.some(viewer.doubtful);
    showPanel(viewer.selected());
  }

  function count() {
    const named = turns.filter(changed).length, agreed = turns.filter((turn) => turn.touched && !changed(turn)).length;
    const parts = [];
    if (named) parts.push(named + " corrected");
    if (agreed) parts.push(agreed + " confirmed");
    return parts.length ? parts.join(", ") + ", not saved yet." : "Nothing to save.";
  }

  function rename() {
    const name = byId("name").value.replace(/[\u0000-\u001f\u007f]/g, " ").replace(/\s+/g, " ").trim();
    if (!name) { tell("Write a name first."); byId("name").focus(); return; }
    const some = scope();
    change(some, name, true);
    tell((some.length === 1 ? "This turn is " : some.length + " turns are ") + name + " now. " + count());
    viewer.selected().button.focus({ preventScroll: true });
  }

  function agree() {
    const turn = viewer.selected();
    if (!turn) { tell("Select a turn first."); return; }
    if (changed(turn)) { tell("This turn has a new name; undo takes it back."); return; }
    const some = scope(), touched = !turn.touched;
    change(some, null, touched);
    tell((touched ? "Marked as reviewed. " : "No longer marked as reviewed. ") + count());
  }

  function toNextDoubt() {
    const from = viewer.selected() ? viewer.selected().index : -1;
    const next = turns.find((turn) => turn.index > from && viewer.doubtful(turn)) || turns.find(viewer.doubtful);
    if (!next) { tell("Nothing is left to review."); return; }
    viewer.go(next.start, false);
    viewer.select(next, true);
  }

  function save() {
    const corrections = turns.filter((turn) => turn.touched).map((turn) => (
      { start_s: turn.start, end_s: turn.end, old_label: turn.old, new_name: turn.name }
    ));
    const file = { format: data.corrections_format, version: data.corrections_version, audio_sha256: data.audio_sha256, uri: data.uri, corrections };
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([JSON.stringify(file, null, 1) + "\n"], { type: "application/json" }));
    link.download = data.uri.replace(/[^\p{L}\p{N}._-]+/gu, "_") + ".corrections.json";
    link.click();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 10000);
    saved = true;
    tell("Saved " + corrections.length + (corrections.length === 1 ? " correction." : " corrections."));
  }

  // The recording itself, when the page was made without it.
  async function playFile(file) {
    const given = document.createElement("audio");
    given.src = URL.createObjectURL(file);
    viewer.give(given);
    const note = byId("given");
    note.textContent = "Playing " + file.name + "; whether it is the recording of this page was not checked.";
    if (!data.audio_sha256 || !window.crypto || !crypto.subtle || file.size > 1 << 29) return;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
    const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    note.textContent = hex === data.audio_sha256
      ? file.name + " is the recording this page was made from."
      : file.name + " is not the file this page was made from: sound and turns may not belong together.";
  }

  const keys = {
    " ": viewer.toggle,
    "+": () => viewer.zoomBy(1.6),
    "=": () => viewer.zoomBy(1.6),
    "-": () => viewer.zoomBy(1 / 1.6),
    "0": () => viewer.zoomBy(0),
    r: agree,
    u: undo,
    n: toNextDoubt,
    e: function () { if (viewer.selected()) { byId("name").focus(); byId("name").select(); } },
  };
  const typing = (target) => target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select");
  const pressing = (target) => target.closest("summary, label, input, button:not(.turn)");
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && viewer.selected()) viewer.selected().button.focus({ preventScroll: true });
      return;
    }
    if (!byId("shortcuts").checked) return;
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way && !event.target.closest("input")) {
      event.preventDefault();
      if (event.shiftKey) viewer.go(viewer.now() + 5 * way, false); else viewer.step(way);
      return;
    }
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.key === " " && pressing(event.target))) return;
    event.preventDefault();
    act();
  });
  // A focused turn would also answer to Space when it is released.
  document.addEventListener("keyup", function (event) {
    if (event.key === " " && byId("shortcuts").checked && event.target.closest(".turn")) event.preventDefault();
  });

  byId("correct").addEventListener("submit", function (event) { event.preventDefault(); rename(); });
  byId("agree").addEventListener("click", agree);
  byId("undo").addEventListener("click", undo);
  byId("save").addEventListener("click", save);
  byId("before").addEventListener("click", () => viewer.step(-1));
  byId("after").addEventListener("click", () => viewer.step(1));
  byId("doubt").addEventListener("click", toNextDoubt);
  document.querySelectorAll("#review li button").forEach((button) => button.addEventListener("click", function () {
    const turn = turns[Number(button.parentNode.dataset.turn)];
    if (button.parentNode.dataset.kind === "suggested_name") byId("all").checked = true;
    viewer.go(turn.start, true);
    viewer.select(turn, false);
  }));
  const chooser = byId("recording");
  if (chooser) chooser.addEventListener("change", function () { if (chooser.files.length) playFile(chooser.files[0]); });
  window.addEventListener("beforeunload", function (event) {
    if (!saved && turns.some((turn) => turn.touched)) event.preventDefault();
  });
  viewer.onSelect(showPanel);
  byId("panel").hidden = !turns.length;
  byId("doubt").hidden = !turns.some(viewer.doubtful);
  if (!data.audio_sha256) tell("This page does not know its recording, so corrections cannot be saved.");
  fillPeople();
})();
