// How a value came about.
//
// In: a node, one of its tops, the index of a value. Out: a story: the value, its inputs, what was done with
// them, and the input that says most (`down`). Sums are in double precision; inputs and weights are the
// network's own f32.
//
//   sum    groups of products (one group a channel), bias, rest, sum, relu
//   pick   candidates, of which the largest wins
//   steps  lines of what is computed, one after the other, ending with the value
//   moved  the place that the value was moved from

/** The story of value `i` of top number `t` of node `n`. */
async function explain(n, t, i) {
  const node = nodes[n];
  const b = shown(n, t);
  const output = (await values(b)).at(i);
  const story = { n, t, i, b, output, title: node.name };
  const bottoms = await Promise.all(node.bottoms.map(values));
  const tell = tellers[node.op.is] ?? (() => ({ kind: "steps", steps: [] }));
  return { ...story, ...(await tell(node, t, i, bottoms, n, output)) };
}

/** The term with the largest magnitude of `by`. */
const strongest = (terms, by) => terms.reduce((best, term) => (best && by(best) >= by(term) ? best : term), null);

/** Terms in groups by the plane that they lie in. */
function grouped(terms) {
  const groups = new Map();
  for (const term of terms) {
    if (!groups.has(term.plane)) groups.set(term.plane, { plane: term.plane, terms: [], sum: 0 });
    const group = groups.get(term.plane);
    group.terms.push(term);
    group.sum += term.product;
  }
  return [...groups.values()];
}

/** A sum of products as a story. */
function summed(terms, bottom, { kernel = [1, 1], bias = null, rest = 0, others = 0, slope = null } = {}) {
  const groups = grouped(terms);
  const sum = groups.reduce((sum, group) => sum + group.sum, (bias ?? 0) + rest);
  const real = terms.filter((term) => term.index >= 0);
  const down = strongest(real, (term) => Math.abs(term.product));
  const missing = terms.some((term) => Number.isNaN(term.product) && (term.x === undefined || term.w === undefined));
  const at = down && { b: down.b ?? bottom, i: down.index };
  return { kind: "sum", groups, bottom, kernel, bias, rest, others, sum, relu: slope, missing, down: missing ? null : at };
}

/** A convolution's value, transposed or not. */
async function windowed(node, t, i, bottoms, n, rule) {
  const { op } = node;
  const bottom = node.bottoms[t];
  const { filter, taps } = rule(op, size(bottom), size(node.tops[t]), i);
  const [w, biases] = await Promise.all([weights(n), op.bias === null ? null : floats(op.bias)]);
  const terms = taps.map((tap) => {
    const x = tap.index < 0 ? 0 : bottoms[t].at(tap.index);
    const weight = w.of(filter, tap.weight);
    return { ...tap, x, w: weight, product: tap.index < 0 && op.is === "deconv" ? 0 : x * weight };
  });
  return summed(terms, bottom, { kernel: op.kernel, bias: biases?.[filter], slope: reluAfter(n, t) });
}

const tellers = {
  conv: (node, t, i, bottoms, n) => windowed(node, t, i, bottoms, n, convTaps),
  deconv: (node, t, i, bottoms, n) => windowed(node, t, i, bottoms, n, deconvTaps),

  async fc({ op, bottoms: [bottom], tops }, t, i, [x], n) {
    const [w, biases] = await Promise.all([weights(n), op.bias === null ? null : floats(op.bias)]);
    const [output, row] = [i % op.outputs, Math.floor(i / op.outputs)];
    const inputs = size(bottom).count / (size(tops[0]).count / op.outputs);
    const from = size(bottom);
    const term = (index, weight) => {
      const { plane, y, x: column } = place(from, index);
      return { plane, ky: y, kx: column, index, x: x.at(index), w: weight, product: x.at(index) * weight };
    };
    const options = { bias: biases?.[output], slope: reluAfter(n, t) };
    if (w.strongest) {
      const terms = w.strongest(output).map(({ index, w }) => term(index, w));
      return summed(terms, bottom, { ...options, rest: w.rest(output), others: inputs - terms.length });
    }
    const weight = (k) => (op.transpose ? k * op.outputs + output : output * inputs + k);
    const terms = Array.from({ length: inputs }, (_, k) => term(row * inputs + k, w.of(output, weight(k))));
    // A window as large as its input.
    return summed(terms, bottom, { ...options, kernel: [from.h, from.w] });
  },

  pool({ op, bottoms: [bottom], tops }, t, i, [x]) {
    const taps = poolTaps(op, size(bottom), size(tops[0]), i);
    if (!op.max) {
      const w = 1 / taps.area;
      const terms = taps.map((tap) => ({ ...tap, x: x.at(tap.index), w, product: x.at(tap.index) * w }));
      return summed(terms, bottom, { kernel: op.kernel });
    }
    const terms = taps.map((tap) => ({ ...tap, x: x.at(tap.index) }));
    return picked(terms, bottom, op.kernel);
  },

  lrn({ op, bottoms: [bottom] }, t, i, [x]) {
    const terms = lrnTaps(op, size(bottom), i).map((tap) => ({ ...tap, x: x.at(tap.index) }));
    const squares = terms.reduce((sum, { x }) => sum + x * x, 0);
    const count = op.within ? op.size ** 2 : op.size;
    const scale = op.k + (op.alpha / count) * squares;
    const lines = terms.map(({ plane, index, x }) => ({
      name: op.within ? where(bottom, index) : `channel ${plane}`, value: x, then: `squared ${num(x * x)}`,
      here: index === i,
    }));
    const steps = [
      { name: "sum of the squares", value: squares },
      { name: `scale = ${num(op.k)} + ${num(op.alpha)} / ${count} · sum`, value: scale },
      { name: `scale to the power −${num(op.beta)}`, value: scale ** -op.beta },
      { name: "value · that", value: x.at(i) * scale ** -op.beta, result: true },
    ];
    return { kind: "steps", lines, steps, down: { b: bottom, i }, missing: x.at(i) === undefined };
  },

  async unary({ op, bottoms: [bottom] }, t, i, [x]) {
    let before = x.at(i);
    const producer = blobs[bottom].producer;
    // A sum that is not in this page is found again from its products.
    const sum = blobs[bottom].before !== undefined;
    if (sum) {
      const below = await explain(producer, nodes[producer].tops.indexOf(bottom), i);
      before = below.missing ? undefined : below.sum;
    }
    const steps = [
      { name: sum ? `before: the sum of ${nodes[producer].name}` : "before", value: before },
      { name: "after", value: functions[op.f](before, op), result: true },
    ];
    return { kind: "steps", steps, down: { b: bottom, i }, missing: before === undefined };
  },

  async prelu({ op, bottoms: [bottom] }, t, i, [x]) {
    const slopes = await floats(op.slopes);
    const { plane } = place(size(bottom), i);
    const slope = slopes[op.shared ? 0 : plane % slopes.length];
    const before = x.at(i);
    return {
      kind: "steps", down: { b: bottom, i }, missing: before === undefined,
      steps: [
        { name: "before", value: before },
        { name: "learnt slope below 0", value: slope },
        { name: "after", value: before > 0 ? before : slope * before, result: true },
      ],
    };
  },

  dropout({ op, bottoms: [bottom] }, t, i, [x]) {
    const before = x.at(i);
    return {
      kind: "steps", drop: op.ratio, down: { b: bottom, i }, missing: before === undefined,
      steps: [{ name: "before", value: before }, { name: "after, in testing: the same", value: before, result: true }],
    };
  },

  async batchnorm({ op, bottoms: [bottom] }, t, i, [x]) {
    if (!op.stored) return { kind: "steps", steps: [], down: { b: bottom, i } };
    const [means, variances] = [await floats(op.mean), await floats(op.variance)];
    const c = place(size(bottom), i).plane % means.length;
    const deviation = Math.sqrt(variances[c] + op.eps);
    return {
      kind: "steps", down: { b: bottom, i }, missing: x.at(i) === undefined,
      steps: [
        { name: "before", value: x.at(i) },
        { name: "mean of the channel, from training", value: means[c] },
        { name: "deviation = √(variance + ε)", value: deviation },
        { name: "(before − mean) / deviation", value: (x.at(i) - means[c]) / deviation, result: true },
      ],
    };
  },

  async scale({ op, bottoms }, t, i, from) {
    const [, length, inner] = op.view ?? [1, 1, 1];
    const c = Math.floor(i / inner) % length;
    const param = async (number) => (number === null ? undefined : (await floats(number))[c]);
    const given = op.given ? from[1].at(c) : undefined;
    const factor = op.scales ? given ?? (await param(op.factor)) : 1;
    const summand = (op.scales ? undefined : given) ?? (await param(op.summand)) ?? 0;
    const x = from[0].at(i);
    return {
      kind: "steps", down: { b: bottoms[0], i }, missing: x === undefined || (op.given && given === undefined),
      steps: [
        { name: "before", value: x },
        ...(op.scales ? [{ name: "factor", value: factor }] : []),
        { name: "added", value: summand },
        { name: "after", value: factor * x + summand, result: true },
      ],
    };
  },

  softmax({ op, bottoms: [bottom] }, t, i, [x]) {
    const [, length, inner] = op.view;
    const first = Math.floor(i / (length * inner)) * length * inner + (i % inner);
    const scores = Array.from({ length }, (_, c) => ({ c, index: first + c * inner, x: x.at(first + c * inner) }));
    const highest = Math.max(...scores.map(({ x }) => x));
    scores.forEach((score) => (score.e = Math.exp(score.x - highest)));
    const sum = scores.reduce((sum, { e }) => sum + e, 0);
    const own = scores.find(({ index }) => index === i);
    const top = [...scores].sort((a, b) => b.x - a.x).slice(0, 8);
    if (!top.includes(own)) top.push(own);
    const lines = top.map(({ c, index, x, e }) => ({
      name: network.labels[c] ?? `class ${c}`, value: x,
      then: `e^(${num(x - highest)}) = ${num(e)} → ${num(e / sum)}`, share: e / sum, here: index === i,
    }));
    const steps = [
      { name: "highest score, subtracted from all", value: highest },
      { name: `sum of all ${length} exponentials`, value: sum },
      { name: "own exponential", value: own.e },
      { name: "own / sum", value: own.e / sum, result: true },
    ];
    return { kind: "steps", lines, steps, down: { b: bottom, i }, missing: Number.isNaN(sum) };
  },

  eltwise({ op, bottoms }, t, i, from) {
    const terms = bottoms.map((b, k) => {
      const [x, w] = [from[k].at(i), op.factors?.[k] ?? 1];
      return { plane: k, b, index: i, x, w, product: x * w };
    });
    if (op.how === "sum") return { ...summed(terms, bottoms[0]), branches: true };
    if (op.how === "max") return { ...picked(terms, bottoms[0]), branches: true };
    const product = terms.reduce((product, { x }) => product * x, 1);
    const steps = terms.map(({ b, x }) => ({ name: nodes[blobs[b].producer].name, value: x }));
    steps.push({ name: "product", value: product, result: true });
    return { kind: "steps", steps, down: { b: bottoms[0], i }, missing: terms.some(({ x }) => x === undefined) };
  },

  reduction({ op, bottoms: [bottom] }, t, i, [x]) {
    const f = { "sum of magnitudes": Math.abs, "sum of squares": (v) => v * v }[op.how];
    const w = op.factor / (op.how === "mean" ? op.len : 1);
    const { h, w: width } = size(bottom);
    const terms = Array.from({ length: op.len }, (_, k) => {
      const index = i * op.len + k;
      const v = f ? f(x.at(index)) : x.at(index);
      return { plane: Math.floor(index / (h * width)), index, x: v, w, product: v * w };
    });
    return summed(terms, bottom);
  },

  mvn({ op, bottoms: [bottom] }, t, i, [x]) {
    const first = Math.floor(i / op.row) * op.row;
    const row = Array.from({ length: op.row }, (_, k) => x.at(first + k));
    const mean = row.reduce((sum, v) => sum + v, 0) / op.row;
    const deviation = Math.sqrt(row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / op.row);
    const after = op.variance ? (x.at(i) - mean) / (deviation + op.eps) : x.at(i) - mean;
    return {
      kind: "steps", down: { b: bottom, i }, missing: Number.isNaN(mean),
      steps: [
        { name: "before", value: x.at(i) }, { name: "mean", value: mean },
        ...(op.variance ? [{ name: "deviation", value: deviation }] : []),
        { name: "after", value: after, result: true },
      ],
    };
  },

  async source(node, t, i, _, n) {
    if (node.tops[t] !== network.input) return { kind: "steps", steps: [] };
    const { sample } = network;
    const picture = size(network.input);
    const { plane } = place(picture, i);
    const before = (await floats(sample.values))[i];
    const mean = sample.image === null ? sample.mean[plane] : (await floats(sample.image))[i];
    return {
      kind: "steps", pixel: i % (picture.h * picture.w),
      steps: [
        { name: `${sample.colours[plane]} of this pixel, 0 to ${num(sample.unit)}`, value: before },
        { name: "mean", value: mean },
        { name: "factor", value: sample.scale },
        { name: "(sample − mean) · factor", value: (before - mean) * sample.scale, result: true },
      ],
    };
  },
};
for (const is of ["concat", "slice", "crop", "tile", "copy"]) {
  tellers[is] = (node, t, i) => {
    const { bottom, index } = moved(node, t, i);
    return { kind: "moved", down: { b: node.bottoms[bottom], i: index } };
  };
}

/** The largest of some candidates; of equal ones the first. */
function picked(terms, bottom, kernel = [1, 1]) {
  const winner = strongest(terms, ({ x }) => x);
  const missing = terms.some(({ x }) => x === undefined);
  const down = missing || !winner ? null : { b: winner.b ?? bottom, i: winner.index };
  return { kind: "pick", terms, bottom, kernel, winner, missing, down };
}

/** Functions of one number (Unary). */
const functions = {
  relu: (x, { slope }) => (x > 0 ? x : slope * x),
  elu: (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  abs: Math.abs,
  power: (x, { power, scale, shift }) => (shift + scale * x) ** power,
  exp: (x, { base, scale, shift }) => (base ?? Math.E) ** (shift + scale * x),
  log: (x, { base, scale, shift }) => Math.log(shift + scale * x) / Math.log(base ?? Math.E),
  bnll: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  clip: (x, { low, high }) => Math.min(Math.max(x, low), high),
  swish: (x, { beta }) => x / (1 + Math.exp(-beta * x)),
  threshold: (x, { threshold }) => (x > threshold ? 1 : 0),
};

/** A number with four digits that count. */
function num(v) {
  if (v === undefined || v === null) return "—";
  if (!Number.isFinite(v)) return String(v).replace("-", "−");
  const small = v !== 0 && (Math.abs(v) < 1e-4 || Math.abs(v) >= 1e6);
  const text = small ? v.toExponential(2).replace(/\.?0*e\+?/, "e") : String(Number(v.toPrecision(4)));
  return text.replace(/-/g, "−");
}

/** Where a value lies, in words. */
function where(b, i) {
  const at = size(b);
  if (at.h * at.w === 1) {
    const name = b === network.best?.blob ? network.labels[i] : undefined;
    return name ? `${i}: ${name}` : `number ${i}`;
  }
  const { plane, y, x } = place(at, i);
  const channel = b === network.input ? network.sample.colours[plane] : `channel ${plane}`;
  return `${channel}, row ${y}, column ${x}`;
}
