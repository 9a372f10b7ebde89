// The page: one application object that sources, panes and legend talk to.

import { Legend } from "./legend.js";
import { Live } from "./live.js";
import { Pane } from "./pane.js";
import { idsPng } from "./png.js";
import { css } from "./colors.js";

const $ = (id) => document.getElementById(id);
const STAGES = ["decode", "queue", "preprocess", "network", "merge", "encode", "draw"];

class App {
  panes = [];
  hidden = new Set();
  isolated = null;
  still = null;

  async begin() {
    this.dress(localStorage.getItem("pansight-theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
    this.legend = new Legend(this);
    this.live = new Live(this, (fps) => (this.fps = fps));
    this.wire();
    try {
      const config = await (await fetch("config.json")).json();
      const { Backend } = await this.backendOf(config);
      this.backend = new Backend(config, askToken, (text) => this.say(text));
      this.models = await this.backend.models();
      if (!this.models.length) throw new Error("no model works; the server's log says why");
      this.fillSamples(config.samples);
      this.addPane(this.models[0]);
      if (config.samples.length) await this.sample(0);
    } catch (error) {
      this.fail(error);
    }
    document.documentElement.dataset.ready = "true";
  }

  async backendOf({ backend }) {
    if (backend === "server") return { Backend: (await import("./server.js")).ServerBackend };
    return { Backend: (await import("./local.js")).LocalBackend };
  }

  // ---------------------------------------------------------------- sources

  async image(file) {
    this.stopLive();
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
    } catch {
      return this.fail(new Error(`${file.name ?? "this"} is no image that the browser can show; try JPEG or PNG`));
    }
    this.still = { blob: file, bitmap, width: bitmap.width, height: bitmap.height, name: (file.name ?? "image").replace(/\.[^.]+$/, "") };
    for (const pane of this.panes) pane.view.show(bitmap, bitmap.width, bitmap.height);
    this.legend.update(this.shown, this.hidden, this.isolated);
    await Promise.all(this.panes.map((pane) => pane.segment(this.still)));
  }

  async sample(number) {
    const buttons = [...$("samples").querySelectorAll("button")];
    buttons.forEach((one, i) => (i === number ? one.setAttribute("aria-current", "true") : one.removeAttribute("aria-current")));
    const response = await fetch(this.samples[number]);
    if (!response.ok) return this.fail(new Error("the sample could not be loaded"));
    const blob = await response.blob();
    await this.image(new File([blob], `sample-${number + 1}.jpg`, { type: blob.type }));
  }

  fillSamples(samples) {
    this.samples = samples;
    $("samples").replaceChildren(...samples.map((address, number) => {
      const item = document.createElement("li");
      const one = Object.assign(document.createElement("button"), { type: "button" });
      one.append(Object.assign(document.createElement("img"), { src: address, alt: `Sample ${number + 1}, a synthetic scene`, loading: "lazy" }));
      one.onclick = () => this.sample(number);
      item.append(one);
      return item;
    }));
  }

  take(file) {
    if (!file) return;
    for (const one of $("samples").querySelectorAll("[aria-current]")) one.removeAttribute("aria-current");
    if (file.type.startsWith("video/")) this.startLive("video", () => this.live.file(file));
    else this.image(file);
  }

  async startLive(name, start) {
    this.stopLive();
    try {
      this.still = null;
      await start();
      $(name).setAttribute("aria-pressed", "true");
      $("pause").hidden = false;
    } catch (error) {
      this.fail(error);
    }
  }

  stopLive() {
    this.live.stop();
    this.fps = null;
    $("pause").hidden = true;
    $("pause").setAttribute("aria-pressed", "false");
    for (const name of ["webcam", "video"]) $(name).setAttribute("aria-pressed", "false");
  }

  togglePause() {
    if (!this.live.running) return;
    this.live.pause(!this.live.paused);
    $("pause").setAttribute("aria-pressed", this.live.paused);
    $("pause").querySelector("span").textContent = this.live.paused ? "Go on" : "Pause";
  }

  // ---------------------------------------------------------------- panes

  addPane(model) {
    const pane = new Pane(this, model);
    Object.assign(pane.view, { opacity: Number($("opacity").value), outlines: $("outlines").checked, hidden: this.hidden, isolated: this.isolated });
    this.panes.push(pane);
    $("stage").append(pane.element);
    $("stage").classList.toggle("two", this.panes.length === 2);
    return pane;
  }

  async compare() {
    const two = this.panes.length === 2;
    $("compare").setAttribute("aria-pressed", !two);
    if (two) {
      const pane = this.panes.pop();
      pane.abort?.abort();
      pane.stream?.close();
      pane.stream = null;
      pane.element.remove();
      $("stage").classList.remove("two");
      this.legend.update(this.shown, this.hidden, this.isolated);
      return;
    }
    const first = this.panes[0];
    const other = this.models[(this.models.indexOf(first.model) + 1) % this.models.length];
    const pane = this.addPane(other);
    if (this.live.running) this.live.tellPanes();
    else if (this.still) {
      pane.view.show(this.still.bitmap, this.still.width, this.still.height);
      this.legend.update(this.shown, this.hidden, this.isolated);
      await pane.segment(this.still);
    }
  }

  /** A pane took another model. */
  remodelled(pane) {
    this.filter(new Set(), null);
    if (pane.stream) {
      pane.stream.close();
      pane.stream = null;
      this.live.tellPanes();
    } else if (this.still) pane.segment(this.still);
  }

  /** A threshold of a pane moved. */
  moved(pane) {
    if (pane.stream) pane.stream.change(pane.settings);
    else pane.merge();
  }

  /** A pane shows a new map. */
  laid(pane) {
    for (const id of ["save-overlay", "save-png", "save-json"]) $(id).disabled = false;
    const { result } = pane.view;
    const things = result.segments.filter((s) => s.isthing).length;
    pane.view.image.setAttribute("aria-label", `${pane.model.name}: ${things} things, ${result.segments.length - things} regions of stuff`);
    if (pane !== this.shown) return;
    this.legend.update(pane, this.hidden, this.isolated);
    this.clock(result);
    if (this.lastPlace) this.point(pane, this.lastPlace);
    else this.detail(null);
    if (!this.live.running) this.announce(result);
  }

  // ---------------------------------------------------------------- looking

  /** The pointer is at a place of the image (null: nowhere); both panes follow it. */
  point(pane, place) {
    this.lastPlace = place;
    if (place) this.attend(pane);
    for (const one of this.panes) one.view.mark(place ? one.view.at(place) : null, place);
    this.detail(place ? pane.view.at(place) : null, pane);
  }

  /** The pane that legend, speed and downloads are about. */
  get shown() {
    return this.panes.includes(this.active) ? this.active : this.panes[0];
  }

  attend(pane) {
    if (pane === this.shown) return;
    this.active = pane;
    this.legend.update(pane, this.hidden, this.isolated);
    if (pane.view.result) this.clock(pane.view.result);
  }

  pick(pane, segment) {
    this.lastPlace = null;
    pane.view.mark(segment);
    this.detail(segment, pane);
  }

  detail(segment, pane) {
    if (!segment) {
      const hint = Object.assign(document.createElement("p"), { className: "hint", textContent: "Point at the image, or tap it, to see what a segment is." });
      return $("detail").replaceChildren(hint);
    }
    const { result, colors } = pane.view;
    const name = Object.assign(document.createElement("p"), { className: "name" });
    const swatch = Object.assign(document.createElement("i"), { className: "swatch" });
    swatch.style.background = css(colors[result.segments.indexOf(segment) + 1]);
    name.append(swatch, segment.name);
    const list = document.createElement("dl");
    const score = segment.score === null ? "–" : `${(100 * segment.score).toFixed(1)} %`;
    for (const [term, value] of [["Score", score], ["Area", `${segment.area.toLocaleString("en")} px`], ["Id", segment.id]]) {
      const group = document.createElement("div");
      group.append(Object.assign(document.createElement("dt"), { textContent: term }), Object.assign(document.createElement("dd"), { textContent: value }));
      list.append(group);
    }
    $("detail").replaceChildren(name, list);
  }

  filter(hidden, isolated) {
    this.hidden = hidden;
    this.isolated = isolated;
    for (const pane of this.panes) {
      Object.assign(pane.view, { hidden, isolated });
      pane.view.paint();
      pane.view.mark(null);
    }
    this.legend.update(this.shown, hidden, isolated);
  }

  repaint() {
    $("opacity-value").textContent = `${Math.round(100 * $("opacity").value)} %`;
    for (const pane of this.panes) {
      const redraw = pane.view.outlines !== $("outlines").checked;
      Object.assign(pane.view, { opacity: Number($("opacity").value), outlines: $("outlines").checked });
      if (redraw) pane.view.paint();
      else pane.view.map.style.opacity = pane.view.opacity;
    }
  }

  clock(result) {
    const rows = [];
    if (this.fps) rows.push(["Frames", `${this.fps.toFixed(1)} /s`]);
    rows.push(["Size", `${result.width}×${result.height}`]);
    for (const stage of STAGES) if (stage in result.timings_ms) rows.push([stage, `${result.timings_ms[stage].toFixed(1)} ms`]);
    if (result.total) rows.push(["all", `${result.total.toFixed(0)} ms`]);
    if (result.backend) rows.push(["runs on", result.backend]);
    $("times").replaceChildren(...rows.map(([term, value]) => {
      const group = document.createElement("div");
      group.append(Object.assign(document.createElement("dt"), { textContent: term }), Object.assign(document.createElement("dd"), { textContent: value }));
      return group;
    }));
  }

  announce(result) {
    const counts = new Map();
    for (const segment of result.segments) counts.set(segment.name, (counts.get(segment.name) ?? 0) + 1);
    const text = [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
    $("announce").textContent = `${result.segments.length} segments: ${text || "none"}`;
  }

  // ---------------------------------------------------------------- saving

  async save(kind) {
    const { view, model, settings: own } = this.shown;
    if (!view.result) return;
    const name = this.still?.name ?? "frame";
    try {
      if (kind === "overlay") download(await view.composite(), `${name}-overlay.png`);
      else if (kind === "png") download(await idsPng(view.result), `${name}-panoptic.png`);
      else {
        const { width, height, segments, settings } = view.result;
        const content = { image: name, model: model.name, width, height, settings: settings ?? own, segments };
        download(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }), `${name}-panoptic.json`);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  // ---------------------------------------------------------------- the rest

  say(text) {
    $("announce").textContent = text;
  }

  fail(error) {
    $("toast").textContent = error.message;
    $("toast").hidden = false;
    clearTimeout(this.toastTimer);
    this.toastTimer = setTimeout(() => ($("toast").hidden = true), 8000);
  }

  dress(theme) {
    document.documentElement.dataset.theme = theme;
  }

  wire() {
    $("open").onclick = () => $("image-file").click();
    $("image-file").onchange = ({ target }) => { this.take(target.files[0]); target.value = ""; };
    $("video").onclick = () => ($("video").getAttribute("aria-pressed") === "true" ? this.stopLive() : $("video-file").click());
    $("video-file").onchange = ({ target }) => { this.take(target.files[0]); target.value = ""; };
    $("webcam").onclick = () => ($("webcam").getAttribute("aria-pressed") === "true" ? this.stopLive() : this.startLive("webcam", () => this.live.camera()));
    $("pause").onclick = () => this.togglePause();
    $("compare").onclick = () => this.compare();
    $("theme").onclick = () => {
      const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      localStorage.setItem("pansight-theme", theme);
      this.dress(theme);
    };
    $("opacity").oninput = $("outlines").onchange = () => this.repaint();
    for (const kind of ["overlay", "png", "json"]) $(`save-${kind}`).onclick = () => this.save(kind);
    $("segments-card").ontoggle = () => this.panes[0] && this.legend.list(this.shown);
    addEventListener("paste", (event) => this.take([...event.clipboardData.files][0]));
    let depth = 0;
    addEventListener("dragenter", (event) => { event.preventDefault(); depth++; $("drop").hidden = false; });
    addEventListener("dragleave", () => { if (--depth <= 0) { depth = 0; $("drop").hidden = true; } });
    addEventListener("dragover", (event) => event.preventDefault());
    addEventListener("drop", (event) => {
      event.preventDefault();
      depth = 0;
      $("drop").hidden = true;
      this.take([...event.dataTransfer.files][0]);
    });
    addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox") return;
    const step = (by) => {
      $("opacity").value = Number($("opacity").value) + by;
      this.repaint();
    };
    const keys = {
      o: () => $("open").click(), w: () => $("webcam").click(), c: () => $("compare").click(), d: () => $("theme").click(),
      a: () => this.filter(new Set(), null), "[": () => step(-0.1), "]": () => step(0.1), h: () => this.blink(),
      " ": () => this.live.running && event.target.tagName !== "BUTTON" && event.target.tagName !== "SUMMARY" && (event.preventDefault(), this.togglePause()),
    };
    keys[event.key.toLowerCase()]?.();
  }

  blink() {
    const now = Number($("opacity").value);
    $("opacity").value = now > 0 ? 0 : (this.before ?? 0.6);
    this.before = now > 0 ? now : this.before;
    this.repaint();
  }
}

function download(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function askToken() {
  const dialog = $("token-dialog");
  dialog.showModal();
  return new Promise((resolve) => (dialog.onclose = () => resolve($("token").value)));
}

const app = new App();
app.begin();
