// The panel: how the chosen value came about.
//
// In: a story (explain.js). Out: elements. For machines the panel carries data-output, data-sum, data-bias and
// data-rest, and each product that is shown data-product: the products, the bias and the rest add up to the sum,
// which is the output, or after ReLU becomes it.

/** How many channels are open, and products in a list, before more are asked for. */
const OPEN = 3;
const LISTED = 16;

const panel = document.getElementById("panel");
/** Channels that the reader opened or closed, for the value that is shown. */
let opened = null;

/** Shows a story. `keep` leaves the channels open that were. */
function tellStory(story, { keep = false } = {}) {
  const { n, b, i, output } = story;
  if (!keep) opened = null;
  const title = el("h2", { tabindex: -1 }, story.title, " ", el("span", {}, where(b, i)));
  const value = el("p", { class: "value" }, el("output", {}, num(output)));
  const body = story.missing ? absent(story) : (bodies[story.kind] ?? (() => []))(story);
  const from = story.down && el("button", { class: "down", onclick: () => descend() }, "To its strongest input", el("kbd", {}, "Enter"));
  const back = el("button", { class: "back", onclick: () => goBack() }, "Back", el("kbd", {}, "Esc"));
  back.disabled = way.length === 0;
  const fold = el("button", { class: "fold", "aria-label": "Fold this panel", onclick: () => panel.classList.toggle("folded") });
  const { picture, words } = seen(story);
  panel.replaceChildren(
    fold, el("div", { class: "top" }, el("div", {}, title, value), picture), el("p", { class: "hint" }, words),
    el("p", { class: "steps" }, from, back), ...body,
  );
  Object.assign(panel.dataset, { node: n, index: i, output: output ?? "" });
  for (const name of ["sum", "bias", "rest", "relu"]) delete panel.dataset[name];
  if (story.kind === "sum" && !story.missing) {
    const shownSum = [...panel.querySelectorAll("[data-product]")].reduce((sum, e) => sum + Number(e.dataset.product), 0);
    const rest = restOf(story);
    const sum = shownSum + (story.bias ?? 0) + rest;
    Object.assign(panel.dataset, { sum, bias: story.bias ?? 0, rest });
    if (story.relu !== null) panel.dataset.relu = story.relu;
  }
}

const absent = () => [
  el("p", { class: "note" }, "What made this value is not in this page, for its size. Values that can be followed are marked by dots in the large picture."),
];

/** The part of the photo that a value depends on: a picture of it, and in words. */
function seen({ b, i }) {
  const photo = document.getElementById("photo");
  const box = el("div", { class: "seen" }, el("img", { src: photo.src, alt: "" }));
  const [top, left, height, width] = network.crop;
  const mark = (name, y, x, h, w) => {
    const made = el("i", { class: name });
    Object.assign(made.style, { top: `${100 * y}%`, left: `${100 * x}%`, height: `${100 * h}%`, width: `${100 * w}%` });
    box.append(made);
  };
  mark("crop", top, left, height, width);
  const rectangle = field(b, i);
  const input = size(network.input);
  let words = "This value does not depend on the photo.";
  if (rectangle) {
    const [[y0, y1], [x0, x1]] = rectangle;
    const [h, w] = [y1 - y0 + 1, x1 - x0 + 1];
    mark("field", top + (height * y0) / input.h, left + (width * x0) / input.w, (height * h) / input.h, (width * w) / input.w);
    words = h === input.h && w === input.w
      ? `It sees the whole input, ${h} × ${w} pixels.`
      : h * w === 1 ? `It comes from one pixel: row ${y0}, column ${x0}.`
      : `It sees ${h} × ${w} pixels of the input: rows ${y0} to ${y1}, columns ${x0} to ${x1}.`;
    panel.dataset.field = [y0, y1, x0, x1].join(" ");
  } else delete panel.dataset.field;
  return { picture: box, words };
}

/** The groups whose products are shown one by one. */
function openGroups(story) {
  if (opened) return story.groups.filter(({ plane }) => opened.has(plane));
  const listed = story.kernel[0] * story.kernel[1] === 1;
  const most = listed ? story.groups.length : Math.max(OPEN, 0);
  const order = [...story.groups].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  return order.slice(0, most);
}

/** Products that are shown one by one. */
function shownTerms(story) {
  const terms = openGroups(story).flatMap(({ terms }) => terms);
  if (story.kernel[0] * story.kernel[1] > 1) return terms;
  const order = terms.filter(({ index }) => index >= 0).sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  return order.slice(0, story.listed ?? LISTED);
}

/** The sum of the products that are not shown one by one. */
function restOf(story) {
  const shown = new Set(shownTerms(story));
  const left = story.groups.flatMap(({ terms }) => terms.filter((term) => !shown.has(term)));
  return left.reduce((sum, { product }) => sum + product, story.rest);
}

const bodies = {
  sum(story) {
    const again = () => tellStory(story, { keep: true });
    const rest = restOf(story);
    const left = story.groups.reduce((n, { terms }) => n + terms.length, story.others) - shownTerms(story).length;
    const part = (name, v, kind) => el("div", { class: kind }, el("dt", {}, name), el("dd", {}, num(v)));
    const products = story.groups.reduce((sum, group) => sum + group.sum, story.rest);
    const equation = el("dl", { class: "equation" },
      part("products", products), story.bias === null || story.bias === undefined ? null : part("bias", story.bias),
      part(story.relu === null ? "sum" : "sum before ReLU", story.sum, "result"),
      story.relu === null ? null : part("after ReLU", story.sum > 0 ? story.sum : story.relu * story.sum, "result"));
    const list = story.kernel[0] * story.kernel[1] === 1 || story.branches;
    return [
      equation,
      ...(list ? listed(story, again) : windows(story, again)),
      left > 0 ? el("p", { class: "rest" }, `${left} other products, together `, el("b", {}, num(rest))) : null,
    ].filter(Boolean);
  },

  pick(story) {
    const { terms, winner, kernel, bottom } = story;
    const most = Math.max(...terms.map(({ x }) => Math.abs(x)));
    const words = el("p", {}, `The largest of ${terms.length}: `, el("b", {}, num(winner.x)), ", in ", named(winner.b ?? bottom, winner.index), ".");
    if (kernel[0] * kernel[1] === 1) return [words];
    return [words, el("div", { class: "triple" }, grid("window", terms, kernel, ({ x }) => x, most, { winner }))];
  },

  steps({ lines = [], steps, drop, b, i, pixel }) {
    const parts = [];
    if (lines.length) {
      parts.push(el("table", {}, el("tbody", {}, ...lines.map(({ name, value, then, share, here }) => {
        const bar = el("i", {});
        bar.style.width = `${100 * (share ?? 0)}%`;
        return el("tr", { class: here ? "here" : null }, el("th", { scope: "row" }, name), el("td", {}, num(value)), el("td", {}, then, share === undefined ? null : el("span", { class: "share" }, bar)));
      }))));
    }
    parts.push(el("dl", { class: "equation" }, ...steps.map(({ name, value, result }) =>
      el("div", { class: result ? "result" : null }, el("dt", {}, name), value === undefined ? null : el("dd", {}, num(value))))));
    const result = steps.find(({ result }) => result);
    if (result) parts.push(el("span", { hidden: "", "data-result": result.value }));
    if (drop !== undefined) parts.push(mask(b, i, drop));
    if (pixel !== undefined) parts.push(swatch(pixel));
    return parts;
  },

  moved: ({ down }) => [el("p", {}, "The same value as in ", named(down.b, down.i), ".")],
};

/** A value's layer and place, as a link to it. */
function named(b, i) {
  const node = blobs[b].producer;
  return el("button", { class: "link", onclick: () => choose(node, nodes[node].tops.indexOf(b), i, { push: true, reveal: true }) },
    `${nodes[node].name}, ${where(b, i)}`);
}

/** A grid of numbers, `kernel` large. Cells of products carry them for machines. */
function grid(name, terms, [kh, kw], of, most, { product = false, winner = null } = {}) {
  const cells = el("div", { class: "grid", role: "img", "aria-label": `${name}: ${terms.map((term) => num(of(term))).join(", ")}` });
  cells.style.gridTemplateColumns = `repeat(${kw}, 1fr)`;
  const at = new Map(terms.map((term) => [term.ky * kw + term.kx, term]));
  for (let k = 0; k < kh * kw; k++) {
    const term = at.get(k);
    const v = term && of(term);
    const cell = el("span", {
      title: term ? (term.index < 0 && !product ? `padding: ${num(v)}` : num(v)) : "outside",
      class: !term || term.index < 0 ? "pad" : term === winner ? "winner" : null,
      "data-product": product && term ? v : null,
    }, term && kw <= 3 && kh <= 3 ? num2(v) : "");
    if (term) Object.assign(cell.style, { background: css(v, most), color: ink(v, most) });
    cells.append(cell);
  }
  return el("figure", { class: kw > 5 ? "many" : null }, cells, el("figcaption", {}, name));
}

/** A number with two digits that count, for cells: 1100 as 1.1k, 0.25 as .25. */
function num2(v) {
  const size = Math.abs(v);
  const two = (v) => String(Number(v.toPrecision(2)));
  if (size >= 1e6 || (size > 0 && size < 0.01)) return v.toExponential(0).replace("e+", "e").replace(/-/g, "−");
  return (size >= 1000 ? `${two(v / 1000)}k` : two(v)).replace("-", "−").replace(/^(−?)0\./, "$1.");
}

/** The cross-section: what each channel adds, and of open channels each product. */
function windows(story, again) {
  const open = openGroups(story);
  const isOpen = new Set(open.map(({ plane }) => plane));
  const groups = [...story.groups].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const most = Math.max(...groups.map(({ sum }) => Math.abs(sum)), 1e-30);
  const planes = size(story.bottom).planes;
  const name = (plane) => story.branches ? nodes[blobs[story.groups[plane].terms[0].b].producer].name
    : story.bottom === network.input ? network.sample.colours[plane] : planes > 1 ? `channel ${plane}` : "inputs";
  const toggle = (plane) => {
    opened = new Set(isOpen);
    if (!opened.delete(plane)) opened.add(plane);
    again();
    panel.querySelector(`[data-plane="${plane}"]`)?.focus();
  };
  const bars = el("div", { class: "bars", role: "group", "aria-label": "What each input channel adds" },
    ...groups.map(({ plane, sum }) => {
      const bar = el("i", {});
      Object.assign(bar.style, { width: `${(50 * Math.abs(sum)) / most}%`, background: css(sum, most), [sum < 0 ? "right" : "left"]: "50%" });
      return el("button", { "aria-pressed": isOpen.has(plane), "data-plane": plane, "data-subtotal": sum, onclick: () => toggle(plane) },
        el("span", {}, name(plane)), el("em", {}, bar), el("b", {}, num(sum)));
    }));
  const largest = (of) => Math.max(...story.groups.flatMap(({ terms }) => terms.map((term) => Math.abs(of(term)))), 1e-30);
  const [x, w, p] = [largest(({ x }) => x), largest(({ w }) => w), largest(({ product }) => product)];
  const triples = open.map(({ plane, terms, sum }) => el("div", { class: "channel" },
    el("h3", {}, name(plane), el("b", {}, num(sum))),
    el("div", { class: "triple" },
      grid("input", terms, story.kernel, (term) => term.x, x), el("span", {}, "×"),
      grid("weights", terms, story.kernel, (term) => term.w, w), el("span", {}, "="),
      grid("products", terms, story.kernel, (term) => term.product, p, { product: true }))));
  const several = story.groups.length > 1;
  return [
    several ? el("p", { class: "hint" }, `What each of ${story.groups.length} channels adds, strongest first; choose one to see its window:`) : null,
    several ? bars : null, ...triples,
  ].filter(Boolean);
}

/** Single products, the strongest first. */
function listed(story, again) {
  const terms = shownTerms(story);
  const all = story.groups.reduce((n, { terms }) => n + terms.length, 0);
  const most = Math.max(...terms.map(({ product }) => Math.abs(product)), 1e-30);
  const rows = terms.map((term) => {
    const bar = el("i", {});
    const v = term.product;
    Object.assign(bar.style, { width: `${(50 * Math.abs(v)) / most}%`, background: css(v, most), [v < 0 ? "right" : "left"]: "50%" });
    const name = story.branches ? nodes[blobs[term.b].producer].name : where(story.bottom, term.index);
    return el("tr", {},
      el("th", { scope: "row" }, name), el("td", {}, num(term.x)), el("td", {}, `× ${num(term.w)}`),
      el("td", { class: "bar" }, el("em", {}, bar)), el("td", { "data-product": v }, num(v)));
  });
  const more = all > terms.length && el("button", { class: "link", onclick: () => { story.listed = 4 * terms.length; again(); } }, "Show more of them");
  return [el("div", { class: "list" }, el("table", {}, el("tbody", {}, ...rows))), more].filter(Boolean);
}

/** Which values training would drop: a mask, and a button that draws another. */
function mask(b, i, ratio) {
  const { h, w, row, count } = layout(b);
  const { plane } = place(size(b), i);
  const [first, total] = row ? [0, count] : [plane * h * w, h * w];
  const canvas = el("canvas", { width: w, height: h, role: "img" });
  const says = el("p", {});
  const draw = async () => {
    const x = await values(b);
    const seed = BigInt(draws);
    const most = Math.max(Math.abs(blobs[b].range[0]), Math.abs(blobs[b].range[1])) / (1 - ratio);
    const drops = Array.from({ length: total }, (_, k) => dropped(ratio, seed, first + k));
    paintPlane(canvas, 0, 0, { h, w }, (k) => (k >= total || drops[k] ? 0 : x.at(first + k) / (1 - ratio)), most);
    const lost = drops.reduce((n, d) => n + d, 0);
    canvas.setAttribute("aria-label", `${lost} of ${total} values dropped`);
    const own = dropped(ratio, seed, i) ? "dropped, 0" : `kept, ${num(x.at(i))} / ${num(1 - ratio)} = ${num(x.at(i) / (1 - ratio))}`;
    says.textContent = `Training, with seed ${draws}, would drop ${lost} of these ${total}; this value: ${own}.`;
  };
  const again = el("button", { onclick: () => { draws += 1; draw(); } }, "Draw another mask");
  draw();
  return el("div", { class: "mask" }, says, canvas, again);
}
let draws = 1;

/** Whether likenet's dropout drops element `i` (SplitMix64's output of its number and the seed). */
function dropped(ratio, seed, i) {
  const word = (v) => BigInt.asUintN(64, v);
  const mix = (v) => {
    let z = word(v + 0x9e3779b97f4a7c15n);
    z = word((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = word((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return z ^ (z >> 31n);
  };
  return mix(seed ^ mix(BigInt(i))) < BigInt(Math.floor(ratio * 2 ** 64)) ? 1 : 0;
}

/** The colour of pixel k of the prepared photo. */
function swatch(k) {
  const box = el("span", { class: "swatch" });
  const words = el("span", {});
  pixels().then((at) => {
    const rgb = at(k);
    box.style.background = `rgb(${rgb.join(" ")})`;
    words.textContent = `the pixel: red ${num(rgb[0])}, green ${num(rgb[1])}, blue ${num(rgb[2])}`;
  });
  return el("p", {}, box, words);
}
