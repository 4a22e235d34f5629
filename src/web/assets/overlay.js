// Maps of a photo as colours over it: blue speaks for the photo, orange against it, clear says nothing.

// The ramp of style.css: dark at its ends, so that it reads in grey, too.
const FOR = [[0x67, 0xa9, 0xe6], [0x1c, 0x5f, 0xae]];
const AGAINST = [[0xf1, 0xa3, 0x40], [0xb3, 0x58, 0x06]];

/** The largest value of a map, whatever its sign. */
export function largest(map) {
  return map.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** Paints a map on a canvas of the map's own size, which the style stretches over the photo. */
export function paint(canvas, map) {
  canvas.width = map.width;
  canvas.height = map.height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(map.width, map.height);
  const most = largest(map) || 1;
  map.values.forEach((value, index) => {
    const strength = Math.abs(value) / most;
    const [light, dark] = value >= 0 ? FOR : AGAINST;
    const mix = [0, 1, 2].map((c) => light[c] + (dark[c] - light[c]) * strength);
    // The root lets weak values be seen beside the strongest one.
    image.data.set([...mix, 255 * Math.sqrt(strength)], 4 * index);
  });
  context.putImageData(image, 0, 0);
}

/** Nothing over the photo. */
export function clear(canvas) {
  canvas.width = canvas.height = 1;
}

/** Boxes of faces over a photo, in shares of its size. */
export function boxes(place, result) {
  place.replaceChildren(...result.faces.map((face) => {
    const box = document.createElement("div");
    box.className = "face";
    box.style.left = `${100 * face.x / result.width}%`;
    box.style.top = `${100 * face.y / result.height}%`;
    box.style.width = `${100 * face.width / result.width}%`;
    box.style.height = `${100 * face.height / result.height}%`;
    return box;
  }));
}
