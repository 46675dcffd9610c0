
"use strict";
// The viewer: lanes, zoom, sound, one selected turn. correcting.js adds names and the keys.
const viewer = (function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const track = byId("track"), scroll = byId("scroll"), play = byId("play");
  const length = Math.max(data.duration_s, 0.001);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  const percent = (seconds) => (100 * seconds) / length + "%";
  const listeners = [];
  // More buttons than this in view are no targets any more but a smear, and slow: bars stand for them until one zooms.
  const mostButtons = 800;
  let sound = byId("sound"), zoom = 1, at = 0, selected = null, active = [], overlaps = [];

  // A turn keeps what it was called (old) beside what it is called now (name).
  const read = (list, speakers) => list.map(function (turn, index) {
    const name = speakers[turn.who];
    return Object.assign({}, turn, { index, name, old: name, touched: false });
  });
  const longestOf = (some) => some.reduce((most, turn) => Math.max(most, turn.end - turn.start), 0);
  const turns = read(data.turns, data.speakers);
  let longest = longestOf(turns);
  const colors = new Map();
  const lanes = new Map();
  const shown = new Set();

  function clock(seconds, tenths) {
    const units = tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds);
    const whole = Math.floor(units + 1e-9), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    const two = (n) => String(n).padStart(2, "0");
    const text = (h ? h + ":" + two(m) : String(m)) + ":" + two(whole % 60);
    return tenths ? text + "." + Math.round((units - whole) * 10) : text;
  }

  function colorOf(name) {
    if (!colors.has(name)) colors.set(name, "c" + (colors.size % data.colors));
    return colors.get(name);
  }
  data.speakers.forEach(colorOf);

  // Names go in as text, never as markup.
  function make(tag, className, text) {
    const element = document.createElement(tag);
    element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  }

  // Everyone who speaks, and who speaks with whom: one sweep over all starts and ends.
  function stretches() {
    const changes = [];
    for (const turn of turns) changes.push([turn.start, 1, turn.name], [turn.end, -1, turn.name]);
    changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const open = new Map(), found = [];
    let since = 0;
    for (const [when, step, name] of changes) {
      if (open.size && when > since) found.push({ start: since, end: when, names: Array.from(open.keys()) });
      since = when;
      const left = (open.get(name) || 0) + step;
      if (left) open.set(name, left); else open.delete(name);
    }
    return found;
  }

  function label(turn) {
    const parts = [turn.name, clock(turn.start, true) + " to " + clock(turn.end, true)];
    if (turn.confidence !== undefined && turn.name === turn.old) parts.push(Math.round(turn.confidence * 100) + "% sure");
    if (doubtful(turn)) parts.push("needs review");
    if (turn.reviewed || turn.touched) parts.push("reviewed");
    return parts.join(", ");
  }

  function doubtful(turn) {
    return Boolean(turn.doubt) && !turn.touched && !turn.reviewed;
  }

  function laneOf(name) {
    if (!lanes.has(name)) {
      const lane = make("div", "lane");
      lane.setAttribute("role", "group");
      lane.setAttribute("aria-label", name);
      byId("lanes").append(lane);
      lanes.set(name, lane);
    }
    return lanes.get(name);
  }

  // The button of a turn is made when it comes into view first.
  function buttonOf(turn) {
    if (!turn.button) {
      turn.button = make("button", "");
      turn.button.type = "button";
      turn.button.tabIndex = -1;
      turn.button.style.left = percent(turn.start);
      turn.button.style.width = percent(turn.end - turn.start);
      turn.button.addEventListener("click", function () { go(turn.start, true); select(turn, false); });
    }
    return turn.button;
  }

  function dress(turn) {
    const button = buttonOf(turn), parent = laneOf(turn.name);
    if (button.parentNode !== parent) {
      // A button that moves loses the focus. Asked only then: asking makes the browser lay out the page.
      const focused = button.parentNode && document.activeElement === button;
      parent.append(button);
      if (focused) button.focus({ preventScroll: true });
    }
    button.className = "turn " + colorOf(turn.name) + (doubtful(turn) ? " doubt" : "") +
      (turn.reviewed || turn.touched ? " seen" : "") + (turn === selected ? " selected" : "") + (active.includes(turn) ? " on" : "");
    const text = label(turn);
    button.title = text;
    button.setAttribute("aria-label", "Play " + text);
    button.replaceChildren(...sharedBy(turn).map(function (span) {
      const mark = make("span", "hatch");
      mark.style.left = (100 * (span.start - turn.start)) / (turn.end - turn.start) + "%";
      mark.style.width = (100 * (span.end - span.start)) / (turn.end - turn.start) + "%";
      return mark;
    }));
  }

  // The place in a list sorted by start from which on nothing may be missed, and what of it meets a span of time.
  function meeting(list, from, to, reach) {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (list[middle].start <= from - reach) low = middle + 1; else high = middle;
    }
    const found = [];
    for (let n = Math.max(low - 1, 0); n < list.length && list[n].start < to; n++) if (list[n].end > from) found.push(list[n]);
    return found;
  }

  function overlapsOf(turn) {
    const reach = overlaps.longest || 0;
    return meeting(overlaps, turn.start, turn.end, reach).filter((one) => one.names.includes(turn.name));
  }

  function sharedBy(turn) {
    return join(overlapsOf(turn).map((one) => ({ start: Math.max(one.start, turn.start), end: Math.min(one.end, turn.end) })), 0);
  }

  function othersIn(turn) {
    const names = new Set(overlapsOf(turn).flatMap((one) => one.names));
    names.delete(turn.name);
    return Array.from(names);
  }

  // Spans sorted by start, joined where less than a gap lies between them.
  function join(spans, gap) {
    const joined = [];
    for (const span of spans) {
      const last = joined[joined.length - 1];
      if (last && span.start <= last.end + gap) last.end = Math.max(last.end, span.end);
      else joined.push({ start: span.start, end: span.end });
    }
    return joined;
  }

  function bar(span, className) {
    const mark = make("span", className);
    mark.style.left = percent(span.start);
    mark.style.width = percent(span.end - span.start);
    return mark;
  }

  // Buttons for the turns near the view, or bars when they are too many; the selected turn always has its button.
  function drawLanes() {
    const width = track.clientWidth, pixel = length / width, half = 0.5 * scroll.clientWidth;
    const from = (scroll.scrollLeft - half) * pixel, to = (scroll.scrollLeft + scroll.clientWidth + half) * pixel;
    const near = meeting(turns, from, to, longest), crowded = near.length > mostButtons;
    const wanted = new Set(crowded ? [] : near);
    if (selected) wanted.add(selected);
    for (const turn of shown) if (!wanted.has(turn)) { turn.button.remove(); shown.delete(turn); }
    for (const turn of wanted) if (!shown.has(turn)) { shown.add(turn); dress(turn); }
    if (!selected && !crowded && near.length) buttonOf(near[0]).tabIndex = 0;
    for (const [name, lane] of lanes) {
      lane.querySelectorAll(".run").forEach((run) => run.remove());
      if (crowded) lane.prepend(...join(near.filter((turn) => turn.name === name), pixel).map((span) => bar(span, "run " + colorOf(name))));
    }
    byId("crowd").hidden = !crowded;
    const both = meeting(overlaps, from, to, overlaps.longest || 0);
    byId("both").replaceChildren(...(both.length > mostButtons ? join(both, pixel) : both).map(function (one) {
      const mark = bar(one, "");
      if (one.names) mark.title = one.names.join(" and ") + ", " + clock(one.start, true) + " to " + clock(one.end, true);
      return mark;
    }));
  }

  // By first speech. What moves loses the focus, so nothing moves without need.
  function orderLanes(people) {
    if (people.join("\n") === Array.from(lanes.keys()).join("\n")) return;
    const sorted = people.map((name) => [name, laneOf(name)]), focused = document.activeElement;
    lanes.clear();
    for (const [name, lane] of sorted) { lanes.set(name, lane); byId("lanes").append(lane); }
    if (focused && byId("lanes").contains(focused)) focused.focus({ preventScroll: true });
  }

  // What follows from all turns together: overlaps, names, colours of the waveform.
  function drawTogether() {
    const found = stretches(), people = new Set(turns.map((turn) => turn.name));
    overlaps = found.filter((one) => one.names.length > 1);
    overlaps.longest = overlaps.reduce((most, one) => Math.max(most, one.end - one.start), 0);
    byId("both").hidden = !overlaps.length;
    for (const [name, lane] of lanes) if (!people.has(name)) { lane.remove(); lanes.delete(name); }
    orderLanes(Array.from(people));
    drawNames();
    paintWave(found);
    drawLanes();
  }

  function spoken(name) {
    let total = 0, until = -1;
    for (const turn of turns) {
      if (turn.name !== name || turn.end <= until) continue;
      total += turn.end - Math.max(turn.start, until);
      until = turn.end;
    }
    return total;
  }

  function drawNames() {
    const people = Array.from(lanes.keys()), times = people.map(spoken);
    const all = times.reduce((sum, one) => sum + one, 0) || 1;
    const rows = people.map(function (name, n) {
      const row = make("li", colorOf(name) + (/^(SPEAKER_\d+|unknown-.*)$/i.test(name) ? " stranger" : " known"));
      const bold = make("b", "", name);
      bold.title = name;
      row.append(make("i", "dot"), bold);
      const guess = turns.find((turn) => turn.name === name && turn.suggestion && turn.name === turn.old);
      if (guess) row.append(make("em", "", guess.suggestion + "?"));
      row.append(make("span", "", clock(times[n]) + " · " + Math.round((100 * times[n]) / all) + "%"));
      return row;
    });
    if (overlaps.length) {
      const row = make("li", "together");
      const sum = overlaps.reduce((total, one) => total + one.end - one.start, 0);
      row.append(make("i", "dot"), make("b", "", "at the same time"), make("span", "", clock(sum, true)));
      rows.push(row);
    }
    if (rows.length) byId("names").replaceChildren(...rows);
  }

  // The bars of the waveform come grouped by colour; sorted by place they can be grouped anew.
  const picture = byId("wave").querySelector("svg");
  const bars = !picture ? [] : Array.from(picture.querySelectorAll("path"))
    .flatMap((path) => path.getAttribute("d").match(/M[^z]*z/g) || [])
    .map((bar) => ({ x: parseFloat(bar.slice(1)), bar }))
    .sort((a, b) => a.x - b.x);

  function paintWave(found) {
    if (!picture) return;
    const width = picture.viewBox.baseVal.width, groups = new Map();
    let n = 0;
    for (const { x, bar } of bars) {
      const when = ((x + 0.4) / width) * length;
      while (n < found.length && found[n].end <= when) n++;
      const names = n < found.length && found[n].start <= when ? found[n].names : [];
      const group = names.length > 1 ? "both" : names.length ? colorOf(names[0]) : "rest";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(bar);
    }
    picture.replaceChildren(...Array.from(groups, function ([group, parts]) {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("class", group);
      path.setAttribute("d", parts.join(""));
      return path;
    }));
  }

  function drawAxis() {
    const width = track.clientWidth, step = steps.find((s) => (s / length) * width >= 76) || 7200;
    const axis = byId("axis");
    axis.textContent = "";
    // Only ticks near the view are made: an hour at full zoom has thousands.
    const first = Math.max(0, Math.floor(((scroll.scrollLeft / width - 0.2) * length) / step));
    const last = Math.ceil((((scroll.scrollLeft + scroll.clientWidth) / width + 0.2) * length) / step);
    for (let n = first; n <= last && n * step <= length; n++) {
      const tick = make("span", "");
      tick.style.left = percent(n * step);
      if (((length - n * step) / length) * width >= 36) tick.textContent = clock(n * step, step < 1);
      axis.append(tick);
    }
  }

  function setZoom(next) {
    const before = zoom, width = scroll.clientWidth;
    zoom = Math.min(Math.max(next, 1), Math.max(1, (length * 400) / width));
    track.style.width = zoom === 1 ? "" : 100 * zoom + "%";
    const x = (at / length) * width;
    if (zoom !== before) scroll.scrollLeft = x * zoom - width / 2;
    draw();
  }

  function draw() {
    drawAxis();
    drawLanes();
  }

  function show() {
    byId("cursor").style.left = percent(at);
    byId("time").textContent = clock(at) + " / " + clock(length);
    const now = meeting(turns, at, at + 1e-6, longest);
    for (const turn of active) if (turn.button && !now.includes(turn)) turn.button.classList.remove("on");
    for (const turn of now) if (turn.button) turn.button.classList.add("on");
    active = now;
    byId("now").textContent = Array.from(new Set(now.map((turn) => turn.name))).join(" and ");
  }

  function reveal(seconds) {
    const x = (seconds / length) * track.clientWidth - scroll.scrollLeft;
    if (zoom > 1 && (x < 0 || x > scroll.clientWidth * 0.9)) scroll.scrollLeft += x - scroll.clientWidth * 0.1;
  }

  function go(seconds, start) {
    at = Math.min(Math.max(seconds, 0), length);
    if (sound) {
      sound.currentTime = at;
      if (start) begin();
    }
    show();
    reveal(at);
  }

  function toggle() {
    if (!sound) return;
    if (sound.paused) begin(); else sound.pause();
  }

  // Playing fails when it is paused at once, which is no failure, and for a file the browser cannot decode.
  function begin() {
    sound.play().catch(function (error) {
      if (error.name !== "AbortError" && byId("given")) byId("given").textContent = "This browser cannot play that file.";
    });
  }

  function follow() {
    at = sound.currentTime;
    show();
    reveal(at);
    if (!sound.paused) requestAnimationFrame(follow);
  }

  function listen() {
    const setIcon = function () {
      const on = !sound.paused;
      byId("icon").setAttribute("d", on ? "M7 5h4v14H7zM13 5h4v14h-4z" : "M8 5v14l11-7z");
      play.setAttribute("aria-label", on ? "Pause" : "Play");
      if (on) follow();
    };
    ["play", "pause", "ended"].forEach((name) => sound.addEventListener(name, setIcon));
    sound.addEventListener("seeked", function () { if (sound.paused) { at = sound.currentTime; show(); } });
    play.disabled = false;
  }

  // One turn is selected at most; it is the one that Tab reaches, arrows reach the others.
  function select(turn, focus) {
    const before = selected;
    selected = turn;
    drawLanes();
    shown.forEach((one) => { one.button.tabIndex = -1; });
    for (const one of [before, turn]) {
      if (!one || !shown.has(one)) continue;
      one.button.tabIndex = one === turn ? 0 : -1;
      if (one === turn) one.button.setAttribute("aria-current", "true"); else one.button.removeAttribute("aria-current");
      dress(one);
    }
    if (turn && focus) turn.button.focus({ preventScroll: true });
    listeners.forEach((listener) => listener(turn));
  }

  function step(by) {
    if (!turns.length) return;
    let next = selected ? selected.index + by : by > 0 ? turns.findIndex((turn) => turn.start >= at) : turns.length - 1;
    if (next < 0 && !selected) next = 0;
    const turn = turns[Math.min(Math.max(next, 0), turns.length - 1)];
    go(turn.start, false);
    select(turn, true);
  }

  if (sound) listen();
  play.addEventListener("click", toggle);
  byId("in").addEventListener("click", function () { setZoom(zoom * 1.6); });
  byId("out").addEventListener("click", function () { setZoom(zoom / 1.6); });
  byId("fit").addEventListener("click", function () { setZoom(1); });
  byId("wave").addEventListener("click", function (event) {
    const box = track.getBoundingClientRect();
    go(((event.clientX - box.left) / box.width) * length, false);
  });
  scroll.addEventListener("scroll", draw, { passive: true });
  window.addEventListener("resize", function () { setZoom(zoom); });
  drawTogether();
  setZoom(1);
  show();

  return {
    data, turns, byId, clock, select, step, toggle, go, doubtful, othersIn,
    selected: () => selected,
    now: () => at,
    zoomBy: (factor) => setZoom(factor ? zoom * factor : 1),
    onSelect: (listener) => listeners.push(listener),
    redraw: function () {
      const focused = document.activeElement;
      drawTogether();
      shown.forEach(dress);
      show();
      if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    },
    // Other turns in place of those: where something else keeps the timeline and it has changed there.
    replace: function (list, speakers) {
      shown.forEach((turn) => turn.button.remove());
      shown.clear();
      turns.splice(0, turns.length, ...read(list, speakers));
      longest = longestOf(turns);
      active = [];
      select(null, false);
      drawTogether();
      show();
    },
    give: function (element) { sound = element; listen(); show(); },
  };
})();
