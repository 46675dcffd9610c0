// What every page has: the menu of narrow screens, the choice of light or dark, leaving.
import { byId } from "./dom.js";
import { signOut } from "./api.js";
import { busy } from "./talk.js";

const root = document.documentElement, menu = byId("menu"), side = byId("side");

menu.addEventListener("click", () => {
  const open = side.classList.toggle("open");
  menu.setAttribute("aria-expanded", String(open));
});
side.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !side.classList.contains("open")) return;
  side.classList.remove("open");
  menu.setAttribute("aria-expanded", "false");
  menu.focus();
});

const theme = byId("theme");
const nameTheme = () => { theme.textContent = root.dataset.theme === "dark" ? "Light" : "Dark"; theme.setAttribute("aria-label", `Use the ${theme.textContent.toLowerCase()} colours`); };
theme.addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("voxid-theme", root.dataset.theme); } catch { /* not kept: the choice holds for this page */ }
  document.dispatchEvent(new Event("voxid:theme"));
});
document.addEventListener("voxid:theme", nameTheme);
nameTheme();

const out = byId("sign-out");
out.addEventListener("click", () => busy(out, signOut));
