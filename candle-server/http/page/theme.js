// Runs before the first paint, so that the page never flashes in the wrong theme.
try {
  const chosen = localStorage.getItem("candle-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage is disabled: the colours follow the system.
}
