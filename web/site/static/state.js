// Follows uploads live: the server sends the parts of the page that have changed.
"use strict";

const SOON = 3000, LATE = 60000; // milliseconds

const state = document.getElementById("state");
const said = document.getElementById("said");
const lost = document.getElementById("lost");
let source = null;
let seen = "";
let patience = SOON;

function replace(id, html) {
  const old = document.getElementById(id);
  const made = document.createRange().createContextualFragment(html).firstElementChild;
  if (!old || !made) return;
  const focused = old.contains(document.activeElement);
  old.replaceWith(made);
  if (focused) (made.querySelector("a, button") || document.getElementById("main")).focus();
}

function show(event) {
  seen = event.lastEventId;
  const news = JSON.parse(event.data);
  for (const [id, html] of Object.entries(news.parts)) replace(id, html);
  if (news.say) said.textContent = news.say;
}

// The browser itself comes again when a connection breaks, but not when the server has refused one.
function follow() {
  source = new EventSource(`${state.dataset.events}?seen=${encodeURIComponent(seen)}`);
  source.addEventListener("message", show);
  source.addEventListener("end", () => source.close());
  source.addEventListener("open", () => {
    patience = SOON;
    lost.hidden = true;
  });
  source.addEventListener("error", () => {
    lost.hidden = false;
    if (source.readyState !== EventSource.CLOSED) return;
    window.setTimeout(follow, patience);
    patience = Math.min(2 * patience, LATE);
  });
}

follow();
window.addEventListener("pagehide", () => source.close());
window.addEventListener("pageshow", (event) => {
  if (event.persisted) follow();
});
