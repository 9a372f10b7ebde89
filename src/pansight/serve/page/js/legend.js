// What is in the image: categories with counts, things and stuff apart; click to isolate, the eye hides.

import { css } from "./colors.js";

const EYE = '<svg aria-hidden="true" viewBox="0 0 24 24"><path d="M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12z"/><circle cx="12" cy="12" r="2.800"/></svg>';
const SHUT = '<svg aria-hidden="true" viewBox="0 0 24 24"><path d="M3 10s3.500 5 9 5 9-5 9-5M5 13l-1.500 2.500M19 13l1.500 2.500M9.500 15 9 18M14.500 15l.5 3"/></svg>';

const $ = (id) => document.getElementById(id);
const button = (className, text) => Object.assign(document.createElement("button"), { type: "button", className, textContent: text });

export class Legend {
  constructor(app) {
    this.app = app;
    $("show-all").onclick = () => app.filter(new Set(), null);
  }

  /** Fill in what a pane shows; `hidden` and `isolated` are categories. */
  update(pane, hidden, isolated) {
    const { result } = pane.view;
    const { categories } = pane.model;
    $("legend-title").textContent = this.app.panes.length > 1 ? `Legend: ${pane.model.name}` : "Legend";
    const focused = document.activeElement?.dataset?.key;
    const groups = new Map();
    for (const segment of result?.segments ?? []) {
      const group = groups.get(segment.category) ?? { count: 0, area: 0 };
      group.count++;
      group.area += segment.area;
      groups.set(segment.category, group);
    }
    for (const category of hidden) if (!groups.has(category) && categories[category]) groups.set(category, { count: 0, area: 0 });
    const sorted = [...groups].sort((a, b) => b[1].area - a[1].area);
    const total = result ? result.width * result.height : 1;
    for (const [id, things] of [["things", true], ["stuff", false]]) {
      const rows = sorted.filter(([category]) => categories[category].isthing === things);
      $(id).replaceChildren(...rows.map(([category, group]) => this.row(categories[category], category, group, total, hidden, isolated)));
      if (!rows.length) $(id).append(Object.assign(document.createElement("li"), { className: "none", textContent: result ? "none" : "" }));
      const segments = rows.reduce((sum, [, group]) => sum + group.count, 0);
      $(`${id}-count`).textContent = result ? segments : "";
    }
    $("show-all").disabled = hidden.size === 0 && isolated === null;
    this.list(pane);
    if (focused) document.querySelector(`[data-key="${focused}"]`)?.focus();
  }

  row(category, index, group, total, hidden, isolated) {
    const item = document.createElement("li");
    item.classList.toggle("off", hidden.has(index));
    const pick = button("pick", "");
    pick.dataset.key = `pick-${index}`;
    pick.setAttribute("aria-pressed", isolated === index);
    pick.title = "Show only this category";
    const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
    swatch.style.background = css(category.color);
    const label = Object.assign(document.createElement("span"), { className: "label", textContent: category.name });
    const number = Object.assign(document.createElement("span"), { className: "count", textContent: category.isthing ? `× ${group.count}` : "" });
    const share = Object.assign(document.createElement("span"), { className: "share", textContent: `${((100 * group.area) / total).toFixed(1)} %` });
    pick.append(swatch, label, number, share);
    pick.onclick = () => this.app.filter(hidden, isolated === index ? null : index);
    const eye = button("eye", "");
    eye.dataset.key = `eye-${index}`;
    eye.innerHTML = hidden.has(index) ? SHUT : EYE;
    eye.setAttribute("aria-label", `Hide ${category.name}`);
    eye.setAttribute("aria-pressed", hidden.has(index));
    eye.onclick = () => {
      const changed = new Set(hidden);
      if (!changed.delete(index)) changed.add(index);
      this.app.filter(changed, isolated === index ? null : isolated);
    };
    item.append(pick, eye);
    return item;
  }

  /** Every segment as a button, for keyboards and screen readers. */
  list(pane) {
    const segments = pane.view.result?.segments ?? [];
    $("segments-count").textContent = segments.length || "";
    if (!$("segments-card").open) return $("segments").replaceChildren();
    const rows = [...segments].sort((a, b) => b.area - a.area).map((segment) => {
      const one = button("", "");
      one.dataset.key = `segment-${segment.id}`;
      const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
      swatch.style.background = css(pane.view.colors[segments.indexOf(segment) + 1]);
      const score = segment.score === null ? "" : `${Math.round(100 * segment.score)} %`;
      one.append(swatch, segment.name, Object.assign(document.createElement("small"), { textContent: `${score} id ${segment.id}` }));
      one.onfocus = one.onpointerenter = one.onclick = () => this.app.pick(pane, segment);
      const item = document.createElement("li");
      item.append(one);
      return item;
    });
    $("segments").replaceChildren(...rows);
  }
}
