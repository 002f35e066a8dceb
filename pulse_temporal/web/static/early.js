// Before anything is drawn: the theme that was chosen. Storage may be closed to us.
try {
  const theme = localStorage.getItem("pulse-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch { /* the system's theme */ }
document.documentElement.dataset.script = "on";
