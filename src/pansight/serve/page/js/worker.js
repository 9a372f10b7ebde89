// The model inside the browser: onnxruntime-web in a worker, so that the page never waits.
//
// At first a known image is segmented on each backend in turn, and its map compared with the ids that Python stored
// next to the model: a backend that differs is named and skipped, however fast it is.

import { inflate } from "./png.js";
import { preprocessed } from "./resize.js";
import { measured } from "./segments.js";

const LEVEL = "disabled"; // folding constants of the merge takes ten times as long as it saves
const AGREEMENT = 0.998; // share of pixels that must be equal; the rest may be ties

let ort = null;
let at = null; // the model that is open, with its session and backend
const kept = new Map(); // inputs by token, for other thresholds
let tokens = 0;

const absolute = (path) => new URL(path, new URL("..", import.meta.url)).href;

async function load(kind) {
  ort = await import(absolute(kind === "webgpu" ? "ort/ort.webgpu.min.mjs" : "ort/ort.wasm.min.mjs"));
  ort.env.wasm.wasmPaths = absolute("ort/");
  ort.env.logLevel = "error";
}

/** Backends in the order they are tried; `wanted` is one of them, or nothing. */
async function candidates({ backend, threads }) {
  const cores = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  const found = [{ kind: "wasm", threads: threads ?? cores }];
  if (navigator.gpu && (await navigator.gpu.requestAdapter().catch(() => null))) found.unshift({ kind: "webgpu", threads: 1 });
  return backend ? found.filter((one) => one.kind === backend) : found;
}

const named = ({ kind, threads }) => (kind === "wasm" ? `wasm, ${threads} thread${threads > 1 ? "s" : ""}` : "WebGPU");

async function open(model, wishes) {
  if (at?.model.name === model.name) return at.report;
  await at?.session.release();
  at = null;
  kept.clear();
  const bytes = await fetched(model.graph);
  const check = JSON.parse(new TextDecoder().decode(await fetched(model.check)));
  const notes = [];
  const tried = await candidates(wishes);
  if (!tried.length) notes.push(`${wishes.backend} is not to be had in this browser`);
  for (const candidate of tried) {
    try {
      if (!ort) await load(candidate.kind);
      if (candidate.kind === "wasm") ort.env.wasm.numThreads = candidate.threads;
      const session = await ort.InferenceSession.create(bytes.slice(), { executionProviders: [candidate.kind], graphOptimizationLevel: LEVEL });
      const one = { model, session, backend: named(candidate) };
      const equal = await agreement(one, check);
      if (equal >= AGREEMENT) {
        one.report = { backend: one.backend, agreement: equal, notes };
        at = one;
        return one.report;
      }
      notes.push(`${one.backend} is skipped: ${(100 * (1 - equal)).toFixed(1)} % of the pixels of the check differ from Python's`);
      await session.release();
    } catch (error) {
      notes.push(`${named(candidate)} is skipped: ${String(error.message ?? error).split("\n")[0].slice(0, 200)}`);
    }
  }
  throw new Error(`${model.name} runs on no backend of this browser: ${notes.join("; ")}`);
}

async function fetched(path) {
  const response = await fetch(absolute(path));
  if (!response.ok) throw new Error(`${path} could not be fetched (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

const decoded = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** Share of pixels of the stored image whose category is Python's, and whose neighbours are. */
async function agreement(one, { width, height, rgba, rows, categories }) {
  const pixels = await inflate(decoded(rgba));
  const wanted = await inflate(decoded(rows));
  const input = prepare(one.model, pixels, width, height);
  const { result } = await run(one, input, {});
  const found = result.rows;
  // segments may come in another order: each of Python's is paired with the one it shares most pixels with
  const together = new Map();
  for (let i = 0; i < found.length; i++) {
    const key = wanted[i] * 65536 + found[i];
    together.set(key, (together.get(key) ?? 0) + 1);
  }
  let equal = 0;
  const used = new Set();
  for (const [key, count] of [...together].sort((a, b) => b[1] - a[1])) {
    const [row, other] = [Math.floor(key / 65536), key % 65536];
    if (used.has(`w${row}`) || used.has(`f${other}`)) continue;
    const category = other ? result.segments[other - 1].category : -1;
    if ((row ? categories[row - 1] : -1) !== category) continue;
    used.add(`w${row}`).add(`f${other}`);
    equal += count;
  }
  return equal / found.length;
}

function prepare(model, pixels, width, height) {
  return { ...preprocessed(model.preprocess, pixels, width, height), width, height };
}

async function run(one, input, settings) {
  const { model, session } = one;
  const values = { ...Object.fromEntries(model.settings.map((s) => [s.name, s.default])), ...settings };
  const feeds = {};
  for (const name of session.inputNames) feeds[name] = feed(name, input, values);
  const started = performance.now();
  const outputs = await session.run(feeds);
  const network = performance.now() - started;
  const read = (name) => outputs[name].data;
  const begun = performance.now();
  const found = measured(read("ids"), input.width, input.height, read("categories"), read("scores"), model.categories);
  const result = {
    width: input.width, height: input.height, ...found, settings: values, model: model.name, backend: one.backend,
    timings_ms: { network, merge: performance.now() - begun },
  };
  return { result };
}

function feed(name, { pixels, padded, valid, width, height }, values) {
  const sides = (numbers) => new ort.Tensor("int64", BigInt64Array.from(numbers.map(BigInt)), [2]);
  if (name === "images") return new ort.Tensor("uint8", pixels, [1, ...padded, 3]);
  if (name === "valid") return sides(valid);
  if (name === "output") return sides([height, width]);
  const setting = name.replace(/^merge\./, "");
  if (setting in values) return new ort.Tensor("float32", Float32Array.of(values[setting]), []);
  throw new Error(`the graph has an input ${name} that this page does not know`);
}

function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

const jobs = {
  open: ({ model, wishes }) => open(model, wishes),

  async segment({ model, wishes, bitmap, settings, keep }) {
    const report = await open(model, wishes);
    const started = performance.now();
    const { width, height } = bitmap;
    const input = prepare(model, pixelsOf(bitmap), width, height);
    bitmap.close();
    const preprocess = performance.now() - started;
    const { result } = await run(at, input, settings);
    result.timings_ms = { preprocess, ...result.timings_ms };
    result.total = performance.now() - started;
    result.notes = report.notes;
    if (keep) {
      result.token = ++tokens;
      kept.set(result.token, { model: model.name, input });
      if (kept.size > 4) kept.delete(kept.keys().next().value);
    }
    return result;
  },

  async merge({ model, wishes, token, settings }) {
    const one = kept.get(token);
    await open(model, wishes);
    if (!one || one.model !== model.name) throw new Error("the token of this image has expired; segment it again");
    const { result } = await run(at, one.input, settings);
    return { ...result, token };
  },
};

// one job after the other: a session takes one at a time
let last = Promise.resolve();
onmessage = ({ data: { id, job, ...what } }) => {
  last = last.then(async () => {
    try {
      const result = await jobs[job](what);
      postMessage({ id, result }, result.rows ? [result.rows.buffer] : []);
    } catch (error) {
      postMessage({ id, error: String(error.message ?? error) });
    }
  });
};
