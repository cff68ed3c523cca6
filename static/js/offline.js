// A service worker with one task: a page that is asked for while the site cannot be reached is answered with the one that
// says so. It keeps that page and its looks, which hold nothing of any team, and nothing else; all other requests pass it by.
// To be rid of it, answer /offline.js with 404: browsers then remove it by themselves.

const PAGE = "/offline/";
const LOOKS = ["style", "font"];

addEventListener("install", (event) => event.waitUntil(keep().then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(registration.navigationPreload?.enable()));

// Not a form on its way: the browser's own page can send it again, ours could not.
addEventListener("fetch", (event) => {
  const { mode, method, destination } = event.request;
  if (mode === "navigate" && method === "GET") event.respondWith(arrive(event).catch(() => kept(PAGE)));
  else if (LOOKS.includes(destination)) event.respondWith(fetch(event.request).catch(() => kept(event.request)));
});

/** The page without cookies, so that it is nobody's, and what it names of its looks; what a former one named goes. */
async function keep() {
  const page = await fetch(PAGE, { credentials: "omit", cache: "no-store" });
  if (!page.ok) throw new Error(`status ${page.status}`);
  const looks = [...(await page.clone().text()).matchAll(/href="([^"]+\.(?:css|woff2))"/g)].map(([, address]) => address);
  const cache = await caches.open("offline");
  await cache.addAll(looks);
  await cache.put(PAGE, page);
  const wanted = [PAGE, ...looks].map((address) => new URL(address, location).href);
  for (const old of await cache.keys()) if (!wanted.includes(old.url)) await cache.delete(old);
}

/** As the browser itself asked, at once and with its own cookies, where it can ask beside a worker that is only starting. */
async function arrive(event) {
  return (await event.preloadResponse) ?? fetch(event.request);
}

async function kept(request) {
  return (await caches.match(request)) ?? Response.error();
}
