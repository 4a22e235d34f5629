// Lets a page's own script tell the story of values of every layer, and compares them with the page's numbers.
//
// Usage: node check.mjs PAGE.html [VALUES OF EACH BLOB]. Ends with 1 where a story does not end in its value.
import { readFileSync } from "node:fs";

const html = readFileSync(process.argv[2], "utf8");
const most = Number(process.argv[3] ?? 40);
const texts = new Map();
for (const [, id, text] of html.matchAll(/<script type="(?:application\/json|text\/plain)" id="(\w+)">([^<]*)<\/script>/g)) {
  texts.set(id, text);
}
globalThis.document = { getElementById: (id) => ({ textContent: texts.get(id) }) };
// The parts that compute stand before those that draw.
const script = html.split('<script type="module">')[1].split("</script>")[0].split("// Values as colours.")[0];
const parts = "{ network, nodes, blobs, size, values, explain, field, place, shown }";
const { network, nodes, blobs, size, values, explain, field, place, shown } = new Function(`${script}\nreturn ${parts};`)();

let [checked, missing, wrong] = [0, 0, 0];
const fail = (...words) => ((wrong += 1), wrong <= 20 && console.log("WRONG", ...words));
const kinds = new Map();
for (const [n, node] of nodes.entries()) {
  for (const [t, top] of node.tops.entries()) {
    const b = shown(n, t);
    const { count } = size(b);
    const known = await values(b);
    const followed = blobs[top].followed ?? [];
    const wanted = new Set([0, count - 1, blobs[b].peak, ...followed.slice(0, most)]);
    for (let k = 0; k < most; k++) wanted.add(Math.floor((k * 2654435761) % count));
    for (const i of wanted) {
      if (!known.has(i)) continue;
      const story = await explain(n, t, i);
      if (story.missing) {
        missing += 1;
        if (followed.includes(i)) fail(node.name, i, "is marked, and what made it is missing");
        continue;
      }
      const about = (got, size, what) => {
        if (!(Math.abs(got - story.output) <= 4e-6 * size + 1e-7)) fail(node.name, i, what, got, "for", story.output);
      };
      kinds.set(node.op.is, (kinds.get(node.op.is) ?? 0) + 1);
      checked += 1;
      if (story.kind === "sum") {
        const terms = story.groups.flatMap(({ terms }) => terms);
        const total = terms.reduce((sum, { product }) => sum + product, (story.bias ?? 0) + story.rest);
        const size = terms.reduce((sum, { product }) => sum + Math.abs(product), Math.abs(story.rest) + 1e-3);
        if (Math.abs(total - story.sum) > 1e-9 * size) fail(node.name, i, "groups", total, story.sum);
        about(story.relu === null || total > 0 ? total : story.relu * total, 4 * size, "sum");
      } else if (story.kind === "pick") {
        about(story.winner.x, 0, "winner");
      } else if (story.kind === "moved") {
        const from = await values(story.down.b);
        if (from.has(story.down.i)) about(from.at(story.down.i), 0, "moved");
      } else {
        const result = story.steps.find(({ result }) => result);
        let size = Math.abs(story.output) + 1e-3;
        const bottom = node.bottoms[0];
        if (node.op.is === "unary" && blobs[bottom].before !== undefined) {
          // A sum found again from its products: as far off as they are large.
          const producer = blobs[bottom].producer;
          const below = await explain(producer, nodes[producer].tops.indexOf(bottom), i);
          size += below.groups.reduce((sum, { terms }) => terms.reduce((s, { product }) => s + Math.abs(product), sum), 0);
        }
        if (result) about(result.value, 4 * size, "steps");
      }
      // The way down never ends before the picture, but where a window lies in the padding alone.
      const padding = story.groups?.every(({ terms }) => terms.every(({ index }) => index < 0));
      // Losses, accuracies and the like are only described.
      const described = ["source", "other", "embed"].includes(node.op.is);
      if (!story.down && !padding && !described) fail(node.name, i, "no way down");
      if (story.down && followed.includes(i)) {
        const { b, i: at } = story.down;
        const node = blobs[b].producer;
        const next = await explain(node, nodes[node].tops.indexOf(b), at);
        if (next.missing && nodes[node].op.is !== "source") fail(nodes[node].name, at, "cannot be followed");
      }
    }
  }
}
// What the program says that a layer's value in the middle sees.
for (const [n, node] of nodes.entries()) {
  const section = html.split(`<section id="l${n}"`)[1].split("</section>")[0];
  const said = section.match(/a value sees<\/dt><dd>(\d+) × (\d+) pixels/);
  if (!said) continue;
  const { h, w } = size(node.tops[0]);
  const [[y0, y1], [x0, x1]] = field(node.tops[0], Math.floor(h / 2) * w + Math.floor(w / 2));
  if (y1 - y0 + 1 !== Number(said[1]) || x1 - x0 + 1 !== Number(said[2])) fail(node.name, "sees", y0, y1, x0, x1, said[0]);
}
console.log(`${checked} stories, ${missing} not in the page, ${wrong} wrong;`, [...kinds].map(([k, n]) => `${k} ${n}`).join(", "));
process.exit(wrong || checked === 0 ? 1 : 0);
