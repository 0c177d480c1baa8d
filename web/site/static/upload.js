// Sends the chosen pictures straight to the store, and shows how far they are. Without it the form works by itself.
"use strict";

const form = document.getElementById("upload");
const texts = form.dataset;
const drop = document.getElementById("drop");
const inputs = [document.getElementById("pictures"), document.getElementById("camera")];
const list = document.getElementById("files");
const problem = document.getElementById("problem");
const sent = document.getElementById("sent");
const progress = document.getElementById("progress");
const button = form.querySelector("button[type=submit]");
let chosen = [];

document.documentElement.classList.add("has-script");

function complain(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

function add(files) {
  complain("");
  for (const file of files) {
    if (file.size > Number(texts.maxBytes)) complain(`${file.name} ${texts.tooLarge}`);
    else if (chosen.length >= Number(texts.mostFiles)) complain(texts.tooMany);
    else chosen.push({ file });
  }
  show();
}

function show() {
  list.replaceChildren(...chosen.map(row));
  list.hidden = chosen.length === 0;
}

function row(entry) {
  const item = document.createElement("li");
  const name = document.createElement("bdi");
  name.textContent = entry.file.name;
  entry.bar = document.createElement("progress");
  entry.bar.max = 1;
  entry.bar.value = 0;
  entry.bar.hidden = true;
  entry.bar.setAttribute("aria-label", `${texts.sending}: ${entry.file.name}`);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "link";
  remove.textContent = texts.remove;
  remove.setAttribute("aria-label", `${texts.remove}: ${entry.file.name}`);
  remove.addEventListener("click", () => {
    chosen = chosen.filter((other) => other !== entry);
    show();
    inputs[0].focus();
  });
  entry.remove = remove;
  item.append(name, entry.bar, remove);
  return item;
}

async function leave() {
  const email = form.elements.email.value.trim();
  const body = {
    form: form.elements.form.value,
    names: chosen.map((entry) => entry.file.name),
    email,
    language: form.elements.language.value,
  };
  const answer = await fetch("/uploads/grants", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "application/json" },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error([told.about && `${told.about}:`, told.headline, told.advice].filter(Boolean).join(" "));
  return told;
}

function send(entry, { method, url, fields }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.setRequestHeader("Accept", "application/json");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) entry.bar.value = event.loaded / event.total;
    });
    request.addEventListener("load", () => {
      if (request.status >= 200 && request.status < 300) return resolve();
      let told = {};
      try {
        told = JSON.parse(request.responseText);
      } catch {
        told = {};
      }
      const why = [told.headline, told.advice].filter(Boolean).join(" ");
      return reject(new Error(why ? `${entry.file.name}: ${why}` : `${entry.file.name} ${texts.broken}`));
    });
    request.addEventListener("error", () => reject(new Error(`${entry.file.name} ${texts.broken}`)));
    let body = entry.file;
    if (method === "POST") {
      body = new FormData();
      for (const [name, value] of Object.entries(fields)) body.append(name, value);
      body.append("file", entry.file, "picture");
    }
    request.send(body);
  });
}

async function sendOne(entry, place) {
  entry.bar.hidden = false;
  entry.remove.hidden = true;
  progress.textContent = `${texts.sending}: ${entry.file.name}`;
  try {
    await send(entry, place);
    entry.bar.value = 1;
  } catch (error) {
    return error.message;
  }
  return "";
}

// What has been sent leaves the list, so that sending again sends the rest only.
async function sendAll() {
  const told = await leave();
  const left = [];
  const problems = [];
  for (const [index, entry] of chosen.entries()) {
    const wrong = await sendOne(entry, told.files[index]);
    if (wrong) problems.push(wrong);
    if (wrong) left.push(entry);
  }
  if (left.length === 0) {
    window.location.assign(told.page);
    return;
  }
  if (left.length < chosen.length) {
    sent.querySelector("a").href = told.page;
    sent.hidden = false;
  }
  chosen = left;
  throw new Error(problems.join(" "));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (chosen.length === 0) {
    complain(texts.none);
    inputs[0].focus();
    return;
  }
  complain("");
  button.disabled = true;
  try {
    await sendAll();
  } catch (error) {
    complain(error.message);
    progress.textContent = "";
    show();
    button.disabled = false;
    button.focus();
  }
});

for (const input of inputs) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = "";
  });
}

for (const name of ["dragenter", "dragover"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", (event) => {
  if (!drop.contains(event.relatedTarget)) drop.classList.remove("over");
});
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData && event.clipboardData.files.length) add(event.clipboardData.files);
});

const email = form.elements.email;
email.addEventListener("input", () => {
  const known = email.dataset.known !== "" && email.value.trim().toLowerCase() === email.dataset.known.toLowerCase();
  document.getElementById("address-known").hidden = !known;
  document.getElementById("address-new").hidden = known;
});
