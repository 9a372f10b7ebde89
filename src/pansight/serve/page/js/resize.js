// Pillow's resize with its antialiasing bilinear filter, byte for byte (Pillow, src/libImaging/Resample.c): the same
// pixels enter the network here as in Python, or the maps would differ.

const BITS = 22; // of the fixed point numbers: 32 - 8 bits of a pixel - 2 to spare

/** First pixel, number of pixels and weights that make each pixel of a side. */
function weights(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  const most = 2 * Math.ceil(support) + 1;
  const first = new Int32Array(to);
  const counts = new Int32Array(to);
  const table = new Int32Array(to * most);
  for (let i = 0; i < to; i++) {
    const center = (i + 0.5) * scale;
    const begin = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const values = [];
    let sum = 0;
    for (let x = begin; x < end; x++) {
      const distance = Math.abs((x - center + 0.5) / support);
      values.push(distance < 1 ? 1 - distance : 0);
      sum += values.at(-1);
    }
    values.forEach((value, k) => (table[i * most + k] = Math.trunc((sum === 0 ? value : value / sum) * (1 << BITS) + 0.5)));
    first[i] = begin;
    counts[i] = values.length;
  }
  return { first, counts, table, most };
}

const clipped = (sum) => Math.min(255, Math.max(0, sum >> BITS));

/** RGBA bytes of `width` x `height` as RGB bytes of another size. */
export function resized(rgba, width, height, newWidth, newHeight) {
  let wide = new Uint8Array(newWidth * height * 3);
  if (newWidth === width) {
    for (let i = 0, o = 0; o < wide.length; i += 4, o += 3) {
      wide[o] = rgba[i];
      wide[o + 1] = rgba[i + 1];
      wide[o + 2] = rgba[i + 2];
    }
  } else {
    const { first, counts, table, most } = weights(width, newWidth);
    for (let y = 0, o = 0; y < height; y++) {
      for (let x = 0; x < newWidth; x++, o += 3) {
        let red = 1 << (BITS - 1), green = red, blue = red;
        for (let k = 0, i = 4 * (y * width + first[x]); k < counts[x]; k++, i += 4) {
          const weight = table[x * most + k];
          red += rgba[i] * weight;
          green += rgba[i + 1] * weight;
          blue += rgba[i + 2] * weight;
        }
        wide[o] = clipped(red);
        wide[o + 1] = clipped(green);
        wide[o + 2] = clipped(blue);
      }
    }
  }
  if (newHeight === height) return wide;
  const { first, counts, table, most } = weights(height, newHeight);
  const row = 3 * newWidth;
  const result = new Uint8Array(row * newHeight);
  const sums = new Int32Array(row);
  for (let y = 0; y < newHeight; y++) {
    sums.fill(1 << (BITS - 1));
    for (let k = 0; k < counts[y]; k++) {
      const weight = table[y * most + k];
      for (let x = 0, i = (first[y] + k) * row; x < row; x++, i++) sums[x] += wide[i] * weight;
    }
    for (let x = 0; x < row; x++) result[y * row + x] = clipped(sums[x]);
  }
  return result;
}

/** Height and width at which an image enters the network; as pansight.models.preprocess has it. */
export function targetSize({ short, longest, squash }, height, width) {
  if (squash) return squash;
  if (!short) return [height, width];
  const scale = short / Math.min(height, width);
  let [h, w] = height < width ? [short, scale * width] : [scale * height, short];
  if (longest && Math.max(h, w) > longest) {
    const shrink = longest / Math.max(h, w);
    [h, w] = [h * shrink, w * shrink];
  }
  return [Math.max(1, Math.trunc(h + 0.5)), Math.max(1, Math.trunc(w + 0.5))];
}

/** Bytes [H, W, 3] as the network takes them, padded with zeros to a multiple of `divisor`; and the sizes. */
export function preprocessed(preprocess, rgba, width, height) {
  const [h, w] = targetSize(preprocess, height, width);
  const padded = [h, w].map((side) => Math.ceil(side / preprocess.divisor) * preprocess.divisor);
  const rgb = resized(rgba, width, height, w, h);
  const pixels = new Uint8Array(3 * padded[0] * padded[1]);
  for (let y = 0; y < h; y++) pixels.set(rgb.subarray(3 * y * w, 3 * (y + 1) * w), 3 * y * padded[1]);
  return { pixels, padded, valid: [h, w] };
}
