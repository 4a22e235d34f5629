// Which inputs make a value, and what of the picture it can see.
//
// In: a layer's operation, sizes, the index of a value. Out: where its inputs lie; the rows and columns of the
// picture that it depends on. The rules are those of the program (taps.rs, reach.rs).

/** Plane, row and column of a flat index. */
const place = ({ h, w }, i) => ({ plane: Math.floor(i / (h * w)), y: Math.floor(i / w) % h, x: i % w });

/** The inputs of a convolution's value, channel by channel; index −1 stands for padding. */
function convTaps(op, from, to, i) {
  const { plane, y, x } = place(to, i);
  const [kh, kw] = op.kernel;
  const filter = plane % op.filters;
  const channels = from.planes / (to.planes / op.filters);
  const depth = channels / op.group;
  const first = Math.floor(plane / op.filters) * channels + Math.floor(filter / (op.filters / op.group)) * depth;
  const taps = [];
  for (let c = 0; c < depth; c++) {
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const iy = y * op.stride[0] + ky * op.dilation[0] - op.pad[0];
        const ix = x * op.stride[1] + kx * op.dilation[1] - op.pad[1];
        const inside = iy >= 0 && iy < from.h && ix >= 0 && ix < from.w;
        const index = inside ? ((first + c) * from.h + iy) * from.w + ix : -1;
        taps.push({ plane: first + c, ky, kx, index, weight: ((filter * depth + c) * kh + ky) * kw + kx });
      }
    }
  }
  return { filter, taps };
}

/** The same of a transposed convolution; index −1 where no input lays this tap on the value. */
function deconvTaps(op, from, to, i) {
  const { plane, y, x } = place(to, i);
  const [kh, kw] = op.kernel;
  const filter = plane % op.filters;
  const channels = from.planes / (to.planes / op.filters);
  const [each, depth] = [op.filters / op.group, channels / op.group];
  const first = Math.floor(filter / each) * depth;
  const picture = Math.floor(plane / op.filters) * channels;
  const taps = [];
  for (let c = first; c < first + depth; c++) {
    for (let ky = 0; ky < kh; ky++) {
      for (let kx = 0; kx < kw; kx++) {
        const iy = (y + op.pad[0] - ky * op.dilation[0]) / op.stride[0];
        const ix = (x + op.pad[1] - kx * op.dilation[1]) / op.stride[1];
        const inside = [iy, ix].every(Number.isInteger) && iy >= 0 && iy < from.h && ix >= 0 && ix < from.w;
        const index = inside ? ((picture + c) * from.h + iy) * from.w + ix : -1;
        const weight = ((c * each + (filter % each)) * kh + ky) * kw + kx;
        taps.push({ plane: picture + c, ky, kx, index, weight });
      }
    }
  }
  return { filter, taps };
}

/** The places of a pooling's window that lie inside; `area` is what an average divides by. */
function poolTaps(op, from, to, i) {
  const { plane, y, x } = place(to, i);
  const along = (axis, at, len) => {
    const start = at * op.stride[axis] - op.pad[axis];
    const end = Math.min(start + op.kernel[axis], len + op.pad[axis]);
    return { start, length: end - start, first: Math.max(start, 0), end: Math.min(end, len) };
  };
  const [rows, columns] = [along(0, y, from.h), along(1, x, from.w)];
  const taps = [];
  for (let r = rows.first; r < rows.end; r++) {
    for (let c = columns.first; c < columns.end; c++) {
      const index = (plane * from.h + r) * from.w + c;
      taps.push({ plane, ky: r - rows.start, kx: c - columns.start, index });
    }
  }
  taps.area = rows.length * columns.length;
  return taps;
}

/** Where a value of a layer that only moves values comes from. */
function moved(node, top, i) {
  const { op, bottoms, tops } = node;
  const [to, from] = [blobs[tops[top]].shape, bottoms.map((b) => blobs[b].shape)];
  const after = (shape, axis) => shape.slice(axis + 1).reduce((n, d) => n * d, 1);
  const { axis } = op;
  if (op.is === "crop") {
    let [rest, stride, index] = [i, 1, 0];
    for (let a = to.length - 1; a >= 0; a--) {
      index += ((rest % to[a]) + op.origin[a]) * stride;
      rest = Math.floor(rest / to[a]);
      stride *= from[0][a];
    }
    return { bottom: 0, index };
  }
  if (axis === undefined) return { bottom: 0, index: i };
  const inner = after(to, axis);
  const outer = Math.floor(i / (inner * to[axis]));
  let at = Math.floor(i / inner) % to[axis];
  let bottom = 0;
  if (op.is === "concat") while (at >= from[bottom][axis]) at -= from[bottom++][axis];
  if (op.is === "slice") for (const before of tops.slice(0, top)) at += blobs[before].shape[axis];
  if (op.is === "tile") at %= from[0][axis];
  return { bottom, index: (outer * from[bottom][axis] + at) * inner + (i % inner) };
}

/** A value's neighbours for LRN. */
function lrnTaps(op, from, i) {
  const { plane, y, x } = place(from, i);
  const before = Math.floor((op.size - 1) / 2);
  const taps = [];
  if (op.within) {
    for (let r = Math.max(y - before, 0); r < Math.min(y - before + op.size, from.h); r++) {
      for (let c = Math.max(x - before, 0); c < Math.min(x - before + op.size, from.w); c++) {
        taps.push({ plane, index: (plane * from.h + r) * from.w + c });
      }
    }
  } else {
    for (let c = Math.max(plane - before, 0); c < Math.min(plane - before + op.size, from.planes); c++) {
      taps.push({ plane: c, index: (c * from.h + y) * from.w + x });
    }
  }
  return taps;
}

/** The rows or columns of a bottom, `length` of them, that those `seen` of a top depend on. */
function back(reach, axis, seen, length) {
  const out = new Uint8Array(length);
  const any = seen.includes(1);
  if ((reach.is === "each" || reach.is === "place") && seen.length === length) return seen.slice();
  if (["each", "place", "all"].includes(reach.is)) return out.fill(any ? 1 : 0);
  seen.forEach((yes, o) => {
    if (!yes) return;
    if (reach.is === "shift") out[o + reach.by[axis]] = 1;
    for (let k = 0; k < (reach.kernel?.[axis] ?? 0); k++) {
      const [s, p, d] = [reach.stride[axis], reach.pad[axis], reach.dilation[axis]];
      const i = reach.is === "window" ? o * s + k * d - p : (o + p - k * d) / s;
      if (Number.isInteger(i) && i >= 0 && i < length) out[i] = 1;
    }
  });
  return out;
}

/** The one input that a value is made of, where there is only one. */
function only(node, top, i) {
  if (node.op.is === "concat" || (node.bottoms.length === 1 && node.op.axis !== undefined)) return moved(node, top, i);
  const single = node.bottoms.length === 1 && node.reach[0].is === "each";
  return single ? { bottom: 0, index: i } : null;
}

/** Rows and columns of the picture that a value depends on: first and last of each; null where it does not. */
function field(b, i) {
  while (b !== network.input) {
    const node = nodes[blobs[b].producer];
    const from = only(node, node.tops.indexOf(b), i);
    if (!from) break;
    [b, i] = [node.bottoms[from.bottom], from.index];
  }
  const one = (length, at) => Uint8Array.from({ length }, (_, k) => (k === at ? 1 : 0));
  const { h, w } = size(b);
  const at = place({ h, w }, i);
  const fields = new Map([[b, [one(h, at.y), one(w, at.x)]]]);
  for (let n = blobs[b].producer; n >= 0; n--) {
    for (const top of nodes[n].tops) {
      const seen = fields.get(top);
      if (!seen || top === network.input) continue;
      nodes[n].bottoms.forEach((bottom, k) => {
        const { h, w } = size(bottom);
        const more = [h, w].map((length, axis) => back(nodes[n].reach[k], axis, seen[axis], length));
        // No row or no column: the window lies on padding alone, and sees nothing.
        if (more.some((set) => !set.includes(1))) return;
        fields.get(bottom)?.forEach((old, axis) => old.forEach((yes, j) => yes && (more[axis][j] = 1)));
        fields.set(bottom, more);
      });
    }
  }
  const found = fields.get(network.input);
  return found ? found.map((set) => [set.indexOf(1), set.lastIndexOf(1)]) : null;
}
