// The page's lists. Names come from other machines: they are only ever text.
const tableRows = 200;

// columns: [{name, isNumber, text(row), value(row), isBad(row)}]
function fillTable(table, columns, rows) {
  const head = element("tr");
  for (const column of columns) {
    const cell = element("th", column.name, column.isNumber ? "number" : undefined);
    cell.scope = "col";
    head.append(cell);
  }
  const thead = element("thead");
  thead.append(head);
  const body = element("tbody");
  for (const row of rows.slice(0, tableRows)) {
    const line = element("tr");
    for (const column of columns) {
      const cell = element("td", undefined, [column.isNumber ? "number" : "", column.isName ? "name" : "", column.isBad?.(row) ? "bad" : ""].join(" ").trim() || undefined);
      if (column.value) cell.append(figure(column.text(row), column.value(row))); else cell.textContent = column.text(row);
      line.append(cell);
    }
    body.append(line);
  }
  if (rows.length > tableRows) {
    const line = element("tr"), cell = element("td", `and ${rows.length - tableRows} more`);
    cell.colSpan = columns.length;
    line.append(cell);
    body.append(line);
  }
  refill(table, [thead, body]);
}

// pairs: [name, text, value]
function fillPairs(list, pairs) {
  refill(list, pairs.flatMap(([name, text, value]) => {
    const item = element("dd");
    item.append(value === undefined ? text : figure(text, value));
    return [element("dt", name), item];
  }));
}

const silence = 10;
const isGone = worker => !worker.is_connected || worker.seconds_since_heard > silence;
const state = worker => !worker.is_connected ? "not connected" : isGone(worker) ? "not heard" : worker.leases > 0 ? "computing" : "idle";
const workerColumns = [
  { name: "worker", isName: true, text: row => row.name.startsWith(row.host) ? row.name : `${row.name} of ${row.host}` },
  { name: "state", text: state, isBad: isGone },
  { name: "slices/s", isNumber: true, text: row => digits(row.slices_per_second, 3), value: row => row.slices_per_second },
  { name: "threads", isNumber: true, text: row => `${row.threads - row.idle_threads} of ${row.threads} busy`, value: row => row.threads },
  { name: "leases", isNumber: true, text: row => whole(row.leases), value: row => row.leases },
  { name: "slices done", isNumber: true, text: row => whole(row.accepted_slices), value: row => row.accepted_slices },
  { name: "audits passed", isNumber: true, text: row => whole(row.audits_passed), value: row => row.audits_passed },
  { name: "class", text: row => row.is_other_class ? "another" : "the run's", isBad: row => row.is_other_class },
  { name: "not delivered", isNumber: true, text: row => whole(row.undelivered), value: row => row.undelivered, isBad: row => row.undelivered > 0 },
  { name: "heard", isNumber: true, text: row => `${duration(row.seconds_since_heard)} ago` },
  { name: "id", text: row => row.fingerprint },
];

function showWorkers(status, isHeard) {
  const note = document.getElementById("workers-note"), table = document.getElementById("workers");
  const workers = status.workers;
  table.hidden = workers.length === 0;
  const connected = workers.filter(worker => worker.is_connected);
  const threads = connected.reduce((sum, worker) => sum + worker.threads, 0);
  const count = connected.length === 1 ? "1 worker" : `${whole(connected.length)} workers`;
  note.textContent = connected.length === 0
    ? (isHeard ? "No worker is connected." : "Nobody coordinates the run now.")
    : `${isHeard ? "" : "When the coordinator was last heard: "}${count}, ${whole(threads)} threads, compute class ${status.compute_class}.`
      + (status.counts.other_class > 0 ? ` ${status.counts.other_class} workers of another class were let in.` : "");
  if (workers.length > 0) fillTable(table, workerColumns, workers);
}

const shardColumns = [
  { name: "shard", isName: true, text: row => row.name },
  { name: "state", text: row => row.state, isBad: row => row.state === "away" },
  { name: "extents", isNumber: true, text: row => whole(row.extents), value: row => row.extents },
  { name: "used", isNumber: true, text: row => `${bytes(row.bytes)} of ${bytes(row.capacity_bytes)}` },
  { name: "rows/s", isNumber: true, text: row => whole(row.rows_per_second), value: row => row.rows_per_second },
];

function showMemory(status) {
  const { size, rows } = status.memory, shards = status.memory_shards;
  const cached = status.rows_cached, fetched = status.rows_fetched;
  const pairs = [
    ["filled", percent(Math.min(rows, size) / size), Math.min(rows, size) / size],
    ["room, in rows", whole(size), size], ["rows enqueued", whole(rows), rows],
  ];
  if (known(cached) && known(fetched) && cached + fetched > 0) {
    pairs.push(["newest step: from caches", percent(cached / (cached + fetched)), cached / (cached + fetched)], ["rows fetched", whole(fetched), fetched]);
  }
  if (shards && shards.shards.length > 0) {
    pairs.push(["extents", whole(shards.extents), shards.extents], ["with the coordinator", whole(shards.local_extents), shards.local_extents],
      ["copies to make", whole(shards.copies_to_make), shards.copies_to_make], ["extents to move", whole(shards.moves_to_make), shards.moves_to_make],
      ["found damaged", whole(shards.damaged_extents), shards.damaged_extents]);
  } else pairs.push(["kept by", "the coordinator alone"]);
  fillPairs(document.getElementById("memory"), pairs);
  const table = document.getElementById("shards");
  table.hidden = !shards || shards.shards.length === 0;
  if (!table.hidden) fillTable(table, shardColumns, shards.shards);
}

function showTrust({ counts, quarantined }) {
  const names = [
    ["leases accepted", "accepted"], ["leases compared by audits", "audited"], ["answers found wrong", "wrong"],
    ["computed by the coordinator", "judged"], ["leases overdue", "expired"], ["payloads not delivered", "undelivered"],
    ["results not finite", "not_finite"], ["messages refused", "refusals"], ["messages unreadable", "malformed"],
    ["workers gone", "absent"], ["checkpoints failed", "failed_checkpoints"],
  ];
  fillPairs(document.getElementById("trust"), [
    ...names.map(([name, key]) => [name, whole(counts[key]), counts[key]]),
    ["hosts in quarantine", quarantined.map(host => host.host).join(", ") || "none"],
  ]);
}

function showCheckpoints(checkpoints, status) {
  const columns = [
    { name: "step", isNumber: true, text: row => whole(row.step), value: row => row.step },
    { name: "written", text: row => time(row.unix_seconds) },
    { name: checkpoints.length === 0 ? "none yet" : "", text: row => row.step === status.durable_step ? "newest whole one" : "" },
  ];
  const table = document.getElementById("checkpoints");
  fillTable(table, columns, checkpoints);
}
