// The page: photos in, a ranking out. Each photo is sent by itself, some at once, so that results appear as they come and one
// broken file spoils no other. What speaks for a photo takes longer, and is asked for when the photo is looked at.

import { camera } from "./camera.js";
import { hide, show } from "./detail.js";
import { count, duration, percent } from "./words.js";

const AT_ONCE = 4;
const TRIES = 8;

const byId = (id) => document.getElementById(id);
const state = { photos: [], chosen: null, limits: null };

/** Calls the server; told to come again, it does. */
async function ask(photo, query) {
  for (let tries = 1; ; tries++) {
    const sent = { method: "POST" };
    if (photo.url) {
      sent.headers = { "Content-Type": "application/json" };
      sent.body = JSON.stringify({ url: photo.url });
    } else {
      sent.body = new FormData();
      sent.body.append("photo", photo.file, photo.name);
    }
    let response;
    try {
      response = await fetch(`/api/v1/score?${query}`, sent);
    } catch {
      throw new Error("The server cannot be reached.");
    }
    const waits = response.status === 429 && tries < TRIES;
    if (waits) {
      const seconds = Number(response.headers.get("Retry-After")) || 1;
      await new Promise((done) => setTimeout(done, 1000 * seconds));
      continue;
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(answer.error?.message ?? `The server answered ${response.status}.`);
    return answer;
  }
}

/** Takes photos in, and shows their results as they come. */
async function add(photos) {
  if (photos.length === 0) return;
  photos.forEach((photo) => state.photos.push(photo));
  say(`Scoring ${count(photos.length, "photo", "photos")} …`);
  render();
  const waiting = [...photos];
  const work = async () => {
    for (let photo = waiting.shift(); photo; photo = waiting.shift()) await score(photo);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  conclude(photos);
}

async function score(photo) {
  try {
    const bytes = state.limits?.bytes;
    if (photo.file && bytes && photo.file.size > bytes) {
      throw new Error(`The file has more than ${Math.floor(bytes / 1e6)} MB.`);
    }
    const answer = await ask(photo, photo.shows ? "" : "preview=1");
    photo.result = answer.results[0];
    photo.ms = answer.time_ms;
    photo.source ??= photo.result.preview;
  } catch (error) {
    photo.error = error.message;
  }
  render();
}

/** Asks why a photo has its score, once. */
async function explain(photo) {
  if (photo.asked || !photo.result) return;
  photo.asked = true;
  try {
    const answer = await ask(photo, "explain=1");
    photo.result.explanation = answer.results[0].explanation;
  } catch (error) {
    photo.trouble = error.message;
  }
  if (state.chosen === photo) show(photo, state.people);
}

function choose(photo) {
  state.chosen = photo;
  show(photo, state.people);
  render();
  explain(photo);
}

const scored = () => state.photos.filter((photo) => photo.result)
  .sort((a, b) => b.result.probability - a.result.probability);

/** Says what came of it, and shows the best one. */
function conclude(photos) {
  const best = scored()[0];
  const failed = photos.filter((photo) => photo.error).length;
  if (failed === photos.length) {
    const why = photos[0].error;
    return say(failed === 1 ? why : `None of the ${failed} photos could be scored: ${why}`, true);
  }
  const trouble = failed ? ` ${count(failed, "photo", "photos")} could not be scored.` : "";
  const time = photos.reduce((sum, photo) => sum + (photo.ms ?? 0), 0);
  say(`Done: ${count(photos.length - failed, "photo", "photos")} in ${duration(time)}.${trouble}`);
  choose(best);
}

/** Draws the ranking. */
function render() {
  const ranked = scored();
  const failed = state.photos.filter((photo) => photo.error);
  const waiting = state.photos.filter((photo) => !photo.result && !photo.error);
  byId("results").hidden = state.photos.length === 0;
  document.body.classList.toggle("busy", state.photos.length > 0);
  byId("results-title").textContent = ranked.length > 1 ? "Ranking" : "Result";
  byId("verdict").textContent = verdict(ranked);
  const list = byId("ranking");
  list.classList.toggle("has-errors", failed.length + waiting.length > 0);
  list.parentElement.classList.toggle("single", state.photos.length < 2);
  const focused = list.contains(document.activeElement) ? document.activeElement.photo : null;
  const entries = [
    ...ranked.map((photo, place) => entry(photo, place + 1)),
    ...waiting.map((photo) => entry(photo)),
    ...failed.map((photo) => entry(photo)),
  ];
  list.replaceChildren(...entries);
  if (focused) [...list.querySelectorAll("button")].find((button) => button.photo === focused)?.focus();
}

function verdict(ranked) {
  if (ranked.length < 2) return "";
  const [first, second] = ranked.map((photo) => photo.result.probability);
  const close = first - second < 0.03 ? " It is a close call." : "";
  return `Post “${ranked[0].name}”: it is the most likely of the ${ranked.length} to be liked.${close}`;
}

/** A line of the ranking. */
function entry(photo, place) {
  const item = document.createElement("li");
  const box = document.createElement(photo.result ? "button" : "div");
  box.className = photo.error ? "entry failed" : "entry";
  const picture = document.createElement(photo.source && !photo.error ? "img" : "div");
  picture.className = "blank";
  if (photo.source && !photo.error) Object.assign(picture, { src: photo.source, alt: "", className: "" });
  const text = part("span", "text");
  text.append(...(place && state.photos.length > 1 ? [part("span", "place", `No. ${place}`)] : []), part("span", "name", photo.name));
  box.append(picture, text);
  if (photo.error) text.append(part("span", "why", photo.error));
  if (!photo.result && !photo.error) text.append(part("span", "name", "Scoring …"));
  if (photo.result) {
    box.type = "button";
    box.photo = photo;
    box.setAttribute("aria-current", String(photo === state.chosen));
    box.addEventListener("click", () => {
      choose(photo);
      // Where the ranking stands above the photo, the photo may be out of sight.
      if (matchMedia("(max-width: 52rem)").matches) byId("detail").scrollIntoView();
    });
    const mini = part("span", "mini");
    const fill = part("span", "");
    fill.style.width = `${100 * photo.result.probability}%`;
    mini.append(fill);
    box.append(part("span", "share", percent(photo.result.probability)), mini);
  }
  item.append(box);
  return item;
}

function part(tag, name, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  element.textContent = text;
  return element;
}

function say(text, bad = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("bad", bad);
}

/** Photos from files. What this browser cannot show, the server will. */
const fromFiles = (files) => [...files].map((file) => {
  const shows = /^image\/(jpeg|png|webp|gif|bmp)$/.test(file.type);
  return { name: file.name || "photo", file, shows, source: shows ? URL.createObjectURL(file) : null };
});

const fromUrl = (url) => ({ name: url.split(/[?#]/)[0].split("/").pop() || url, url, shows: false, source: null });

// Where photos come from.
byId("files").addEventListener("change", (event) => {
  const photos = fromFiles(event.target.files);
  event.target.value = "";
  add(photos);
});
byId("url-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const url = byId("url").value.trim();
  byId("url").value = "";
  add([fromUrl(url)]);
});
camera((file) => add(fromFiles([file])));

const drop = byId("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) drop.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  add(fromFiles(event.dataTransfer.files));
});
document.addEventListener("paste", (event) => {
  const files = event.clipboardData.files;
  const text = event.clipboardData.getData("text").trim();
  if (files.length) {
    event.preventDefault();
    add(fromFiles(files));
  } else if (!event.target.matches?.("input") && state.limits?.urls && /^https?:\/\/\S+$/.test(text)) {
    event.preventDefault();
    add([fromUrl(text)]);
  }
});
byId("clear").addEventListener("click", () => {
  state.photos.forEach((photo) => { if (photo.file && photo.shows) URL.revokeObjectURL(photo.source); });
  Object.assign(state, { photos: [], chosen: null });
  hide();
  render();
  say("");
  byId("files").focus();
});

// What this server allows, and whom it asks.
fetch("/api/v1/about").then((response) => response.json()).then(({ model, limits }) => {
  state.limits = limits;
  state.people = model.people;
  byId("url-form").hidden = !limits.urls;
  const from = [model.photos && `${model.photos.toLocaleString("en")} photos`, model.trained_on].filter(Boolean).join(", ");
  const facts = [model.model && `Model: ${model.model}`, model.features, from && `learnt from ${from}`, model.quality];
  byId("about").prepend(`${facts.filter(Boolean).join("; ")}. `);
  byId("caveat").textContent = model.caveat;
  byId("caveat").hidden = !model.caveat;
}).catch(() => say("The server cannot be reached.", true));
