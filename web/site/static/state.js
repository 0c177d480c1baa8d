// Follows uploads live: the server sends the parts of the page that have changed.
"use strict";

const state = document.getElementById("state");
const said = document.getElementById("said");
const source = new EventSource(state.dataset.events);

function replace(id, html) {
  const old = document.getElementById(id);
  const made = document.createRange().createContextualFragment(html).firstElementChild;
  if (!old || !made) return;
  const focused = old.contains(document.activeElement);
  old.replaceWith(made);
  if (focused) (made.querySelector("a, button") || document.getElementById("main")).focus();
}

source.addEventListener("message", (event) => {
  const news = JSON.parse(event.data);
  for (const [id, html] of Object.entries(news.parts)) replace(id, html);
  if (news.say) said.textContent = news.say;
});
source.addEventListener("end", () => source.close());
source.addEventListener("error", () => {
  if (source.readyState === EventSource.CLOSED) said.textContent = state.dataset.lost;
});
window.addEventListener("pagehide", () => source.close());
