// A training, followed by server-sent events.

import { draw, short } from "./curves.js";
import { percent } from "./words.js";

// More points than this are thinned to half: a screen shows no more.
const MOST = 4000;

const byId = (id) => document.getElementById(id);
const state = { iterations: [], tests: [] };

/** A number of the log: what JSON has no word for comes as a string. */
const number = (value) => (typeof value === "number" ? value : Number.NaN);

function take(records) {
  for (const record of records) (record.test === undefined ? state.iterations : state.tests).push(record);
  if (state.iterations.length > MOST) state.iterations = state.iterations.filter((_, at) => at % 2 === 0);
  render();
}

function render() {
  const last = state.iterations.at(-1);
  const test = state.tests.filter((one) => one.test === 0).at(-1);
  byId("live").hidden = !last && !test;
  if (last) {
    byId("iter").textContent = String(last.iter);
    byId("loss").textContent = short(number(last.smoothed));
    byId("rate").textContent = short(number(last.lr));
    byId("speed").textContent = number(last.images_per_s) > 0 ? String(Math.round(last.images_per_s)) : "–";
  }
  if (test) {
    byId("test").textContent = Object.entries(test.outputs).map(([name, value]) => `${name} ${short(number(value))}`).join(", ");
  }
  const by = (list, value) => list.map((one) => [one.iter, number(value(one))]);
  draw(byId("loss-curve"), [
    { points: by(state.iterations, (one) => one.loss), thin: true },
    { points: by(state.iterations, (one) => one.smoothed) },
  ]);
  draw(byId("rate-curve"), [{ points: by(state.iterations, (one) => one.lr) }], true);
  const tests = state.tests.filter((one) => one.test === 0);
  const names = [...new Set(tests.flatMap((one) => Object.keys(one.outputs)))].slice(0, 3);
  byId("test-curve").hidden = tests.length === 0;
  byId("test-caption").textContent = tests.length === 0 ? "No test yet." : `Tests by iteration: ${names.join(", ")}.`;
  draw(byId("test-curve"), names.map((name) => ({ points: by(tests, (one) => one.outputs[name]), dots: true })));
  const told = last && `iteration ${last.iter}, smoothed loss ${short(number(last.smoothed))}`;
  if (told) byId("loss-curve").setAttribute("aria-label", `Loss by iteration; now ${told}`);
}

const picture = (base64) => `data:image/png;base64,${base64}`;

function look({ iter, filters, wrong, batch, errors }) {
  byId("filters-section").hidden = !filters;
  if (filters) {
    byId("filters").src = picture(filters);
    byId("filters").alt = `The filters of the first convolution after ${iter} iterations`;
  }
  byId("wrong-section").hidden = batch === 0;
  byId("wrong-count").textContent = `Of the last ${batch} photos it gets ${errors} wrong. Those whose label it holds for least likely:`;
  byId("wrong").replaceChildren(...wrong.map((one) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = picture(one.photo);
    image.alt = `A photo of class ${one.label}`;
    const guess = document.createElement("strong");
    guess.className = "poor";
    guess.textContent = `taken for class ${one.guess}`;
    const truth = document.createElement("span");
    truth.textContent = `is class ${one.label}, held for ${percent(one.probability)} likely`;
    item.append(image, guess, truth);
    return item;
  }));
}

function say(text) {
  if (byId("status").textContent !== text) byId("status").textContent = text;
}

async function follow() {
  // An EventSource does not say why it fails.
  const there = await fetch("/api/v1/about").then((response) => response.json()).catch(() => null);
  if (there && !there.training) {
    byId("none").hidden = false;
    say("");
    return;
  }
  const events = new EventSource("/api/v1/training");
  events.addEventListener("open", () => {
    // Whoever comes back is told everything again.
    Object.assign(state, { iterations: [], tests: [] });
    say("Following.");
  });
  events.addEventListener("error", () => say("The server cannot be reached; trying again."));
  events.addEventListener("restart", () => Object.assign(state, { iterations: [], tests: [] }));
  events.addEventListener("records", (event) => take(JSON.parse(event.data)));
  events.addEventListener("look", (event) => look(JSON.parse(event.data)));
}

window.addEventListener("resize", render);
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
follow();
