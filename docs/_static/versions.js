// Offers the other versions that lie beside this one, if any do; see scripts/docs_versions.py.
(async () => {
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  if (location.protocol === "file:") return;
  let names;
  try {
    const answer = await fetch(new URL("../versions.json", root));
    if (!answer.ok) return;
    names = await answer.json();
  } catch {
    return;
  }
  const place = document.querySelector(".sidebar-brand");
  if (!place || !Array.isArray(names)) return;
  const here = root.pathname.split("/").filter(Boolean).pop();
  const choice = document.createElement("select");
  choice.className = "versions";
  choice.setAttribute("aria-label", "version of the documentation");
  for (const name of names.includes(here) ? names : [here, ...names]) {
    choice.add(new Option(name, name, name === here, name === here));
  }
  const path = location.href.slice(root.href.length);
  choice.addEventListener("change", async () => {
    const wanted = new URL(`../${choice.value}/${path}`, root);
    const there = await fetch(wanted, { method: "HEAD" }).catch(() => ({ ok: false }));
    location.href = there.ok ? wanted.href : new URL(`../${choice.value}/`, root).href;
  });
  place.after(choice);
})();
