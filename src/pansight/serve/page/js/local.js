// The backend inside the browser: a worker for each model that is shown. Nothing is sent anywhere.

export class LocalBackend {
  constructor(config, askToken, say) {
    this.config = config;
    this.workers = new Map();
    this.said = new Set();
    this.say = say;
    const query = new URLSearchParams(location.search);
    this.wishes = { backend: query.get("backend"), threads: query.has("threads") ? Number(query.get("threads")) : null };
  }

  async models() {
    await offline();
    return this.config.models;
  }

  named(name) {
    return this.config.models.find((one) => one.name === name);
  }

  worker(name) {
    if (!this.workers.has(name)) this.workers.set(name, new Caller());
    return this.workers.get(name);
  }

  async ask(name, what, carried = []) {
    const result = await this.worker(name).call({ model: this.named(name), wishes: this.wishes, ...what }, carried);
    for (const note of result.notes ?? []) {
      if (!this.said.has(note)) console.info(note);
      this.said.add(note);
    }
    return result;
  }

  async segment({ bitmap }, name, settings) {
    const copy = await createImageBitmap(bitmap);
    return this.ask(name, { job: "segment", bitmap: copy, settings, keep: true }, [copy]);
  }

  merge(result, settings) {
    return this.ask(result.model, { job: "merge", token: result.token, settings });
  }

  stream(name, settings) {
    return new LocalStream(this, name, settings);
  }
}

/** Frames one after the other; the newest is taken when the last is done. */
class LocalStream {
  constructor(backend, name, settings) {
    this.backend = backend;
    this.name = name;
    this.settings = { ...settings };
  }

  async segment({ canvas }) {
    const bitmap = await createImageBitmap(canvas);
    return this.backend.ask(this.name, { job: "segment", bitmap, settings: this.settings }, [bitmap]);
  }

  change(settings) {
    this.settings = { ...settings };
  }

  close() {}
}

class Caller {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    };
    this.worker.onerror = (event) => {
      for (const { reject } of this.waiting.values()) reject(new Error(event.message || "the worker could not start"));
      this.waiting.clear();
    };
  }

  call(what, carried) {
    const id = ++this.count;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...what }, carried);
    });
  }
}

/** Register the service worker: offline after the first visit, and isolated (threads) wherever the folder lies. */
async function offline() {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register(new URL("../sw.js", import.meta.url), { type: "module" });
    await navigator.serviceWorker.ready;
    // a host that sends no isolation headers: the service worker adds them from the next load on
    if (!crossOriginIsolated && navigator.serviceWorker.controller === null && !sessionStorage.getItem("reloaded")) {
      sessionStorage.setItem("reloaded", "yes");
      location.reload();
      await new Promise(() => {});
    }
  } catch (error) {
    console.info(`no service worker: ${error.message}`);
  }
}
