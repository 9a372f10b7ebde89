// From an id map and a table, as a graph gives them, to what the page shows: rows and measured segments.

/** `ids`: 0 for void, else 1 + the row of the table; rows of category -1 are empty. */
export function measured(ids, width, height, categories, scores, known) {
  const count = categories.length;
  const area = new Int32Array(count + 1);
  const left = new Int32Array(count + 1).fill(width);
  const top = new Int32Array(count + 1).fill(height);
  const right = new Int32Array(count + 1);
  const bottom = new Int32Array(count + 1);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = Number(ids[i]);
      if (!id) continue;
      area[id]++;
      if (x < left[id]) left[id] = x;
      if (x >= right[id]) right[id] = x + 1;
      if (y < top[id]) top[id] = y;
      if (y >= bottom[id]) bottom[id] = y + 1;
    }
  }
  const segments = [];
  const places = new Uint16Array(count + 1);
  for (let id = 1; id <= count; id++) {
    const category = Number(categories[id - 1]);
    if (category < 0 || !area[id]) continue;
    segments.push({
      id, category, category_id: known[category].id, name: known[category].name, isthing: known[category].isthing,
      score: Math.round(1e6 * Number(scores[id - 1])) / 1e6, area: area[id],
      bbox: [left[id], top[id], right[id] - left[id], bottom[id] - top[id]],
    });
    places[id] = segments.length;
  }
  const rows = new Uint16Array(width * height);
  for (let i = 0; i < rows.length; i++) rows[i] = places[Number(ids[i])];
  return { rows, segments };
}
