// First of all scripts: light or dark before anything is drawn; and what needs a script (`inert`) can be used from when
// the scripts listen: a click before that would be lost, and a form would go off as the browser sends it.
"use strict";
(function () {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("voxid-theme"); } catch { return null; } };
  const apply = () => { root.dataset.theme = chosen() || (dark.matches ? "dark" : "light"); document.dispatchEvent(new Event("voxid:theme")); };
  dark.addEventListener("change", apply);
  apply();
})();
(function () {
  let whole = true;
  const noted = ({ target }) => { if (target === window || target.tagName === "SCRIPT") whole = false; };
  addEventListener("error", noted, true); // what a script throws, and a script that does not arrive
  document.addEventListener("DOMContentLoaded", () => { // every script of the page has run, as far as its first wait
    document.getElementById("unloaded").hidden = whole;
    if (!whole) return;
    document.querySelectorAll('[inert]:not([aria-busy="true"])').forEach((one) => { one.inert = false; });
    document.querySelector("[autofocus]")?.focus();
  }, { once: true });
})();
