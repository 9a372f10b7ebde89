// Segment colours, as pansight.drawing.shades has them: stuff in its category's colour, each thing in a shade of it
// that depends on nothing but category and id. OKLab: B. Ottosson, https://bottosson.github.io/posts/oklab/

export const VOID_COLOR = [26, 28, 33];

const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const coded = (v) => (v <= 0.0031308 ? v * 12.92 : 1.055 * v ** (1 / 2.4) - 0.055);
const byte = (v) => Math.round(255 * coded(Math.min(1, Math.max(0, v))));

function oklab([red, green, blue]) {
  const [r, g, b] = [red, green, blue].map((v) => linear(v / 255));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

function fromOklab([lightness, a, b]) {
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    byte(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
    byte(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
    byte(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s),
  ];
}

function shade(base, id) {
  const lighter = ((id * 0.6180339887) % 1) * 2 - 1;
  const turned = ((id * 0.3027756377) % 1) * 2 - 1;
  const [l, a, b] = oklab(base);
  const lightness = Math.min(0.76, Math.max(0.46, l)) + 0.16 * lighter;
  const chroma = Math.max(Math.hypot(a, b), 0.05);
  const hue = Math.atan2(b, a) + 0.45 * turned;
  let color = base;
  for (let part = 1; part > 0.15; part -= 0.1) {
    const wanted = [lightness, part * chroma * Math.cos(hue), part * chroma * Math.sin(hue)];
    color = fromOklab(wanted);
    const got = oklab(color);
    if (wanted.every((value, i) => Math.abs(value - got[i]) < 0.015)) break;
  }
  return color;
}

export const lightened = (color, amount) => {
  const [l, a, b] = oklab(color);
  return fromOklab([l + amount * (1 - l), a * (1 - amount), b * (1 - amount)]);
};

/** One [r, g, b] for void (first) and for each segment. */
export function segmentColors(segments, categories) {
  const colors = segments.map((s) => {
    const base = categories[s.category].color;
    return s.isthing ? shade(base, s.id) : base;
  });
  return [VOID_COLOR, ...colors];
}

export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
