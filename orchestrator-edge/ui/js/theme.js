// Sets the chosen theme before the first paint, so that nothing flashes. Without a choice the system's holds.
{
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
