// The network and its numbers.
//
// In: the JSON and the arrays in this page. Out: values by blob and index, weights by node. Arrays are unpacked
// when they are first wanted. Names follow the program's: a node is a layer, a blob what it writes.

const network = JSON.parse(document.getElementById("network").textContent);
const { nodes, blobs } = network;

/** Calls f once for each key. */
function once(f) {
  const known = new Map();
  return (key) => known.get(key) ?? (known.set(key, f(key)), known.get(key));
}

/** The bytes of array `number`: base64, then zlib. */
const bytes = once(async (number) => {
  const packed = Uint8Array.from(atob(document.getElementById(`a${number}`).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
});

/** Four-byte numbers, whose first bytes all stand first, then the second ones, …: back in order. */
async function words(number) {
  const from = await bytes(number);
  const n = from.length / 4;
  const to = new Uint8Array(from.length);
  for (let place = 0; place < 4; place++) {
    for (let i = 0; i < n; i++) to[4 * i + place] = from[place * n + i];
  }
  return to.buffer;
}

const floats = once(async (number) => new Float32Array(await words(number)));
const indices = once(async (number) => new Uint32Array(await words(number)));

/** Batch × channels, height, width of a blob; what is no picture has planes of one value. */
function size(b) {
  const shape = blobs[b].shape;
  const count = shape.reduce((n, d) => n * d, 1);
  return shape.length === 4
    ? { count, planes: shape[0] * shape[1], h: shape[2], w: shape[3] }
    : { count, planes: count, h: 1, w: 1 };
}

/** The values of a blob: `all` of them, or null; `at(i)` one, or undefined where it is not in this page. */
const values = once(async (b) => {
  const blob = blobs[b];
  if (blob.some) {
    const [where, what] = [await indices(blob.some[0]), await floats(blob.some[1])];
    const some = new Map(Array.from(where, (index, i) => [index, what[i]]));
    return { all: null, at: (i) => some.get(i), has: (i) => some.has(i) };
  }
  if (blob.before !== undefined) return { all: null, at: () => undefined, has: () => false };
  const all = blob.whole !== undefined ? await floats(blob.whole) : await remade(b);
  return { all, at: (i) => all[i], has: (i) => i < all.length };
});

/** What a layer makes without rounding, made again from its bottoms. */
async function remade(b) {
  const node = nodes[blobs[b].producer];
  const { op } = node;
  const from = await Promise.all(node.bottoms.map(async (bottom) => (await values(bottom)).all));
  const out = new Float32Array(size(b).count);
  if (op.is === "unary") {
    from[0].forEach((x, i) => (out[i] = x > 0 ? x : op.slope * x));
  } else if (op.is === "pool") {
    for (let i = 0; i < out.length; i++) {
      let best = -3.4028234663852886e38;
      for (const { index } of poolTaps(op, size(node.bottoms[0]), size(b), i)) best = Math.max(best, from[0][index]);
      out[i] = best;
    }
  } else if (op.is === "concat" || op.is === "slice") {
    const top = node.tops.indexOf(b);
    for (let i = 0; i < out.length; i++) {
      const { bottom, index } = moved(node, top, i);
      out[i] = from[bottom][index];
    }
  } else {
    out.set(from[0]);
  }
  return out;
}

/** The blob that a node's section shows: what ReLU leaves, where the sums before it are not in this page. */
const shown = (node, top) => blobs[nodes[node].tops[top]].before ?? nodes[node].tops[top];

/** The slope of the ReLU between a node's sums and what its section shows; null if there is none. */
function reluAfter(node, top) {
  const after = blobs[nodes[node].tops[top]].before;
  return after === undefined ? null : nodes[blobs[after].producer].op.slope;
}

/**
 * The weights of a node: `of(f, i)` is weight number `i` of all, of filter (or output) `f`; undefined where it is
 * not in this page.
 */
const weights = once(async (n) => {
  const { op, tops } = nodes[n];
  const w = op.weights;
  if (w.whole !== undefined) {
    const all = await floats(w.whole);
    return { of: (_, i) => all[i], each: null };
  }
  const kept = await floats(w.values);
  if (w.some) {
    const each = kept.length / Math.max(w.some.length, 1);
    const place = new Map(w.some.map((filter, i) => [filter, i]));
    return { of: (f, i) => (place.has(f) ? kept[(place.get(f) - f) * each + i] : undefined) };
  }
  const [inputs, rest] = [await indices(w.inputs), await floats(w.rest)];
  const strongest = (output) =>
    Array.from({ length: w.strongest }, (_, k) => ({
      index: inputs[output * w.strongest + k],
      w: kept[output * w.strongest + k],
    }));
  return { strongest, rest: (output) => rest[output], of: () => undefined };
});
