// Everything is kept after the first visit, so the page works without a network; and every answer says that the page
// is isolated, which is what browsers ask before they give WebAssembly threads. `files.json` is written beside the
// page by `pansight serve --static`: {"version": ..., "files": [...]}.

const scope = new URL("./", self.location.href);

async function listing() {
  const response = await fetch(new URL("files.json", scope), { cache: "no-store" });
  return response.json();
}

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const { version, files } = await listing();
      const cache = await caches.open(`pansight-${version}`);
      await cache.addAll(files.map((file) => new Request(new URL(file, scope), { cache: "no-cache" })));
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const { version } = await listing().catch(() => ({}));
      for (const name of await caches.keys()) {
        if (version && name.startsWith("pansight-") && name !== `pansight-${version}`) await caches.delete(name);
      }
      await self.clients.claim();
    })(),
  );
});

const isolated = (response) => {
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
};

async function answer(request) {
  const stored = await caches.match(request, { ignoreSearch: true });
  if (stored) return isolated(stored);
  const response = await fetch(request);
  // what was not in the list, such as the runtime for WebGPU, is kept when it is first used
  if (response.ok && new URL(request.url).pathname.startsWith(`${scope.pathname}ort/`)) {
    const { version } = await listing().catch(() => ({}));
    if (version) await (await caches.open(`pansight-${version}`)).put(request, response.clone());
  }
  return isolated(response);
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || new URL(request.url).origin !== scope.origin) return;
  event.respondWith(answer(request));
});
