// Before anything is drawn: light or dark, as chosen here, else as the system has it.
"use strict";
(function () {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => { try { return localStorage.getItem("voxid-theme"); } catch { return null; } };
  const apply = () => { root.dataset.theme = chosen() || (dark.matches ? "dark" : "light"); document.dispatchEvent(new Event("voxid:theme")); };
  dark.addEventListener("change", apply);
  apply();
})();
