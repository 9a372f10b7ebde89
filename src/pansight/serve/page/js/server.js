// The backend that lives on the server: HTTP for images and sliders, WebSocket for frames.

import { inflate } from "./png.js";

/** A framed answer: length of the header (uint32, little-endian), JSON header, deflated rows. */
async function parse(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const raw = await inflate(new Uint8Array(buffer, 4 + length));
  header.rows = header.bytes === 1 ? raw : new Uint16Array(raw.buffer);
  return header;
}

export class ServerBackend {
  live = "stream";

  constructor(config, askToken) {
    this.config = config;
    this.askToken = askToken;
    this.token = sessionStorage.getItem("pansight-token");
  }

  async models() {
    if (!this.config.protected) return this.config.models;
    return (await (await this.fetch("v1/models")).json()).models;
  }

  async fetch(path, options = {}) {
    for (;;) {
      const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
      const response = await fetch(path, { ...options, headers });
      if (response.status === 401) {
        this.token = await this.askToken();
        sessionStorage.setItem("pansight-token", this.token);
        continue;
      }
      if (!response.ok) {
        const said = await response.json().catch(() => ({}));
        throw new Error(said.error ?? `the server answered ${response.status}`);
      }
      return response;
    }
  }

  async ask(path, query, options) {
    const started = performance.now();
    const response = await this.fetch(`${path}?${new URLSearchParams({ ...query, format: "rows" })}`, options);
    const result = await parse(await response.arrayBuffer());
    const encode = /encode;dur=([\d.]+)/.exec(response.headers.get("Server-Timing") ?? "");
    if (encode) result.timings_ms.encode = Number(encode[1]);
    result.total = performance.now() - started;
    return result;
  }

  /** An image file; `settings` are thresholds by name. The answer keeps a token for `merge`. */
  segment({ blob }, model, settings, signal) {
    return this.ask("v1/segment", { model, keep: true, ...settings }, { method: "POST", body: blob, signal });
  }

  /** Other thresholds for what was segmented: the network does not run. */
  merge(result, settings) {
    return this.ask("v1/merge", { token: result.token, ...settings }, { method: "POST" });
  }

  stream(model, settings) {
    return new Stream(model, settings, this.token);
  }
}

/** One frame is in flight at a time; the server keeps the newest where more come. */
class Stream {
  constructor(model, settings, token) {
    const address = new URL(`v1/stream?${new URLSearchParams({ model, ...settings, format: "rows" })}`, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const hex = token && [...new TextEncoder().encode(token)].map((b) => b.toString(16).padStart(2, "0")).join("");
    this.socket = new WebSocket(address, hex ? ["pansight.v1", `bearer.${hex}`] : ["pansight.v1"]);
    this.socket.binaryType = "arraybuffer";
    this.opened = new Promise((resolve, reject) => {
      this.socket.onopen = resolve;
      this.socket.onerror = () => reject(new Error("the stream could not be opened; is the server still running?"));
    });
    this.opened.catch(() => {});
    this.socket.onclose = () => this.waiting?.reject(new Error("the server closed the stream"));
    this.socket.onmessage = ({ data }) => {
      const waiting = this.waiting;
      this.waiting = null;
      if (typeof data === "string") waiting?.reject(new Error(JSON.parse(data).error));
      else parse(data).then(waiting?.resolve, waiting?.reject);
    };
  }

  async segment({ canvas }) {
    await this.opened;
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.9 });
    if (this.socket.readyState !== WebSocket.OPEN) throw new Error("the server closed the stream");
    const started = performance.now();
    const answer = new Promise((resolve, reject) => (this.waiting = { resolve, reject }));
    this.socket.send(blob);
    const result = await answer;
    result.total = performance.now() - started;
    return result;
  }

  change(settings) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(settings));
  }

  close() {
    this.socket.onclose = null;
    this.socket.close();
  }
}
