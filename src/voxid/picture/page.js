
"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const sound = byId("sound"), play = byId("play"), track = byId("track"), scroll = byId("scroll");
  const length = Math.max(data.duration_s, 0.001);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  let zoom = 1, at = 0;

  function clock(seconds, tenths) {
    const units = tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds);
    const whole = Math.floor(units + 1e-9), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
    const two = (n) => String(n).padStart(2, "0");
    const text = (h ? h + ":" + two(m) : String(m)) + ":" + two(whole % 60);
    return tenths ? text + "." + Math.round((units - whole) * 10) : text;
  }

  // One lane per speaker, one button per turn. Names go in as text, never as markup.
  const lanes = data.speakers.map(function () {
    const lane = document.createElement("div");
    lane.className = "lane";
    byId("lanes").append(lane);
    return lane;
  });
  const turns = data.turns.map(function ([start, end, who]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "turn c" + (who % data.colors);
    button.style.left = (100 * start) / length + "%";
    button.style.width = (100 * (end - start)) / length + "%";
    const label = data.speakers[who] + ", " + clock(start, true) + " to " + clock(end, true);
    button.title = label;
    button.setAttribute("aria-label", "Play " + label);
    button.addEventListener("click", function () { go(start, true); });
    lanes[who].append(button);
    return { start, end, who, button };
  });

  function drawAxis() {
    const width = track.clientWidth, step = steps.find((s) => (s / length) * width >= 76) || 7200;
    const axis = byId("axis");
    axis.textContent = "";
    // Only ticks near the view are made: an hour at full zoom has thousands.
    const first = Math.max(0, Math.floor(((scroll.scrollLeft / width - 0.2) * length) / step));
    const last = Math.ceil((((scroll.scrollLeft + scroll.clientWidth) / width + 0.2) * length) / step);
    for (let n = first; n <= last && n * step <= length; n++) {
      const tick = document.createElement("span");
      tick.style.left = (100 * n * step) / length + "%";
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
    drawAxis();
  }

  function show() {
    byId("cursor").style.left = (100 * at) / length + "%";
    byId("time").textContent = clock(at) + " / " + clock(length);
    const active = new Set();
    for (const turn of turns) {
      const on = turn.start <= at && at < turn.end;
      turn.button.classList.toggle("on", on);
      if (on) active.add(data.speakers[turn.who]);
    }
    byId("now").textContent = Array.from(active).join(" and ");
  }

  function go(seconds, start) {
    at = Math.min(Math.max(seconds, 0), length);
    if (sound) {
      sound.currentTime = at;
      if (start) sound.play();
    }
    show();
  }

  function toggle() {
    if (!sound) return;
    if (sound.paused) sound.play(); else sound.pause();
  }

  function follow() {
    at = sound.currentTime;
    show();
    const x = (at / length) * track.clientWidth - scroll.scrollLeft;
    if (zoom > 1 && (x < 0 || x > scroll.clientWidth * 0.9)) scroll.scrollLeft += x - scroll.clientWidth * 0.1;
    if (!sound.paused) requestAnimationFrame(follow);
  }

  if (sound) {
    const setIcon = function () {
      const on = !sound.paused;
      byId("icon").setAttribute("d", on ? "M7 5h4v14H7zM13 5h4v14h-4z" : "M8 5v14l11-7z");
      play.setAttribute("aria-label", on ? "Pause" : "Play");
      if (on) follow();
    };
    ["play", "pause", "ended"].forEach((name) => sound.addEventListener(name, setIcon));
    sound.addEventListener("seeked", function () { if (sound.paused) { at = sound.currentTime; show(); } });
  }
  play.addEventListener("click", toggle);
  byId("in").addEventListener("click", function () { setZoom(zoom * 1.6); });
  byId("out").addEventListener("click", function () { setZoom(zoom / 1.6); });
  byId("fit").addEventListener("click", function () { setZoom(1); });
  byId("wave").addEventListener("click", function (event) {
    const box = track.getBoundingClientRect();
    go(((event.clientX - box.left) / box.width) * length, false);
  });
  scroll.addEventListener("scroll", drawAxis, { passive: true });
  window.addEventListener("resize", function () { setZoom(zoom); });
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const control = event.target.closest("summary, .zoom button");
    if (event.key === " " && !control) { event.preventDefault(); toggle(); }
    else if (event.key === "ArrowRight") { event.preventDefault(); go(at + 5, false); }
    else if (event.key === "ArrowLeft") { event.preventDefault(); go(at - 5, false); }
    else if (event.key === "+" || event.key === "=") setZoom(zoom * 1.6);
    else if (event.key === "-") setZoom(zoom / 1.6);
  });
  // A focused button would also answer to Space when it is released.
  document.addEventListener("keyup", function (event) {
    if (event.key === " " && !event.target.closest("summary, .zoom button")) event.preventDefault();
  });
  setZoom(1);
  show();
})();
