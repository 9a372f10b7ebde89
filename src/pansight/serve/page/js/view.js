// One image with its map on it: three canvases of the image's size, stretched to the sheet.
// image: the pixels; map: segments in their colours; marks: the segment under the pointer.

import { css, lightened, segmentColors } from "./colors.js";

const packed = ([r, g, b], a) => ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
const percent = (part) => `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`;

export class View {
  constructor(onPoint) {
    this.onPoint = onPoint;
    this.hidden = new Set();
    this.isolated = null;
    this.outlines = true;
    this.opacity = 0.6;
    this.element = document.createElement("div");
    this.element.className = "view";
    this.sheet = document.createElement("div");
    this.sheet.className = "sheet";
    [this.image, this.map, this.marks] = ["image", "map", "marks"].map((name) => {
      const canvas = document.createElement("canvas");
      canvas.className = name;
      canvas.width = 4;
      canvas.height = 3;
      this.sheet.append(canvas);
      return canvas;
    });
    this.image.setAttribute("role", "img");
    this.image.setAttribute("aria-label", "no image yet");
    this.map.setAttribute("aria-hidden", "true");
    this.marks.setAttribute("aria-hidden", "true");
    this.tip = document.createElement("div");
    this.tip.className = "tip";
    this.tip.hidden = true;
    this.sheet.append(this.tip);
    this.element.append(this.sheet);
    this.sheet.addEventListener("pointermove", (event) => this.point(event));
    this.sheet.addEventListener("pointerdown", (event) => this.point(event));
    this.sheet.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && this.onPoint(null));
  }

  /** Show a new image; its map is gone. `source` is whatever a canvas draws. */
  show(source, width, height) {
    this.resize(width, height);
    this.image.getContext("2d").drawImage(source, 0, 0, width, height);
    this.result = null;
    this.mark(null);
    this.map.getContext("2d").clearRect(0, 0, width, height);
  }

  resize(width, height) {
    if (this.image.width === width && this.image.height === height) return;
    for (const canvas of [this.image, this.map, this.marks]) {
      canvas.width = width;
      canvas.height = height;
    }
    this.sheet.style.aspectRatio = `${width} / ${height}`;
    this.sheet.style.width = `min(100%, calc(72vh * ${width / height}))`;
  }

  /** Show the map of the image that is shown. */
  lay(result, categories) {
    this.result = result;
    this.colors = segmentColors(result.segments, categories);
    this.buffer = new Uint32Array(result.width * result.height);
    this.paint();
  }

  paint() {
    this.map.style.opacity = this.opacity;
    if (!this.result) return;
    const { rows, width, height, segments } = this.result;
    const seen = (s) => !this.hidden.has(s.category) && (this.isolated === null || this.isolated === s.category);
    const dark = packed([8, 10, 14], this.isolated === null ? 0 : 210);
    const fill = Uint32Array.from([packed(this.colors[0], 150), ...segments.map((s, i) => (seen(s) ? packed(this.colors[i + 1], 255) : dark))]);
    const edge = Uint32Array.from([fill[0], ...segments.map((s, i) => (seen(s) ? packed(lightened(this.colors[i + 1], 0.65), 255) : dark))]);
    if (this.isolated !== null) fill[0] = edge[0] = dark;
    const { buffer } = this;
    if (this.outlines) {
      for (let y = 0, i = 0; y < height; y++) {
        const below = y + 1 < height ? width : 0;
        for (let x = 0; x < width; x++, i++) {
          const row = rows[i];
          const same = rows[i + below] === row && (x + 1 === width || rows[i + 1] === row);
          buffer[i] = same ? fill[row] : edge[row];
        }
      }
    } else for (let i = 0; i < buffer.length; i++) buffer[i] = fill[rows[i]];
    const pixels = new ImageData(new Uint8ClampedArray(buffer.buffer), width, height);
    this.map.getContext("2d").putImageData(pixels, 0, 0);
  }

  point(event) {
    if (!this.result) return;
    const box = this.sheet.getBoundingClientRect();
    this.onPoint({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  }

  /** The segment at a place, shares of the sides 0..1; null where there is none or it is hidden. */
  at({ x, y }) {
    if (!this.result || x < 0 || y < 0 || x >= 1 || y >= 1) return null;
    const { width, height, rows, segments } = this.result;
    const segment = segments[rows[Math.floor(y * height) * width + Math.floor(x * width)] - 1] ?? null;
    if (segment && (this.hidden.has(segment.category) || (this.isolated ?? segment.category) !== segment.category)) return null;
    return segment;
  }

  /** Mark a segment (null: none), and name it next to the place, if there is one. */
  mark(segment, place = null) {
    const context = this.marks.getContext("2d");
    context.clearRect(0, 0, this.marks.width, this.marks.height);
    this.tip.hidden = !segment || !place;
    if (!segment || !this.result) return;
    this.draw(context, segment);
    if (!place) return;
    this.tip.replaceChildren(...this.describe(segment));
    const box = this.sheet.getBoundingClientRect();
    const right = place.x > 0.6;
    this.tip.style.left = right ? "" : `${Math.min(place.x * box.width + 16, box.width - 130)}px`;
    this.tip.style.right = right ? `${Math.max((1 - place.x) * box.width + 12, 4)}px` : "";
    this.tip.style.top = place.y > 0.75 ? "" : `${place.y * box.height + 14}px`;
    this.tip.style.bottom = place.y > 0.75 ? `${(1 - place.y) * box.height + 10}px` : "";
  }

  describe(segment) {
    const name = document.createElement("strong");
    const swatch = document.createElement("i");
    swatch.className = "swatch";
    swatch.style.background = css(this.colors[this.result.segments.indexOf(segment) + 1]);
    name.append(swatch, segment.name);
    const text = document.createElement("span");
    const score = segment.score === null ? "" : `score ${percent(segment.score)} · `;
    text.textContent = `${score}${segment.area.toLocaleString("en")} px (${percent(segment.area / (this.result.width * this.result.height))}) · id ${segment.id}`;
    return [name, text];
  }

  draw(context, segment) {
    const [x0, y0, w, h] = segment.bbox;
    const { width, height, rows, segments } = this.result;
    const row = segments.indexOf(segment) + 1;
    const left = Math.max(0, x0 - 1);
    const top = Math.max(0, y0 - 1);
    const pixels = new ImageData(Math.min(width, x0 + w + 1) - left, Math.min(height, y0 + h + 1) - top);
    const out = new Uint32Array(pixels.data.buffer);
    const reach = Math.max(1, Math.round(Math.min(width, height) / 400));
    for (let y = 0, o = 0; y < pixels.height; y++) {
      for (let x = 0; x < pixels.width; x++, o++) {
        const i = (top + y) * width + left + x;
        if (rows[i] !== row) continue;
        const border = top + y < reach || top + y >= height - reach || left + x < reach || left + x >= width - reach ||
          rows[i - reach] !== row || rows[i + reach] !== row || rows[i - reach * width] !== row || rows[i + reach * width] !== row;
        out[o] = border ? 0xffffffff : 0x38ffffff;
      }
    }
    context.putImageData(pixels, left, top);
  }

  /** Image and map in one. */
  async composite() {
    const canvas = new OffscreenCanvas(this.image.width, this.image.height);
    const context = canvas.getContext("2d");
    context.drawImage(this.image, 0, 0);
    context.globalAlpha = this.opacity;
    context.drawImage(this.map, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }
}
