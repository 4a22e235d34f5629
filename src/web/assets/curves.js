// Curves on a canvas, drawn anew at every change: a few thousand points take no time.

const MARGIN = { left: 58, right: 12, top: 12, bottom: 26 };

/** Colours of the page, light or dark. */
function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { ink: of("--soft"), line: of("--line"), series: [of("--for"), of("--against"), of("--ink")] };
}

/** About four round numbers between two. */
function ticks(low, high) {
  const raw = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw);
  const all = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) all.push(at);
  return all;
}

/** A number as short as it can be read. */
export function short(value) {
  if (!Number.isFinite(value)) return String(value);
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}

/**
 * Draws series of points, each {points: [[x, y], …], thin, name}. `log` makes the y axis logarithmic.
 */
export function draw(canvas, series, log = false) {
  const scale = window.devicePixelRatio || 1;
  const { width, height } = canvas.getBoundingClientRect();
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const { ink, line, series: paints } = colours();
  const up = log ? Math.log10 : (y) => y;
  const shown = series.map((one) => ({ ...one, points: one.points.filter(([, y]) => Number.isFinite(up(y))) }));
  const all = shown.flatMap((one) => one.points);
  if (all.length === 0) return;
  const bounds = (values) => {
    const [low, high] = values.reduce(([l, h], v) => [Math.min(l, v), Math.max(h, v)], [Infinity, -Infinity]);
    return low === high ? [low - (Math.abs(low) || 1) / 10, high + (Math.abs(high) || 1) / 10] : [low, high];
  };
  const [left, right] = bounds(all.map(([x]) => x));
  const [low, high] = bounds(all.map(([, y]) => up(y)));
  const x = (value) => MARGIN.left + ((value - left) / (right - left)) * (width - MARGIN.left - MARGIN.right);
  const y = (value) => height - MARGIN.bottom - ((up(value) - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = ink;
  context.strokeStyle = line;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const rule = (value, label) => {
    context.beginPath();
    context.moveTo(MARGIN.left, y(value));
    context.lineTo(width - MARGIN.right, y(value));
    context.stroke();
    context.fillText(label, MARGIN.left - 6, y(value));
  };
  if (log) {
    for (let power = Math.ceil(low); power <= Math.floor(high); power++) rule(10 ** power, short(10 ** power));
    if (Math.ceil(low) > Math.floor(high)) [10 ** low, 10 ** high].forEach((value) => rule(value, short(value)));
  } else {
    ticks(low, high).forEach((value) => rule(value, short(value)));
  }
  context.textBaseline = "top";
  context.textAlign = "center";
  ticks(left, right).forEach((value) => context.fillText(short(value), x(value), height - MARGIN.bottom + 8));
  shown.forEach((one, index) => {
    context.strokeStyle = paints[index % paints.length];
    context.fillStyle = context.strokeStyle;
    context.globalAlpha = one.thin ? 0.35 : 1;
    context.lineWidth = one.thin ? 1 : 2;
    context.beginPath();
    one.points.forEach(([px, py], at) => (at === 0 ? context.moveTo(x(px), y(py)) : context.lineTo(x(px), y(py))));
    context.stroke();
    if (one.dots) {
      one.points.forEach(([px, py]) => {
        context.beginPath();
        context.arc(x(px), y(py), 3, 0, 2 * Math.PI);
        context.fill();
      });
    }
    context.globalAlpha = 1;
  });
}
