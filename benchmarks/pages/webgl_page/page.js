// One map in one way, `?way=regl&points=60000`; `result` is a promise of what a reader waits for.
// A way resolves when it has drawn, and says where the map is, how a selection starts and what it finds.

const WIDTH = 960, HEIGHT = 600, STEPS = 12, VERTICES = 30;
const query = new URLSearchParams(location.search);
const count = Number(query.get("points"));
const map = document.getElementById("map");
const contexts = new Set(); // of WebGL, whoever makes them: what is drawn must be finished to be counted

const { getContext } = HTMLCanvasElement.prototype;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  const context = getContext.call(this, kind, ...rest);
  if (context && kind.includes("webgl")) contexts.add(context);
  return context;
};

const ways = {
  async regl() {
    const { default: createScatterplot } = await import("regl-scatterplot");
    const points = await fetchPoints();
    const canvas = map.appendChild(document.createElement("canvas"));
    const plot = createScatterplot({
      canvas, width: WIDTH, height: HEIGHT, aspectRatio: WIDTH / HEIGHT, pointSize: 2, opacity: 0.7,
      colorBy: "valueA", pointColor: colors(),
    });
    await plot.draw({ x: points.x, y: points.y, valueA: points.kind }, { zDataType: "categorical" });
    send("mouseenter", WIDTH / 2, HEIGHT / 2);
    return {
      startLasso: () => plot.set({ mouseMode: "lasso" }),
      selected: () => new Promise(done => plot.subscribe("select", event => done(event.points.length), 1)),
      place: () => plot.get("cameraView").join(),
    };
  },

  async plotly() {
    const { default: Plotly } = await import("plotly.js-gl2d-dist-min");
    const { x, y, kind } = await fetchPoints();
    const [xaxis, yaxis] = [0, 1].map(() => ({ range: [-1, 1], visible: false }));
    const margin = { l: 0, r: 0, t: 0, b: 0 };
    const layout = { width: WIDTH, height: HEIGHT, margin, xaxis, yaxis, dragmode: "pan", showlegend: false };
    const traces = colors().map((color, i) => {
      const of = values => values.filter((_, at) => kind[at] === i);
      return { type: "scattergl", mode: "markers", x: of(x), y: of(y), marker: { color, size: 3, opacity: 0.7 } };
    });
    await Plotly.newPlot(map, traces, layout, { scrollZoom: true, displayModeBar: false });
    return {
      startLasso: () => Plotly.relayout(map, { dragmode: "lasso" }),
      selected: () => new Promise(done => map.once("plotly_selected", event => done(event.points.length))),
      place: () => map._fullLayout.xaxis.range.join(),
    };
  },

  async ours() {
    const { default: embed } = await import("vega-embed");
    let view;
    const ask = (what, values) => fetch(`/${what}/${count}?${new URLSearchParams(values)}`).then(got => got.json());
    const extent = name => Object.values(view.signal(name)).flatMap(ends => [...ends].sort((a, b) => a - b)).join();
    const draw = async state => {
      const before = pictures();
      const spec = { ...(await ask("map", state)), width: WIDTH - 10 };
      ({ view } = await embed(map, spec, { renderer: "svg", actions: false }));
      while (pictures() === before) await frame();
    };
    await draw({});
    return {
      startLasso() {},
      path: part => [280 + 400 * part, 170 + 260 * part], // a box, which the server answers
      selected: () => released().then(() => ask("selected", { box: extent("box") })),
      place: () => ["zoom", "box"].map(name => JSON.stringify(view.signal(name))).join(),
      sharpen: () => draw({ view: extent("zoom") }),
    };
  },
};

const colors = () => Array.from({ length: 10 }, (_, i) => `#${(0x2f6fde + i * 0x163a51).toString(16).slice(-6)}`);
const pictures = () => performance.getEntriesByType("resource").filter(got => got.name.includes("/picture/")).length;
const frame = () => new Promise(requestAnimationFrame);
const released = () => new Promise(done => addEventListener("pointerup", done, { once: true }));

async function fetchPoints() {
  const bytes = await (await fetch(`/points/${count}`)).arrayBuffer();
  const [x, y] = [0, 1].map(column => new Float32Array(bytes, 4 * count * column, count));
  return { x, y, kind: new Uint8Array(bytes, 8 * count) };
}

function send(kind, x, y, more = {}) {
  const Event = kind === "wheel" ? WheelEvent : kind.startsWith("pointer") ? PointerEvent : MouseEvent;
  const options = { bubbles: true, cancelable: true, view: window, clientX: x, clientY: y, ...more };
  document.elementFromPoint(x, y).dispatchEvent(new Event(kind, options));
}

function move(what, x, y) {
  for (const device of ["pointer", "mouse"]) send(device + what, x, y, { buttons: what === "up" ? 0 : 1 });
}

async function finishedFrame() {
  await frame();
  for (const gl of contexts) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now();
}

async function framesOf(steps, act) {
  const frames = [];
  for (let i = 1, before = await finishedFrame(); i <= steps; i++) {
    act(i / steps);
    const end = await finishedFrame();
    frames.push(end - before);
    before = end;
  }
  return frames;
}

async function drag(steps, at) {
  move("down", ...at(0));
  const frames = await framesOf(steps, part => move("move", ...at(part)));
  move("up", ...at(1));
  return frames;
}

async function secondsOf(act) {
  const started = performance.now();
  await act();
  return ((await finishedFrame()) - started) / 1000;
}

async function measure() {
  const way = await ways[query.get("way")]();
  const drawn = (await finishedFrame()) / 1000;
  const wheel = part => send("wheel", 420, 280, { deltaY: part < 0.6 ? -40 : 40 });
  const places = [way.place()];
  const zoom = await framesOf(STEPS, wheel);
  places.push(way.place());
  const sharp = way.sharpen ? await secondsOf(way.sharpen) : null;
  const pan = await drag(STEPS, part => [420 + 160 * part, 280 + 90 * part]);
  places.push(way.place());
  if (new Set(places).size < places.length) throw new Error(`the map stayed where it was: ${places}`);
  const around = part => [480 + 200 * Math.cos(6 * part), 300 + 150 * Math.sin(6 * part)];
  await way.startLasso();
  const selected = way.selected();
  const lasso = await secondsOf(async () => (await drag(VERTICES, way.path ?? around), selected));
  const sent = performance.getEntries().reduce((sum, entry) => sum + (entry.transferSize ?? 0), 0) / 1e6;
  return { drawn, frames: [...zoom, ...pan], sharp, lasso, selected: await selected, sent };
}

window.result = measure();
