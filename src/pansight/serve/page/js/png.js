// Panoptic PNGs are written here byte by byte: a canvas may change colours (profiles, protection against
// fingerprinting), and an id that is off by one is another segment.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

function crc(bytes) {
  let value = 0xffffffff;
  for (const b of bytes) value = TABLE[(value ^ b) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

function chunk(kind, content) {
  const bytes = new Uint8Array(12 + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(content, 8);
  view.setUint32(8 + content.length, crc(bytes.subarray(4, 8 + content.length)));
  return bytes;
}

async function piped(bytes, stream) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

export const inflate = (bytes) => piped(bytes, new DecompressionStream("deflate"));

/** The panoptic PNG of a map: id = R + 256 G + 65536 B, 0 is void. */
export async function idsPng({ width, height, rows, segments }) {
  const ids = Uint32Array.from([0, ...segments.map((s) => s.id)]);
  const lines = new Uint8Array(height * (1 + 3 * width));
  let at = 0;
  for (let y = 0, i = 0; y < height; y++) {
    lines[at++] = 0; // no filter
    for (let x = 0; x < width; x++, i++) {
      const id = ids[rows[i]];
      lines[at++] = id & 255;
      lines[at++] = (id >>> 8) & 255;
      lines[at++] = id >>> 16;
    }
  }
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8);
  const data = await piped(lines, new CompressionStream("deflate"));
  const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10);
  const parts = [signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array())];
  return new Blob(parts, { type: "image/png" });
}
