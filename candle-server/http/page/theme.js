// Sets the theme before the browser draws the page, so that the wrong theme is never visible.
try {
  const chosen = localStorage.getItem("candle-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // The browser disables storage. The page uses the theme of the system.
}
