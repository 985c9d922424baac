// The page at /inspect: draws what the runner tells as it happens. It asks for nothing else and changes nothing.
// Every text is set as text: node and workflow names are other people's.

const HEADLINES = {
  disconnected: "Not connected",
  connecting: "Connecting to n8n …",
  authenticated: "Connected; n8n has yet to register this runner",
  listening: "Listening: ready for tasks",
  backoff: "No connection: trying again in a few seconds",
  auth_failed: "n8n refused the credential",
  shutting_down: "Shutting down",
};
const OUTCOMES = { failed: "failed", cancelled: "cancelled", timed_out: "timed out", killed: "killed", lost: "lost" };
const SILENCE = 5000; // how long the runner may say nothing before the page says so, in ms
const LEAST_SHOWN = 24; // how many slices of time a chart has at least
const AGAIN = 2000; // after how long the page asks again, in ms
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
let ahead = 0; // by how much the runner's clock is ahead of ours, in seconds
let heardAt = 0;
let began = 0; // when the runner did, in seconds since 1970
let lastEntry = 0;
let isPaused = false;
let waiting = new Map(); // what came while paused: the latest of each section

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Words for numbers

const now = () => Date.now() / 1000 + ahead;

function clock(seconds) {
  return new Date(seconds * 1000).toTimeString().slice(0, 8);
}

function span(seconds) {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const [large, small, parts, ...names] = seconds < 3600 ? [60, 1, 60, "min", "s"]
    : seconds < 86400 ? [3600, 60, 60, "h", "min"] : [86400, 3600, 24, "d", "h"];
  const rest = Math.floor(seconds / small) % parts;
  return `${Math.floor(seconds / large)} ${names[0]}${rest ? ` ${rest} ${names[1]}` : ""}`;
}

function size(bytes) {
  if (bytes === null) return "–";
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) {
    value /= 1024;
    units.shift();
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}

const age = (since) => make("span", { className: "age", "data-since": since }, span(now() - since));

function updateAges() {
  for (const element of document.querySelectorAll(".age")) {
    element.textContent = span(now() - Number(element.dataset.since));
  }
}

// Sections

function showAbout(about) {
  began = about.began;
  const pairs = [
    ["version", about.version],
    ["Python", about.python],
    ["id", about.runner_id],
    ["n8n at", about.broker],
    ["up for", age(about.began)],
  ];
  byId("about").replaceChildren(...pairs.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

function showConnection(connection) {
  const changed = document.body.dataset.state !== connection.state;
  document.body.dataset.state = connection.state;
  for (const state of document.querySelectorAll(".state")) {
    state.classList.toggle("current", state.dataset.state === connection.state);
  }
  for (const arrow of document.querySelectorAll(".arrow")) {
    const isLast = connection.last !== null && arrow.dataset.source === connection.last.source
      && arrow.dataset.target === connection.last.target;
    arrow.classList.toggle("last", isLast);
    arrow.classList.toggle("again", isLast && changed);
    if (isLast) arrow.parentNode.insertBefore(arrow, document.querySelector(".state"));
  }
  if (connection.last !== null) {
    byId("last").replaceChildren(`${connection.last.event}, `, age(connection.since), ` ago; connection ${connection.number}`);
  }
  byId("headline").textContent = HEADLINES[connection.state] ?? connection.state;
  if (changed) byId("announcement").textContent = `The connection is now ${connection.state.replace("_", " ")}.`;
}

function showReadiness(readiness) {
  document.body.dataset.ready = readiness.ready ? "yes" : "no";
  byId("reasons").replaceChildren(...readiness.reasons.map((reason) => make("li", {}, reason)));
}

function showSlots(slots) {
  byId("busy").textContent = slots.busy;
  byId("total").textContent = slots.total;
  byId("offered").textContent = slots.offered;
  const shown = Math.min(slots.total, 48);
  byId("slots").replaceChildren(...Array.from({ length: shown }, (_, index) => make("span", {
    className: index < slots.busy ? "busy" : index < slots.busy + slots.offered ? "offered" : "",
  })));
}

function showTasks(tasks) {
  byId("no-tasks").hidden = tasks.shown.length > 0;
  byId("tasks-region").hidden = tasks.shown.length === 0;
  byId("tasks").replaceChildren(...tasks.shown.map((task) => make("tr", { "data-task": task.task_id },
    make("td", {}, task.state === "accepted" ? "waits for its settings" : task.node_name),
    make("td", {}, task.state === "accepted" ? "–" : task.workflow_name),
    make("td", {}, make("code", {}, task.task_id)),
    make("td", { className: "number" }, age(task.since)),
    make("td", { className: "number" }, size(task.memory_bytes)))));
  byId("more-tasks").hidden = tasks.more === 0;
  byId("more-tasks").textContent = `and ${tasks.more} more`;
}

function showFailures(failures) {
  byId("no-failures").hidden = failures.length > 0;
  byId("failures-region").hidden = failures.length === 0;
  byId("failures").replaceChildren(...failures.toReversed().map((failure) => make("li", {},
    make("time", {}, clock(failure.time)),
    make("span", {},
      make("span", { className: `word ${failure.outcome === "failed" ? "bad" : "wait"}` }, OUTCOMES[failure.outcome] ?? failure.outcome),
      ` ${failure.node}${failure.line === null ? "" : `, line ${failure.line}`}`),
    make("span", { className: "why" }, `${failure.workflow} · task ${failure.task}`))));
}

function showJournal(entries) {
  const latest = entries.at(-1)?.time ?? 0;
  byId("journal").replaceChildren(...entries.toReversed().map((entry) => {
    const moved = entry.source === entry.target ? entry.source : `${entry.source} → ${entry.target}`;
    const note = entry.outcome === "taken" ? "" : ` (${entry.outcome})`;
    const parts = [
      make("time", {}, clock(entry.time)),
      make("span", {}, make("span", { className: "word" }, entry.event), ` ${moved.replaceAll("_", " ")}${note}`),
    ];
    if (entry.why) parts.push(make("span", { className: "why" }, entry.why));
    const classes = [entry.ignored ? "ignored" : "", lastEntry && entry.time > lastEntry ? "new" : ""];
    return make("li", { className: classes.join(" ").trim() }, ...parts);
  }));
  lastEntry = latest;
}

function showMinutes(minutes) {
  const last = Math.round(60 / minutes.slice);
  const sum = (values) => values.slice(-last).reduce((total, value) => total + value, 0);
  const rate = sum(minutes.done) + sum(minutes.failed);
  const typical = minutes.p50.slice(-last).filter((value) => value !== null);
  byId("rate").textContent = rate;
  byId("typical").textContent = typical.length ? span(typical.reduce((total, value) => total + value, 0) / typical.length) : "–";
  const lived = Math.ceil((minutes.began - began) / minutes.slice) + minutes.done.length;
  const shown = Math.min(minutes.done.length, Math.max(LEAST_SHOWN, lived));
  const length = span(shown * minutes.slice);
  const [done, failed, p50, p95] = [minutes.done, minutes.failed, minutes.p50, minutes.p95].map((all) => all.slice(-shown));
  showBars(byId("throughput"), done, failed, minutes.slice, length);
  showLines(byId("latency"), p50, p95, length);
}

// Charts: 300 by 100, stretched to what there is

const WIDE = 300;
const HIGH = 100;

function frame(holder, label, top, length, heights, ...shapes) {
  const grid = heights.map((y) => draw("line", { class: "grid", x1: 0, x2: WIDE, y1: y, y2: y }));
  const picture = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    ...grid, ...shapes);
  holder.replaceChildren(picture,
    make("div", { className: "axis" }, make("span", {}, `${length} ago`), make("span", {}, top), make("span", {}, "now")));
}

function showBars(holder, done, failed, slice, length) {
  const most = Math.max(1, ...done.map((value, index) => value + failed[index]));
  const width = WIDE / done.length;
  const bars = done.flatMap((value, index) => {
    const bar = (name, count, below) => count === 0 ? [] : [draw("rect", {
      class: name, x: index * width + width * 0.1, width: width * 0.8,
      y: HIGH - (below + count) / most * HIGH, height: count / most * HIGH,
    })];
    return [...bar("done", value, 0), ...bar("failed", failed[index], value)];
  });
  const total = done.reduce((sum, value) => sum + value, 0);
  const bad = failed.reduce((sum, value) => sum + value, 0);
  frame(holder, `${total} tasks with a result and ${bad} without in the last ${length}`,
    `at most ${Math.round(most * 60 / slice)} a minute`, length, [0, 50, HIGH], ...bars);
}

function showLines(holder, p50, p95, length) {
  const values = [...p50, ...p95].filter((value) => value !== null);
  const most = Math.max(0, ...values);
  const decades = Math.max(3, Math.ceil(Math.log10(Math.max(most, 0.001)) + 3)); // above a millisecond
  const height = (value) => HIGH - Math.max(0, Math.log10(Math.max(value, 0.001)) + 3) / decades * HIGH;
  const line = (name, points) => {
    let isOpen = false;
    const parts = points.map((value, index) => {
      const part = value === null ? "" : `${isOpen ? "L" : "M"}${((index + 0.5) * WIDE / points.length).toFixed(2)},${height(value).toFixed(2)}h0.01`;
      isOpen = value !== null;
      return part;
    });
    return draw("path", { class: name, d: parts.join("") || "M0,0" });
  };
  frame(holder, values.length ? `Up to ${span(most)} in the last ${length}` : `No tasks in the last ${length}`,
    values.length ? `at most ${span(most)}` : "no tasks", length,
    Array.from({ length: decades + 1 }, (_, index) => index / decades * HIGH), line("p95", p95), line("p50", p50));
}

// The rest

function showLayers(layers) {
  byId("no-layers").hidden = layers.length > 0;
  byId("layers").replaceChildren(...layers.map((layer) => make("li", { "data-achieved": layer.achieved },
    make("b", {}, layer.layer), make("span", { className: layer.achieved === "complete" ? "" : "word" }, layer.achieved === "complete" ? "✓" : layer.achieved),
    make("p", {}, layer.why))));
}

function showProcesses(processes) {
  byId("memory").textContent = size(processes.memory_bytes);
  byId("processes").textContent = `${processes.waiting} processes wait for a task, ${processes.running} run one; `
    + `${processes.workers_started} so far`;
}

function showCounters(counters) {
  byId("counters").replaceChildren(...Object.entries(counters).map(([name, value]) =>
    make("div", {}, make("dt", {}, name.replaceAll("_", " ")), make("dd", {}, value.toLocaleString("en")))));
}

const SECTIONS = {
  about: showAbout,
  connection: showConnection,
  readiness: showReadiness,
  slots: showSlots,
  tasks: showTasks,
  failures: showFailures,
  journal: showJournal,
  minutes: showMinutes,
  layers: showLayers,
  processes: showProcesses,
  counters: showCounters,
};

// Life

function listen() {
  const source = new EventSource("inspect/events");
  for (const [name, show] of Object.entries(SECTIONS)) {
    source.addEventListener(name, (event) => {
      heard();
      if (isPaused) waiting.set(name, event.data);
      else show(JSON.parse(event.data));
    });
  }
  source.addEventListener("beat", (event) => {
    ahead = JSON.parse(event.data).now - Date.now() / 1000;
    heard();
  });
  source.addEventListener("error", () => {
    setLive(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, AGAIN);
  });
}

function heard() {
  heardAt = Date.now();
  setLive(true);
}

function setLive(isLive) {
  const wasLive = document.body.dataset.live === "yes";
  if (wasLive === isLive) return;
  document.body.dataset.live = isLive ? "yes" : "no";
  byId("stale").hidden = isLive;
  if (!isLive) {
    byId("stale").textContent = `The runner has not answered since ${clock(heardAt / 1000)}. This page tries again by itself.`;
    byId("announcement").textContent = "The runner does not answer.";
  }
}

byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  byId("pause").textContent = isPaused ? "Go on" : "Pause";
  if (!isPaused) {
    for (const [name, data] of waiting) SECTIONS[name](JSON.parse(data));
    waiting = new Map();
  }
});

setInterval(() => {
  if (heardAt && Date.now() - heardAt > SILENCE) setLive(false);
  if (!isPaused) updateAges();
}, 1000);

for (const path of document.querySelectorAll(".arrow path")) path.setAttribute("pathLength", "1");
listen();
