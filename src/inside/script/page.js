// The page: the layers' pictures, choosing values, the keyboard.
//
// In: clicks, keys, what comes into sight. Out: pictures painted when they are first seen, the story of the
// chosen value.

const sections = [...document.querySelectorAll("section[data-node]")];
/** Each node's view, once built: { top, blob, form, show(plane), focus() }. */
const views = new Map();
/** The chosen value, and those that were left by going down. */
let chosen = null;
const way = [];
/** Number of the story that was asked for last; earlier ones that come late are not told. */
let asked = 0;

/** Chooses value `i` of top `t` of node `n`. */
async function choose(n, t, i, { push = false, reveal = false, focus = false, passing = false, first = false } = {}) {
  if (push && chosen) way.push(chosen);
  const ask = ++asked;
  if (!passing) chosen = { n, t, i };
  const view = await built(n);
  if (ask !== asked) return;
  if (view && view.top !== t) await view.turn(t);
  if (!passing) view?.mark(i);
  if (reveal) {
    // On a phone the panel covers the lower half: what was chosen must be in the upper one.
    const to = narrow.matches ? `#l${n} .large` : `#l${n}`;
    (document.querySelector(to) ?? document.getElementById(`l${n}`)).scrollIntoView({ block: "start" });
    if (focus || push) view?.focus();
  }
  const story = await explain(n, t, i);
  if (ask !== asked) return;
  tellStory(story);
  if (passing) return;
  panel.classList.add("told");
  panel.classList.toggle("folded", first);
  say(`${story.title}, ${where(story.b, i)}: ${num(story.output)}`);
  showOnMap(n);
}
const narrow = matchMedia("(max-width: 48rem)");

/** Follows the chosen value to the input that says most. */
async function descend() {
  if (!chosen) return;
  const { down } = await explain(chosen.n, chosen.t, chosen.i);
  if (!down) return say("This is as far down as it goes.");
  const n = blobs[down.b].producer;
  await choose(n, nodes[n].tops.indexOf(down.b), down.i, { push: true, reveal: true });
}

/** Back to where the last step down began. */
function goBack() {
  const last = way.pop();
  if (last) choose(last.n, last.t, last.i, { reveal: true, focus: true });
}

function say(words) {
  document.getElementById("said").textContent = words;
}

/** The view of a node, built when first wanted; null where it writes nothing. */
const built = once(async (n) => {
  if (nodes[n].tops.length === 0) return null;
  const view = { n, top: 0, plane: 0 };
  views.set(n, view);
  await build(view);
  return view;
});

/** Builds the pictures of one of a node's blobs. */
async function build(view) {
  const { n } = view;
  const b = shown(n, view.top);
  const picture = await painting(b);
  const { planes, h, w, row } = picture;
  const [low, high] = blobs[b].range;
  const shape = layout(b);
  // Where ReLU's values are shown, those that can be followed are its sums'.
  const followed = blobs[b].followed ?? blobs[nodes[n].tops[view.top]].followed ?? [];
  Object.assign(view, { b, picture, followed, plane: row ? 0 : Math.floor(blobs[b].peak / (shape.h * shape.w)), own: false });
  const most = (plane) => {
    if (!view.own) return Math.max(-low, high, 0);
    let m = 0;
    for (let k = 0; k < h * w; k++) m = Math.max(m, Math.abs(picture.at(plane, k)));
    return m;
  };
  const box = document.querySelector(`#l${n} .maps`);
  const large = el("canvas", { width: w, height: h });
  const mark = el("i", { class: "mark", hidden: "" });
  const dots = el("div", { class: "dots" });
  const zoom = el("div", { class: "zoom", tabindex: 0, role: "application", "aria-roledescription": "feature map" }, large, dots, mark);
  zoom.style.aspectRatio = `${w} / ${h}`;
  if (w > 3 * h) zoom.classList.add("flat");
  const label = el("figcaption", {});
  const parts = [];

  let overview = null;
  if (planes > 1) {
    overview = el("canvas", {});
    const ring = el("i", { class: "mark" });
    const tiles = el("div", { class: "tiles", "aria-hidden": "true" }, overview, ring);
    const columns = planes <= 4 ? planes : Math.floor(Math.sqrt(planes * 1.7));
    const gap = Math.max(1, Math.round(w / 24));
    overview.width = columns * (w + gap);
    overview.height = Math.ceil(planes / columns) * (h + gap);
    const at = (plane) => [(plane % columns) * (w + gap), Math.floor(plane / columns) * (h + gap)];
    view.paintAll = () => {
      for (let plane = 0; plane < planes; plane++) {
        paintPlane(overview, ...at(plane), { h, w }, (k) => picture.at(plane, k), most(plane));
      }
    };
    view.ring = () => {
      const [x, y] = at(view.plane);
      Object.assign(ring.style, {
        left: `${(100 * x) / overview.width}%`, top: `${(100 * y) / overview.height}%`,
        width: `${(100 * w) / overview.width}%`, height: `${(100 * h) / overview.height}%`,
      });
    };
    tiles.addEventListener("click", (event) => {
      const area = overview.getBoundingClientRect();
      const column = Math.floor(((event.clientX - area.left) / area.width) * columns);
      const line = Math.floor(((event.clientY - area.top) / area.height) * Math.ceil(planes / columns));
      const plane = line * columns + column;
      if (plane < planes) choose(n, view.top, inPlane(view, plane), {});
    });
    parts.push(el("figure", { class: "overview" }, el("div", { class: "scroll" }, tiles), el("figcaption", {}, `all ${planes} channels`)));
  } else {
    view.paintAll = () => {};
    view.ring = () => {};
  }

  view.show = (plane) => {
    view.plane = plane;
    paintPlane(large, 0, 0, { h, w }, (k) => picture.at(plane, k), most(plane));
    view.ring();
    label.textContent = row ? `${shape.count} values, in rows of ${w}` : b === network.input ? network.sample.colours[plane] : `channel ${plane}`;
    zoom.setAttribute("aria-label", `${nodes[n].name}: ${label.textContent}, ${h} by ${w}. Arrow keys move, Enter goes down.`);
    legend.replaceChildren(...legendOf(most(plane), low < 0));
    dots.replaceChildren(...followed.filter((i) => row || Math.floor(i / (shape.h * shape.w)) === plane).map((i) => {
      const dot = el("i", {});
      const k = i % (shape.h * shape.w);
      Object.assign(dot.style, { left: `${(100 * ((k % shape.w) + 0.5)) / shape.w}%`, top: `${(100 * (Math.floor(k / shape.w) + 0.5)) / shape.h}%` });
      return dot;
    }));
  };
  view.mark = (i) => {
    if (!row) {
      const plane = Math.floor(i / (shape.h * shape.w));
      if (plane !== view.plane) view.show(plane);
    }
    document.querySelectorAll(".zoom > .mark").forEach((other) => (other.hidden = true));
    const k = row ? i : i % (shape.h * shape.w);
    mark.hidden = false;
    Object.assign(mark.style, {
      left: `${(100 * (k % shape.w)) / shape.w}%`, top: `${(100 * Math.floor(k / shape.w)) / shape.h}%`,
      width: `${100 / shape.w}%`, height: `${100 / shape.h}%`,
    });
    view.at = i;
  };
  view.focus = () => zoom.focus({ preventScroll: true });
  view.turn = async (top) => {
    view.top = top;
    await build(view);
  };
  const legend = el("div", { class: "legend" });
  const own = el("label", {}, el("input", { type: "checkbox", onchange: ({ target }) => {
    view.own = target.checked;
    view.paintAll();
    view.show(view.plane);
  } }), "each channel on its own scale");
  const tops = nodes[n].tops.length > 1 && el("label", {}, "output ", el("select", { onchange: ({ target }) => view.turn(Number(target.value)) },
    ...nodes[n].tops.map((top, k) => el("option", { value: k, selected: k === view.top ? "" : null }, blobs[top].name))));
  parts.push(el("figure", { class: "large" }, zoom, label, legend, planes > 1 ? own : null, tops || null));
  box.replaceChildren(...parts, ...(await filtersOf(n, view)), ...(await photoOf(b)));

  const under = (event) => {
    const area = large.getBoundingClientRect();
    const x = Math.min(shape.w - 1, Math.max(0, Math.floor(((event.clientX - area.left) / area.width) * shape.w)));
    const y = Math.min(shape.h - 1, Math.max(0, Math.floor(((event.clientY - area.top) / area.height) * shape.h)));
    const k = y * shape.w + x;
    if (row) return k < shape.count ? k : null;
    return view.plane * shape.h * shape.w + near(view, k, event);
  };
  // A mouse that passes over shows; a click, a tap or a key chooses.
  let frame = 0;
  zoom.addEventListener("pointermove", (event) => {
    if (event.pointerType !== "mouse" || frame) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      const i = under(event);
      if (i !== null) choose(n, view.top, i, { passing: true });
    });
  });
  zoom.addEventListener("pointerleave", () => {
    cancelAnimationFrame(frame);
    frame = 0;
    if (chosen) choose(chosen.n, chosen.t, chosen.i);
  });
  zoom.addEventListener("click", (event) => {
    const i = under(event);
    if (i !== null) choose(n, view.top, i);
  });
  zoom.addEventListener("focus", () => {
    if (chosen?.n !== n) choose(n, view.top, view.at ?? blobs[b].peak);
  });
  zoom.addEventListener("keydown", (event) => moveBy(event, view, shape));
  view.paintAll();
  view.show(view.plane);
  if (chosen?.n === n && chosen.t === view.top) view.mark(chosen.i);
}

/** The value to begin with in a plane: its largest, or the first that can be followed. */
function inPlane(view, plane) {
  const { h, w } = size(view.b);
  const first = plane * h * w;
  const followed = view.followed.find((i) => Math.floor(i / (h * w)) === plane);
  if (followed !== undefined) return followed;
  const { picture } = view;
  let best = 0;
  for (let k = 1; k < picture.h * picture.w; k++) if (picture.at(plane, k) > picture.at(plane, best)) best = k;
  const [y, x] = [Math.floor(best / picture.w) * picture.step, (best % picture.w) * picture.step];
  return first + Math.min(y, h - 1) * w + Math.min(x, w - 1);
}

/** In a picture of which only some values are there: the one near the pointer, if any. */
function near(view, k) {
  if (!blobs[view.b].some) return k;
  const { h, w } = size(view.b);
  const apart = (i) => Math.hypot((i % w) - (k % w), (Math.floor(i / w) % h) - Math.floor(k / w));
  const best = strongest(view.followed.filter((i) => Math.floor(i / (h * w)) === view.plane), (i) => -apart(i));
  return best !== null && apart(best) <= w / 20 ? best % (h * w) : k;
}

/** Arrows move the value, Page keys the channel, Enter goes down, Escape back. */
function moveBy(event, view, { planes, h, w, row, count }) {
  const i = chosen?.n === view.n ? chosen.i : blobs[view.b].peak;
  const k = row ? i : i % (h * w);
  const plane = row ? 0 : Math.floor(i / (h * w));
  let [y, x, p] = [Math.floor(k / w), k % w, plane];
  switch (event.key) {
    case "ArrowLeft": x = Math.max(x - 1, 0); break;
    case "ArrowRight": x = Math.min(x + 1, w - 1); break;
    case "ArrowUp": y = Math.max(y - 1, 0); break;
    case "ArrowDown": y = Math.min(y + 1, h - 1); break;
    case "PageUp": p = Math.max(p - 1, 0); break;
    case "PageDown": p = Math.min(p + 1, planes - 1); break;
    case "Home": [y, x] = [0, 0]; break;
    case "End": [y, x] = [h - 1, w - 1]; break;
    case "Enter": event.preventDefault(); descend(); return;
    default: return;
  }
  event.preventDefault();
  const to = row ? Math.min(y * w + x, count - 1) : (p * h + y) * w + x;
  choose(view.n, view.top, to);
}

/** The scale of colours, from the least to the most. */
function legendOf(most, signed) {
  const bar = el("canvas", { width: 128, height: 1 });
  paint(bar, 0, 0, 1, 128, (k) => {
    const [table, c] = shade(signed ? ((2 * k) / 127 - 1) * most : (k / 127) * most, most);
    return [table[c], table[c + 1], table[c + 2]];
  });
  return [el("span", {}, signed ? num(-most) : "0"), bar, el("span", {}, num(most))];
}

/** The filters of a layer that reads the photo, in the photo's colours. */
async function filtersOf(n, view) {
  const { op, bottoms, tops } = nodes[n];
  if (op.is !== "conv" || bottoms[0] !== network.input || op.group !== 1 || op.weights.whole === undefined) return [];
  const all = await floats(op.weights.whole);
  const [kh, kw] = op.kernel;
  const area = kh * kw;
  const order = ["red", "green", "blue"].map((colour) => network.sample.colours.indexOf(colour));
  const columns = Math.max(1, Math.floor(Math.sqrt(op.filters * 2.2)));
  const lines = Math.ceil(op.filters / columns);
  const canvas = el("canvas", { width: columns * (kw + 1), height: lines * (kh + 1), role: "img", "aria-label": `the ${op.filters} filters of ${nodes[n].name}, in colour` });
  for (let f = 0; f < op.filters; f++) {
    const filter = all.subarray(f * 3 * area, (f + 1) * 3 * area);
    const most = filter.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30);
    const point = (k) => order.map((c) => 127.5 + (127.5 * filter[c * area + k]) / most);
    paint(canvas, (f % columns) * (kw + 1), Math.floor(f / columns) * (kh + 1), kh, kw, point);
  }
  canvas.addEventListener("click", (event) => {
    const area = canvas.getBoundingClientRect();
    const f = Math.floor(((event.clientY - area.top) / area.height) * lines) * columns + Math.floor(((event.clientX - area.left) / area.width) * columns);
    if (f < size(tops[0]).planes) choose(n, 0, inPlane(view, f));
  });
  return [el("figure", { class: "filters" }, canvas, el("figcaption", {}, `its ${op.filters} filters, in the photo’s colours: gray is weight 0`))];
}

/** The prepared photo, beside its planes. */
async function photoOf(b) {
  if (b !== network.input) return [];
  const { h, w } = size(b);
  const canvas = el("canvas", { width: w, height: h, role: "img", "aria-label": "the prepared photo" });
  paint(canvas, 0, 0, h, w, await pixels());
  return [el("figure", { class: "prepared" }, canvas, el("figcaption", {}, `the prepared photo, ${h} × ${w}; the network gets its colours in the order ${network.sample.colours.join(", ")}`))];
}

/** Marks a layer on the map, and brings it into the map's sight. */
function showOnMap(n) {
  const links = document.querySelectorAll("#map a");
  links.forEach((link) => {
    const here = Number(link.dataset.to) === n;
    link.classList.toggle("here", here);
    link.setAttribute("tabindex", here ? 0 : -1);
    if (here) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  });
  const scroll = document.querySelector("#way .scroll");
  const box = links[n]?.querySelector("rect");
  if (!scroll || !box) return;
  scroll.scrollTop = box.y.baseVal.value - scroll.clientHeight / 2;
  scroll.scrollLeft = box.x.baseVal.value + 52 - scroll.clientWidth / 2;
}

document.getElementById("map").addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link) return;
  event.preventDefault();
  visit(Number(link.dataset.to));
});
document.getElementById("map").addEventListener("keydown", (event) => {
  const link = event.target.closest("a");
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!link || !step) return;
  event.preventDefault();
  const next = document.querySelector(`#map a[data-to="${Number(link.dataset.to) + step}"]`);
  if (next) {
    showOnMap(Number(next.dataset.to));
    next.focus();
  }
});

/** Goes to a layer and chooses its strongest value. */
async function visit(n) {
  if (nodes[n].tops.length === 0) return document.getElementById(`l${n}`).scrollIntoView();
  await choose(n, 0, blobs[shown(n, 0)].peak, { reveal: true, focus: true });
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") goBack();
});
dark.addEventListener("change", () => {
  colours = tables();
  for (const view of views.values()) {
    view.paintAll?.();
    view.show?.(view.plane);
  }
  if (chosen) choose(chosen.n, chosen.t, chosen.i);
});

const sight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    sight.unobserve(target);
    built(Number(target.dataset.node));
  }
}, { rootMargin: "600px" });
sections.forEach((section) => sight.observe(section));

// The first story is that of the layer in the address, or of what the network says.
const { best } = network;
const wanted = Number(location.hash.match(/^#l(\d+)$/)?.[1] ?? -1);
if (wanted in nodes) visit(wanted);
else if (best) choose(blobs[best.blob].producer, nodes[blobs[best.blob].producer].tops.indexOf(best.blob), best.index, { first: true });
