"use strict";

// The home page's search: every word must be in a project's name or description.
const form = document.getElementById("search");
if (form) {
  const query = document.getElementById("query");
  const selects = ["target", "kind", "python"].map((id) => document.getElementById(id));
  const rows = Array.from(document.querySelectorAll("#projects > li"), (item) => ({
    item,
    text: item.textContent.toLowerCase(),
    target: item.dataset.targets.split(" "),
    kind: item.dataset.kinds.split(" "),
    python: item.dataset.pythons.split(" "),
  }));

  const show = () => {
    const words = query.value.toLowerCase().split(/\s+/);
    let count = 0;
    for (const row of rows) {
      const fits =
        words.every((word) => row.text.includes(word)) &&
        selects.every((select) => !select.value || row[select.id].includes(select.value));
      row.item.hidden = !fits;
      count += fits;
    }
    document.getElementById("count").textContent =
      count === rows.length ? `${count} projects` : `${count} of ${rows.length} projects`;
  };
  const clear = () => {
    form.reset();
    show();
  };

  form.hidden = false;
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = rows.find((row) => !row.item.hidden);
    if (first) first.item.querySelector("a").click();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    if (event.key !== "/" || event.target.matches("input, select")) return;
    event.preventDefault();
    query.focus();
  });
  // A browser that comes back to this page brings what was typed, but not what it led to.
  window.addEventListener("pageshow", show);
}

// Install commands name this site's own address, wherever it is.
for (const command of document.querySelectorAll("code[data-here]")) {
  const root = new URL("..", location.href);
  const trusted = root.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(root.hostname);
  for (const part of command.querySelectorAll(".url"))
    part.textContent = `${root.href}${command.dataset.here}simple/` + (trusted ? ` --trusted-host ${root.hostname}` : "");
  for (const part of command.querySelectorAll(".root")) part.textContent = root.href.replace(/\/$/, "");
}

// Without https there is no clipboard object; a selected text can be copied all the same.
const copy = async (element) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
  getSelection().selectAllChildren(element);
  document.execCommand("copy");
};
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  const label = button.firstChild;
  button.addEventListener("click", async () => {
    await copy(document.getElementById(button.dataset.copies));
    label.data = "Copied";
    setTimeout(() => (label.data = "Copy"), 1500);
  });
}
