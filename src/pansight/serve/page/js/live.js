// Frames of a camera or a file: the newest is segmented, and shown together with its own map.

const LONGEST = 960; // pixels of a frame's longer side; more would only be made smaller by the network

export class Live {
  constructor(app, onFrame) {
    this.app = app;
    this.onFrame = onFrame;
    this.video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, loop: true });
    this.running = false;
  }

  async camera() {
    if (!navigator.mediaDevices) throw new Error("the browser allows no camera at this address; use https or localhost");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 960 }, facingMode: "environment" } });
    } catch (error) {
      throw new Error(`no camera: ${error.message || error.name}`);
    }
    this.video.srcObject = stream;
    await this.start();
  }

  async file(file) {
    this.address = URL.createObjectURL(file);
    this.video.src = this.address;
    await this.start();
  }

  async start() {
    try {
      await this.video.play();
    } catch {
      this.stop();
      throw new Error("the browser cannot play this video; try MP4 or WebM");
    }
    this.running = true;
    this.paused = false;
    this.times = [];
    this.tellPanes();
    for (const pane of this.app.panes) this.loop(pane);
  }

  /** Open a stream for each pane that has none; close the others. */
  tellPanes() {
    if (!this.running) return;
    for (const pane of this.app.panes) this.loop(pane);
  }

  async loop(pane) {
    if (pane.stream || !this.running) return;
    const stream = (pane.stream = this.app.backend.stream(pane.model.name, pane.settings));
    try {
      while (this.running && pane.stream === stream) {
        const frame = await this.grab();
        if (!frame) continue;
        const result = await stream.segment({ canvas: frame });
        if (!this.running || pane.stream !== stream) break;
        pane.view.show(frame, frame.width, frame.height);
        pane.lay(result);
        this.tick(pane);
      }
    } catch (error) {
      if (this.running && pane.stream === stream) {
        this.app.fail(error);
        this.app.stopLive();
      }
    } finally {
      stream.close();
      if (pane.stream === stream) pane.stream = null;
    }
  }

  async grab() {
    const { video } = this;
    if (this.paused || document.hidden || video.readyState < 2) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return null;
    }
    const scale = Math.min(1, LONGEST / Math.max(video.videoWidth, video.videoHeight));
    const canvas = new OffscreenCanvas(Math.round(video.videoWidth * scale), Math.round(video.videoHeight * scale));
    canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  tick(pane) {
    if (pane !== this.app.panes[0]) return;
    const now = performance.now();
    this.times = [...this.times.filter((time) => now - time < 3000), now];
    const span = now - this.times[0];
    this.onFrame(this.times.length > 1 ? (1000 * (this.times.length - 1)) / span : null);
  }

  pause(paused) {
    this.paused = paused;
    if (paused) this.video.pause();
    else this.video.play();
  }

  stop() {
    this.running = false;
    for (const pane of this.app.panes) {
      pane.stream?.close();
      pane.stream = null;
    }
    for (const track of this.video.srcObject?.getTracks() ?? []) track.stop();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.load();
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }
}
