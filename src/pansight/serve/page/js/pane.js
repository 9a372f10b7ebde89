// A pane: a view with its model and thresholds. A single one, or two side by side on the same image.

import { View } from "./view.js";

const words = (name) => name.replaceAll("_", " ").replace(/^./, (c) => c.toUpperCase());
let count = 0;

export class Pane {
  constructor(app, model) {
    this.app = app;
    this.number = ++count;
    this.view = new View((place) => app.point(this, place));
    this.element = document.createElement("div");
    this.element.className = "card pane";
    this.head = document.createElement("div");
    this.head.className = "pane-head";
    this.element.append(this.head, this.view.element);
    this.queued = null;
    this.busy = 0;
    this.choose(model);
  }

  /** Take another model, with its own thresholds. */
  choose(model) {
    this.model = model;
    this.settings = Object.fromEntries(model.settings.map((s) => [s.name, s.default]));
    const select = document.createElement("select");
    select.setAttribute("aria-label", `Model of image ${this.number}`);
    for (const one of this.app.models) select.add(new Option(one.name, one.name, false, one === model));
    select.onchange = () => {
      this.choose(this.app.models.find((one) => one.name === select.value));
      this.app.remodelled(this);
    };
    this.head.replaceChildren(select, ...model.settings.map((setting) => this.slider(setting)));
  }

  slider(setting) {
    const label = document.createElement("label");
    label.className = "slider";
    label.title = setting.meaning;
    const name = document.createElement("span");
    name.textContent = words(setting.name);
    const input = Object.assign(document.createElement("input"), { type: "range", id: `p${this.number}-${setting.name}` });
    Object.assign(input, { min: setting.min, max: setting.end, step: setting.step, value: setting.default });
    const output = document.createElement("output");
    output.htmlFor = input.id;
    const tell = () => (output.textContent = setting.step >= 1 ? input.value : Number(input.value).toFixed(2));
    tell();
    input.oninput = () => {
      tell();
      this.settings[setting.name] = Number(input.value);
      this.app.moved(this);
    };
    label.append(name, input, output);
    return label;
  }

  async whileBusy(work) {
    this.busy++;
    this.view.element.classList.add("busy");
    try {
      return await work();
    } finally {
      if (--this.busy === 0) this.view.element.classList.remove("busy");
    }
  }

  /** Segment a new image; work on an older one is dropped. */
  async segment(image) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    const settings = { ...this.settings };
    try {
      const result = await this.whileBusy(() => this.app.backend.segment(image, this.model.name, settings, signal));
      if (signal.aborted) return;
      this.lay(result);
      if (JSON.stringify(settings) !== JSON.stringify(this.settings)) await this.merge();
    } catch (error) {
      if (!signal.aborted) this.app.fail(error);
    }
  }

  /** Merge again with the thresholds as they are now; of many requests the newest counts. */
  async merge() {
    if (!this.view.result) return;
    this.queued = { ...this.settings };
    if (this.merging) return;
    this.merging = true;
    try {
      while (this.queued) {
        const settings = this.queued;
        this.queued = null;
        const before = this.view.result;
        const result = await this.app.backend.merge(before, settings);
        if (this.view.result === before) this.lay(result);
      }
    } catch (error) {
      if (/token/.test(error.message) && this.app.still) await this.segment(this.app.still);
      else this.app.fail(error);
    } finally {
      this.merging = false;
    }
  }

  lay(result) {
    const started = performance.now();
    this.view.lay(result, this.model.categories);
    result.timings_ms.draw = performance.now() - started;
    this.app.laid(this);
  }
}
