// One photo, closely: its probability, its faces, what speaks for and against it, and what is like it.

import { boxes, clear, largest, paint } from "./overlay.js";
import { count, duration, percent, signed, words } from "./words.js";

const byId = (id) => document.getElementById(id);
const overlays = () => [...document.querySelectorAll("input[name=overlay]")];

const CAPTIONS = {
  occlusion: "Blue parts speak for the photo: its score falls where they are covered. Orange parts speak against it.",
  gradient: "How the score would follow each part if it grew a little: blue raises it, orange lowers it.",
};

let shown = null;

/** Shows a photo; called again when more is known of it. `people`: the model knows photos of people only. */
export function show(photo, people) {
  const { result } = photo;
  const same = shown === photo;
  shown = photo;
  byId("detail").hidden = false;
  byId("detail-title").textContent = photo.name;
  const faces = count(result.faces.length, "face", "faces");
  byId("facts").textContent = `${result.width} × ${result.height} pixels · ${faces} · scored in ${duration(photo.ms)}`;
  byId("percent").textContent = percent(result.probability);
  byId("fill").style.width = `${100 * result.probability}%`;
  byId("bar").setAttribute("aria-label", `Probability of being liked: ${percent(result.probability)}; the line is at 50 %.`);
  const stranger = people && result.faces.length === 0;
  byId("words").textContent = stranger ? `No face is found here, and the model knows photos of people only: its number says little. ${words(result.probability)}` : words(result.probability);
  if (!same) {
    const image = byId("photo");
    image.alt = `${photo.name}, with ${faces}`;
    image.src = photo.source;
  }
  boxes(byId("faces"), result);
  byId("show-faces").disabled = result.faces.length === 0;
  maps();
  alike(result.explanation?.alike ?? []);
}

/** Nothing is shown any more. */
export function hide() {
  shown = null;
  byId("detail").hidden = true;
  byId("photo").removeAttribute("src");
}

/** Draws the chosen map, if it is there. */
function maps() {
  const explanation = shown?.result.explanation;
  for (const input of overlays()) {
    input.disabled = input.value === "gradient" && Boolean(explanation) && !explanation.gradient;
    if (input.checked && input.disabled) overlays()[0].checked = true;
  }
  const chosen = overlays().find((input) => input.checked).value;
  const map = explanation?.[chosen];
  const canvas = byId("map");
  map ? paint(canvas, map) : clear(canvas);
  canvas.style.opacity = byId("opacity").value / 100;
  byId("opacity-row").hidden = !map;
  byId("legend").hidden = !map;
  if (map) {
    const most = largest(map);
    byId("legend-low").textContent = `against, ${signed(-most)}`;
    byId("legend-high").textContent = `for, ${signed(most)}`;
  }
  const waits = chosen !== "none" && !map;
  const caption = shown?.trouble ? `No explanation: ${shown.trouble}` : "Looking for what speaks for and against …";
  byId("stage-caption").textContent = waits ? caption : CAPTIONS[chosen] ?? "";
}

/** The photos that are most like this one. */
function alike(photos) {
  byId("alike-section").hidden = photos.length === 0;
  byId("alike").replaceChildren(...photos.map((photo) => {
    const item = document.createElement("li");
    const image = document.createElement("img");
    image.src = photo.thumbnail;
    image.alt = photo.caption || "A photo of the training set";
    const verdict = document.createElement("strong");
    verdict.className = photo.good ? "good" : "poor";
    verdict.textContent = photo.good ? "✓ liked" : "✗ not liked";
    const more = document.createElement("span");
    more.textContent = [photo.caption, `${Math.round(photo.similarity * 100)} % alike`].filter(Boolean).join(" · ");
    item.append(image, verdict, more);
    return item;
  }));
}

overlays().forEach((input) => input.addEventListener("change", maps));
byId("opacity").addEventListener("input", maps);
byId("show-faces").addEventListener("change", (event) => { byId("faces").hidden = !event.target.checked; });

// A file that this browser cannot show (TIFF, or one behind a URL) is shown as the server saw it.
byId("photo").addEventListener("error", () => {
  const preview = shown?.result.preview;
  if (preview && byId("photo").src !== preview) {
    shown.source = preview;
    byId("photo").src = preview;
  }
});
