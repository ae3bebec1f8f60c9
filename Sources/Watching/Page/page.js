// Asks for the run's figures again and again, and shows them.
const pauses = { watched: 1500, hidden: 30000, failed: 1500 };
const patience = 8000;
const byId = id => document.getElementById(id);
let run, limits = {}, shownWindow = "whole", failingSince, timer;
const histories = { whole: undefined, newest: undefined, evaluations: undefined };

const charts = [
  new Chart({ title: "Loss", unit: "nats", lines: [{ key: "loss", name: "loss", colour: "blue" }, { key: "consistency", name: "consistency", colour: "orange", needs: "koleo" }, { key: "koleo", name: "KoLeo", colour: "green", needs: "koleo" }] }),
  new Chart({ title: "Target entropy", unit: "nats", lines: [{ key: "target_entropy", name: "entropy", colour: "purple" }], limit: () => known(limits.target_entropy) ? { value: limits.target_entropy, name: "above: collapse" } : undefined }),
  new Chart({ title: "Embedding spread", unit: "1 even, 0 alike", fromZero: true, lines: [{ key: "embedding_spread", name: "spread", colour: "green" }], limit: () => known(limits.embedding_spread) ? { value: limits.embedding_spread, name: "below: collapse" } : undefined }),
  new Chart({ title: "Rows ever chosen", unit: "share", fromZero: true, lines: [{ key: "chosen_share", name: "share", colour: "orange" }], limit: () => known(limits.chosen_share) ? { value: limits.chosen_share, name: "below: collapse" } : undefined }),
  new Chart({ title: "Rate", unit: "images/s", fromZero: true, lines: [{ key: "images_per_second", name: "rate", colour: "blue" }] }),
  new Chart({ title: "Learning rate", unit: "", fromZero: true, lines: [{ key: "lr", name: "lr", colour: "purple" }] }),
  new Chart({ title: "What a step waits for", unit: "s", fromZero: true, lines: [{ key: "row_wait_seconds", name: "rows", colour: "orange" }, { key: "weights_seconds", name: "weights", colour: "blue" }, { key: "reduce_seconds", name: "sums", colour: "green" }, { key: "update_seconds", name: "update", colour: "purple" }] }),
  new Chart({ title: "Gradient norm", unit: "before clipping", fromZero: true, lines: [{ key: "gradient_norm", name: "norm", colour: "blue" }] }),
  new Chart({ title: "Workers", unit: "in the step", fromZero: true, lines: [{ key: "workers", name: "workers", colour: "green" }] }),
];
byId("charts").append(...charts.map(chart => chart.figure));
// Of some steps only, so they have a history of their own.
const evaluationCharts = [
  new Chart({ title: "Rank of the features", unit: "directions", fromZero: true, lines: [{ key: "rank_me", name: "RankMe", colour: "blue" }, { key: "lidar", name: "LiDAR", colour: "green" }] }),
  new Chart({ title: "Decay of their spectrum", unit: "exponent", lines: [{ key: "alpha_req", name: "alpha-ReQ", colour: "purple" }] }),
  new Chart({ title: "k-NN of the sample", unit: "share right", fromZero: true, lines: [{ key: "knn", name: "k-NN", colour: "orange" }] }),
];
byId("evaluation-charts").append(...evaluationCharts.map(chart => chart.figure));

const words = {
  well: "Well", young: "Young", stalled: "Stalled", collapsing: "Collapsing", finished: "Finished", stopped: "Stopped",
  silent: "Coordinator not heard", absent: "Not begun", unreached: "Page not reached",
};

function showVerdict(verdict) {
  const line = byId("verdict");
  line.dataset.state = verdict.state;
  byId("word").textContent = words[verdict.state] ?? verdict.state;
  byId("sentence").textContent = verdict.text;
  document.title = `${words[verdict.state] ?? verdict.state} – ${run?.run.name ?? "massl"}`;
}

// name, text, value, remark
function figures(status, record) {
  const rate = status.images_per_second;
  const wait = [["rows", status.row_wait_seconds], ["weights", status.weights_seconds], ["sums", status.reduce_seconds], ["update", status.update_seconds]]
    .filter(pair => known(pair[1])).sort((one, other) => other[1] - one[1])[0];
  const workers = status.workers.filter(worker => worker.is_connected).length;
  return [
    ["step", whole(status.step), status.step, `of ${whole(status.last_step)}`, "step"],
    ["epoch", whole(status.epoch), status.epoch, `of ${digits(status.epochs)}`, "epoch"],
    ["loss", digits(status.loss, 5), status.loss, known(record?.koleo) && record.koleo !== 0 ? `consistency ${digits(record.consistency)}, KoLeo ${digits(record.koleo, 3)}` : "nats", "loss"],
    ["learning rate", digits(status.lr, 3), status.lr, known(record?.teacher_temp) ? `teacher temperature ${digits(record.teacher_temp, 3)}` : "", "lr"],
    ["rate", digits(rate, 3), rate, "images/s", "images_per_second"],
    ["time left", duration(status.seconds_left), status.seconds_left, "at this rate", "seconds_left"],
    ["embedding spread", digits(status.embedding_spread, 3), status.embedding_spread, "1 even, 0 all alike", "embedding_spread"],
    ["target entropy", digits(status.target_entropy, 4), status.target_entropy, known(limits.target_entropy) ? `nats; collapse over ${digits(limits.target_entropy, 3)}` : "nats", "target_entropy"],
    ["workers", whole(workers), workers, `${whole(run.run.slices_waiting)} of ${whole(status.slices)} slices wait`, "workers"],
    ["memory", percent(Math.min(1, status.memory.rows / status.memory.size)), status.memory.rows, "filled", "memory_rows"],
    ["step takes", duration(run.run.usual_step_seconds), run.run.usual_step_seconds, wait ? `${wait[0]} take ${duration(wait[1])}` : "", "step_seconds"],
    ["checkpoint", status.durable_step === null ? "none yet" : `step ${whole(status.durable_step)}`, status.durable_step, "newest whole one", "durable_step"],
  ];
}

// Of the newest evaluation, if there is one.
function evaluationFigures(evaluation) {
  if (!evaluation) return [];
  const when = `of step ${whole(evaluation.step)}`;
  return [
    ["RankMe", digits(evaluation.rank_me, 3), evaluation.rank_me, when, "rank_me"],
    ["LiDAR", digits(evaluation.lidar, 3), evaluation.lidar, when, "lidar"],
    ["alpha-ReQ", digits(evaluation.alpha_req, 3), evaluation.alpha_req, when, "alpha_req"],
    ...(known(evaluation.knn) ? [["k-NN", digits(evaluation.knn, 3), evaluation.knn, `${when}, ${whole(evaluation.pictures)} pictures`, "knn"]] : []),
  ];
}

function showFigures(status, record) {
  refill(byId("figures"), [...figures(status, record), ...evaluationFigures(status.evaluation)].map(([name, text, value, remark, key]) => {
    const pair = element("div"), item = element("dd");
    const number = figure(text, value);
    number.dataset.figure = key;
    item.append(number, element("small", remark));
    pair.append(element("dt", name), item);
    return pair;
  }));
  const bar = byId("progress");
  bar.setAttribute("aria-valuemax", status.last_step);
  bar.setAttribute("aria-valuenow", status.step);
  bar.firstElementChild.style.width = `${100 * status.step / Math.max(1, status.last_step)}%`;
}

function showRun() {
  limits = run.run.limits;
  byId("name").textContent = `massl: ${run.run.name}`;
  showVerdict(run.run.verdict);
  document.body.classList.toggle("stale", !run.run.is_heard && run.run.verdict.state !== "finished");
  byId("notices").hidden = run.run.notices.length === 0;
  refill(byId("notices"), run.run.notices.map(text => element("li", text)));
  const log = byId("log"), isAtEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const lines = run.run.log.join("\n") || "No line yet.";
  if (log.textContent !== lines) {
    log.textContent = lines;
    if (isAtEnd) log.scrollTop = log.scrollHeight;
  }
  const status = run.status;
  for (const section of document.querySelectorAll("main > section, .columns")) section.hidden = !status && !section.contains(log);
  if (!status) return;
  showFigures(status, run.record);
  showWorkers(status, run.run.is_heard);
  showMemory(status);
  showTrust(status);
  showCheckpoints(run.run.checkpoints, status);
  byId("identity").textContent = `Run ${status.run}, incarnation ${status.incarnation}, compute class ${status.compute_class}.`;
}

// What came since goes behind what is there, unless that no longer holds.
function joined(old, fresh) {
  if (!old || old.key !== fresh.key || fresh.first_step.length === 0) {
    return old && old.key === fresh.key ? { ...old, share_read: fresh.share_read, unreadable_lines: fresh.unreadable_lines } : fresh;
  }
  const kept = old.first_step.findIndex(step => step >= fresh.first_step[0]);
  const length = kept < 0 ? old.first_step.length : kept;
  const lists = part => fresh[part] && Object.fromEntries(Object.keys({ ...old[part], ...fresh[part] }).map(key => [key, [
    ...(old[part][key] ?? Array(old.first_step.length).fill(null)).slice(0, length),
    ...(fresh[part][key] ?? Array(fresh.first_step.length).fill(null)),
  ]]));
  return {
    ...fresh, first_step: [...old.first_step.slice(0, length), ...fresh.first_step],
    last_step: [...old.last_step.slice(0, length), ...fresh.last_step], mean: lists("mean"), least: lists("least"), largest: lists("largest"),
  };
}

// The newest steps only: what is older is forgotten, as by the server.
function shortened(history, count) {
  const surplus = history.first_step.length - count;
  if (surplus <= 0) return history;
  const cut = lists => lists && Object.fromEntries(Object.entries(lists).map(([key, list]) => [key, list.slice(surplus)]));
  return { ...history, first_step: history.first_step.slice(surplus), last_step: history.last_step.slice(surplus), mean: cut(history.mean), least: cut(history.least), largest: cut(history.largest) };
}

async function ask(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(patience) });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function askHistory(name) {
  const old = histories[name];
  const since = old ? `&key=${encodeURIComponent(old.key)}&since=${old.last_step.at(-1) ?? 0}` : "";
  const history = joined(old, await ask(`/api/history?window=${name}${since}`));
  histories[name] = name === "newest" ? shortened(history, 800) : history;
}

function showHistory() {
  const history = histories[shownWindow];
  if (!history) return;
  const note = byId("history-note");
  const remarks = [];
  if (history.share_read < 1) remarks.push(`Reading metrics.jsonl: ${percent(history.share_read)}. Until then these are some of its lines.`);
  if (history.first_step.length === 0) remarks.push("No step is recorded in metrics.jsonl yet.");
  if (history.unreadable_lines > 0) remarks.push(`${whole(history.unreadable_lines)} lines of metrics.jsonl are no records: cut short, or of another program. They are left out.`);
  if (history.span > 1) remarks.push(`Each point is the mean of ${whole(history.span)} steps; the shade goes from their least to their largest value.`);
  note.textContent = remarks.join(" ");
  note.hidden = remarks.length === 0;
  for (const chart of charts) chart.show(history);
  const evaluations = histories.evaluations;
  byId("evaluation-charts").hidden = !evaluations || evaluations.first_step.length === 0;
  if (!byId("evaluation-charts").hidden) for (const chart of evaluationCharts) chart.show(evaluations);
}

async function turn() {
  clearTimeout(timer);
  let pause = document.hidden ? pauses.hidden : pauses.watched;
  try {
    [run] = await Promise.all([ask("/api/run"), askHistory(shownWindow), askHistory("evaluations")]);
    failingSince = undefined;
  } catch {
    failingSince ??= Date.now();
    pause = pauses.failed;
    document.body.classList.add("stale");
    const last = run ? ` Last known: ${run.run.verdict.text}` : "";
    showVerdict({ state: "unreached", text: `This page's process has not answered for ${duration((Date.now() - failingSince) / 1000)}; trying again.${last}` });
  }
  clearTimeout(timer);
  timer = setTimeout(turn, pause);
  if (failingSince !== undefined) return;
  showRun();
  showHistory();
}

for (const button of document.querySelectorAll("[data-window]")) {
  button.addEventListener("click", () => {
    shownWindow = button.dataset.window;
    for (const other of document.querySelectorAll("[data-window]")) other.setAttribute("aria-pressed", String(other === button));
    if (histories[shownWindow]) showHistory();
    turn();
  });
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
new ResizeObserver(showHistory).observe(byId("charts"));
turn();
