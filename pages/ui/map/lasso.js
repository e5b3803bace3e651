/** Draws a shape over the map with the pointer and sends its corners in the coordinates of the map, as in an address. */
export default function ({ data, parentElement, setTriggerValue }) {
  const [draw, clear] = parentElement.querySelectorAll("button");
  const sheet = parentElement.querySelector(".sheet");
  const line = parentElement.querySelector("polygon");
  clear.hidden = !data.drawn;
  clear.onclick = () => setTriggerValue("shape", "");
  let corners = [];

  const stop = () => {
    sheet.hidden = true;
    draw.setAttribute("aria-pressed", "false");
  };
  const cover = () => {
    const plot = plotOf(data);
    if (!plot) return stop();
    for (const side of ["left", "top", "width", "height"]) sheet.style[side] = `${plot[side]}px`;
  };
  const show = (points) => {
    corners = points;
    line.setAttribute("points", points.map((point) => point.join(",")).join(" "));
  };
  draw.onclick = () => {
    if (!sheet.hidden) return stop();
    show([]);
    sheet.hidden = false;
    draw.setAttribute("aria-pressed", "true");
    cover();
  };
  sheet.onpointerdown = (event) => {
    sheet.setPointerCapture(event.pointerId);
    show([[event.offsetX, event.offsetY]]);
  };
  sheet.onpointermove = (event) => {
    if (sheet.hasPointerCapture(event.pointerId)) show([...corners, [event.offsetX, event.offsetY]]);
  };
  sheet.onpointerup = () => {
    const shape = simplify(corners, data.most);
    const { clientWidth: width, clientHeight: height } = sheet;
    stop();
    if (shape.length < 3) return;
    const [left, right, bottom, top] = data.extent;
    const place = ([x, y]) => [left + (x / width) * (right - left), top - (y / height) * (top - bottom)];
    setTriggerValue("shape", shape.map((point) => place(point).map((part) => part.toPrecision(5))).join(","));
  };
  const onKey = (event) => event.key === "Escape" && stop();
  window.addEventListener("keydown", onKey);
  window.addEventListener("scroll", cover, true);
  window.addEventListener("resize", cover);
  return () => {
    window.removeEventListener("keydown", onKey);
    window.removeEventListener("scroll", cover, true);
    window.removeEventListener("resize", cover);
  };
}

/** Where the dots of the chart lie on the screen: all of it but its padding and, above, the legend. */
function plotOf({ chart, height, padding }) {
  const marks = document.querySelector(`.st-key-${chart} .marks`);
  if (!marks) return null;
  const box = marks.getBoundingClientRect();
  return { left: box.left + padding, top: box.bottom - padding - height, width: box.width - 2 * padding, height };
}

/** At most so many corners: those that are furthest from the line between their neighbours. Douglas and Peucker 1973. */
function simplify(points, most) {
  for (let tolerance = 1; ; tolerance *= 1.5) {
    const kept = thin(points, tolerance);
    if (kept.length <= most) return kept;
  }
}

function thin(points, tolerance) {
  if (points.length < 3) return points;
  const [first, last] = [points[0], points.at(-1)];
  let [furthest, at] = [0, 0];
  points.forEach((point, index) => {
    const away = distance(point, first, last);
    if (away > furthest) [furthest, at] = [away, index];
  });
  if (furthest <= tolerance) return [first, last];
  return [...thin(points.slice(0, at + 1), tolerance).slice(0, -1), ...thin(points.slice(at), tolerance)];
}

function distance([x, y], [x0, y0], [x1, y1]) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length === 0) return Math.hypot(x - x0, y - y0);
  return Math.abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length;
}
