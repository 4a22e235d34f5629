// What numbers mean, in words.

/** A probability as people say it. */
export function words(probability) {
  const tens = Math.round(probability * 10);
  const verdict =
    probability >= 0.85 ? "Very likely to be liked." :
    probability >= 0.65 ? "Likely to be liked." :
    probability >= 0.55 ? "A little more likely liked than not." :
    probability > 0.45 ? "It could go either way." :
    probability > 0.35 ? "A little less likely liked than not." :
    probability > 0.15 ? "Unlikely to be liked." : "Very unlikely to be liked.";
  const share = tens === 0 ? "fewer than 1" : tens === 10 ? "nearly all" : `about ${tens}`;
  return `${verdict} Of 10 photos that the model scores like this, ${share} ${tens === 1 || tens === 0 ? "was" : "were"} liked.`;
}

/** A probability as a whole percentage; never certain. */
export function percent(probability) {
  return `${Math.min(99, Math.max(1, Math.round(probability * 100)))} %`;
}

/** How many there are of something. */
export function count(number, one, many) {
  return `${number === 0 ? "no" : number} ${number === 1 ? one : many}`;
}

/** Milliseconds, or seconds where there are many. */
export function duration(ms) {
  return ms < 1000 ? `${Math.max(1, Math.round(ms))} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/** A signed number of three digits. */
export function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toPrecision(2)}`;
}
