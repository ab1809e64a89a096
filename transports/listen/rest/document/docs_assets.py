"""The style, the script and the icon that the page at `/docs` loads; `docs_page` has the HTML.

Invariants:

- They load nothing from another host.
- The script writes text, never HTML, and keeps the token only in the field for it.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
:root { --line: #d5d9e2; --soft: #f4f5f8; --faint: #5d6575; --link: #0b57c2; color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h3 { font-size: .85rem; margin: 1rem 0 .3rem; color: var(--faint); }
a { color: var(--link); }
code, pre, textarea, input, select { font-family: ui-monospace, monospace; font-size: .85rem; }
pre { background: var(--soft); padding: .6rem; margin: .3rem 0; overflow: auto; max-height: 26rem; }
pre.got { white-space: pre-wrap; overflow-wrap: anywhere; border-left: 4px solid #188038; }
pre.got.bad { border-color: #c5221f; }
table { border-collapse: collapse; }
td { padding: .15rem .8rem .15rem 0; vertical-align: top; }
details { border: 1px solid var(--line); border-radius: .3rem; margin: .35rem 0; padding: 0 .7rem; }
details[open] { padding-bottom: .7rem; }
summary { cursor: pointer; padding: .35rem 0; }
.method { display: inline-block; min-width: 4.2rem; text-align: center; border-radius: .2rem; }
.method { color: #fff; font-weight: 600; font-size: .75rem; padding: .15rem 0; }
.get { background: #0b57c2; } .post { background: #14692f; }
.patch, .put { background: #8a4b00; } .delete { background: #b3201d; }
.what { color: var(--faint); }
.token { border: 1px solid var(--line); border-radius: .2rem; padding: 0 .3rem; font-size: .75rem; }
label { display: block; margin: .3rem 0; color: var(--faint); }
label textarea, label input, label select { display: block; width: 100%; }
textarea, input, select { padding: .35rem; border: 1px solid var(--line); border-radius: .2rem; }
textarea, input, select { background: inherit; color: inherit; }
#access { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; }
#access[hidden] { display: none; }
#token { flex: 1 1 18rem; }
button { font: inherit; padding: .25rem .9rem; cursor: pointer; }
.curl { overflow-wrap: anywhere; color: var(--faint); }
@media (prefers-color-scheme: dark) {
  :root { --line: #3b404c; --soft: #22252d; --faint: #a3abbb; --link: #8ab4f8; }
  :root { color-scheme: dark; }
  body { background: #16181d; color: #e3e6ec; }
}
"""

ICON: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><g stroke="#0b57c2" stroke-width="2">\
<path d="M3 8h5M8 8l5-5M8 8h5M8 8l5 5" fill="none"/></g><circle cx="3" cy="8" r="2.5" \
fill="#0b57c2"/></svg>
"""

SCRIPT: Final = r"""
"use strict";

const token = document.getElementById("token");
const state = document.getElementById("access-state");
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function target(form) {
  const query = new URLSearchParams();
  let path = form.dataset.path.slice(1);
  for (const field of form.querySelectorAll("[data-in]")) {
    if (field.dataset.in === "path") {
      path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
    } else if (field.value) {
      query.set(field.name, field.value);
    }
  }
  const search = query.toString();
  return new URL(search ? `${path}?${search}` : path, document.baseURI);
}

function options(form) {
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  if (form.elements.body) headers["Content-Type"] = "application/json";
  const body = form.elements.body?.value;
  return { method: form.dataset.method, headers, body, cache: "no-store" };
}

function curl(form) {
  const words = ["curl", quoted(target(form).href)];
  if (form.dataset.method !== "GET") words.splice(1, 0, "-X", form.dataset.method);
  if (token.value) words.push('-H "Authorization: Bearer $TOKEN"');
  if (form.elements.body) {
    words.push("-H 'Content-Type: application/json'", "-d", quoted(form.elements.body.value));
  }
  return words.join(" ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function show(form, text, isBad) {
  const got = form.querySelector(".got");
  got.hidden = false;
  got.textContent = text;
  got.classList.toggle("bad", isBad);
}

async function send(form) {
  show(form, "…", false);
  const response = await fetch(target(form), options(form));
  const text = pretty(await response.text());
  show(form, `${response.status}\n${text}`, !response.ok);
}

async function ticket() {
  if (isLoggedIn && !token.value) return null; // the login opens it
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  const response = await fetch("api/ws-ticket", { method: "POST", headers });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  return (await response.json()).ticket;
}

const sockets = new WeakMap();

async function follow(form) {
  sockets.get(form)?.close();
  const url = target(form);
  url.protocol = url.protocol.replace("http", "ws");
  const fresh = url.searchParams.has("ticket") ? null : await ticket();
  if (fresh) url.searchParams.set("ticket", fresh);
  const socket = new WebSocket(url);
  sockets.set(form, socket);
  show(form, "", false);
  const got = form.querySelector(".got");
  socket.onmessage = (message) => {
    const isAtEnd = got.scrollTop + got.clientHeight >= got.scrollHeight - 4;
    got.append(`${message.data.replace(/\n$/, "")}\n`);
    while (got.childNodes.length > 1000) got.firstChild.remove();
    if (isAtEnd) got.scrollTop = got.scrollHeight;
  };
  socket.onclose = (closed) => got.append(`(closed: ${closed.code} ${closed.reason})\n`);
}

const login = document.getElementById("login");
let isLoggedIn = false;

async function showLogin() {
  if (!login) return;
  const response = await fetch("login/who", { cache: "no-store" });
  const { name } = await response.json();
  isLoggedIn = name !== null;
  document.getElementById("log-in").hidden = isLoggedIn;
  document.getElementById("log-out").hidden = !isLoggedIn;
  document.getElementById("who").textContent = isLoggedIn ? `Logged in as ${name}` : "";
}

async function logOut() {
  const response = await fetch("logout", { method: "POST" });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  await showLogin();
  await greet();
}

async function greet() {
  const headers = token.value ? { Authorization: `Bearer ${token.value}` } : {};
  const response = await fetch("api/instances", { headers, cache: "no-store" });
  const found = await response.json();
  state.textContent = response.ok
    ? `${found.length} instance${found.length === 1 ? "" : "s"}`
    : found.detail?.error ?? found.detail;
}

function failed(error) {
  state.textContent = `No answer: ${error.message}`;
}

for (const form of document.querySelectorAll("form.try")) {
  const isLog = form.dataset.path === "/ws";
  const line = form.querySelector(".curl");
  const refresh = () => (line.textContent = isLog ? "mcp-router logs -f" : curl(form));
  form.addEventListener("input", refresh);
  token.addEventListener("input", refresh);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    (isLog ? follow : send)(form).catch((error) => show(form, `${error.message}`, true));
  });
  refresh();
}

function open() {
  const chosen = location.hash && document.getElementById(location.hash.slice(1));
  if (chosen instanceof HTMLDetailsElement) chosen.open = true;
}

document.getElementById("access").addEventListener("submit", (event) => {
  event.preventDefault();
  greet().catch(failed);
});
token.addEventListener("change", () => greet().catch(failed));
document.getElementById("log-out")?.addEventListener("click", () => logOut().catch(failed));
addEventListener("hashchange", open);
for (const part of document.querySelectorAll(".live")) part.hidden = false;
open();
showLogin().then(greet).catch(failed);
"""

ASSETS: Final = {
    "css": (STYLE, "text/css; charset=utf-8"),
    "js": (SCRIPT, "text/javascript; charset=utf-8"),
    "svg": (ICON, "image/svg+xml; charset=utf-8"),
}
"""Extension of the file's name -> its text and content type."""
