// Values as colours.
//
// In: planes of values. Out: canvases. Orange is positive, blue negative, in light and dark; the two stay apart
// for every kind of colour blindness. Colours follow the square root of the value, so that weak ones are seen.

const dark = matchMedia("(prefers-color-scheme: dark)");

/** From zero to the largest magnitude, either way: colours between which is interpolated. */
const scales = {
  light: {
    up: [[250, 248, 244], [253, 196, 128], [224, 116, 20], [127, 54, 4]],
    down: [[250, 248, 244], [158, 197, 232], [48, 110, 184], [8, 40, 96]],
  },
  dark: {
    up: [[27, 29, 35], [122, 62, 12], [226, 126, 32], [255, 226, 168]],
    down: [[27, 29, 35], [22, 62, 122], [62, 138, 222], [190, 224, 255]],
  },
};

/** 256 colours each way, for the scheme in use. */
let colours = tables();
function tables() {
  const table = (stops) => {
    const out = new Uint8Array(3 * 256);
    for (let k = 0; k < 256; k++) {
      const at = (k / 255) * (stops.length - 1);
      const [low, part] = [Math.min(Math.floor(at), stops.length - 2), at - Math.min(Math.floor(at), stops.length - 2)];
      for (let c = 0; c < 3; c++) out[3 * k + c] = stops[low][c] * (1 - part) + stops[low + 1][c] * part;
    }
    return out;
  };
  const { up, down } = scales[dark.matches ? "dark" : "light"];
  return { up: table(up), down: table(down) };
}

/** The colour of a value on a scale that ends at `most`: where its bytes lie in which table. */
function shade(v, most) {
  const k = most > 0 && v ? Math.min(255, Math.round(255 * Math.sqrt(Math.abs(v) / most))) : 0;
  return [v < 0 ? colours.down : colours.up, 3 * k];
}

function css(v, most) {
  const [table, k] = shade(v, most);
  return `rgb(${table[k]} ${table[k + 1]} ${table[k + 2]})`;
}

/** Black or white, whichever can be read on the colour of a value. */
function ink(v, most) {
  const [table, k] = shade(v, most);
  const light = 0.2126 * table[k] ** 2.2 + 0.7152 * table[k + 1] ** 2.2 + 0.0722 * table[k + 2] ** 2.2;
  return light > 0.18 * 255 ** 2.2 ? "#000" : "#fff";
}

/** An element with attributes and children. Text is only ever text. */
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Paints `h` × `w` points at (left, top), `point(k)` giving three colour values. */
function paint(canvas, left, top, h, w, point) {
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(w, h);
  for (let k = 0; k < h * w; k++) {
    const [r, g, b] = point(k);
    image.data.set([r, g, b, 255], 4 * k);
  }
  pen.putImageData(image, left, top);
}

/** Paints one plane of values. */
function paintPlane(canvas, left, top, { h, w }, at, most) {
  paint(canvas, left, top, h, w, (k) => {
    const [table, c] = shade(at(k), most);
    return [table[c], table[c + 1], table[c + 2]];
  });
}

/**
 * How a blob is laid out to be looked at: `planes` pictures of `h` × `w` points. Values that have no places of
 * their own stand in rows, as one picture.
 */
function layout(b) {
  const { count, planes, h, w } = size(b);
  if (h * w > 1) return { planes, h, w, row: false };
  const side = count <= 24 ? count : Math.ceil(Math.sqrt(count * 1.6));
  return { planes: 1, h: Math.ceil(count / side), w: side, count, row: true };
}

/** What is painted of a blob: `at(plane, k)`, in planes of `h` × `w` points, one for `step` × `step` values. */
async function painting(b) {
  const form = layout(b);
  const { all } = await values(b);
  if (all) return { ...form, step: 1, at: (plane, k) => all[plane * form.h * form.w + k] ?? 0 };
  const { bytes: number, size: [h, w], step } = blobs[b].pictures;
  const [packed, [low, high]] = [await bytes(number), blobs[b].range];
  return { ...form, h, w, step, at: (plane, k) => low + ((high - low) * packed[plane * h * w + k]) / 255 };
}

/** The prepared photo as colours: samples 0 to 255 at pixel k. */
async function pixels() {
  const { sample } = network;
  const samples = await floats(sample.values);
  const plane = samples.length / 3;
  const order = ["red", "green", "blue"].map((colour) => sample.colours.indexOf(colour));
  return (k) => order.map((c) => (samples[c * plane + k] * 255) / sample.unit);
}
