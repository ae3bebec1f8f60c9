import Foundation
import TestSupport

/// A run of real processes, one coordinator, some workers and some memory shards, under blows whose kinds and moments a
/// seed draws. They may be on hosts of their own, and then links are cut too.
///
/// Who is killed is started again a moment later, who is stopped goes on a moment later. A run that has no newer checkpoint
/// for `patience` is a failure. So are processes that end in any other way than they should, and a run that goes back
/// behind a checkpoint it had. The seed fixes the blows and the pauses; what they meet is up to the machine.
final class Chaos {
  enum Blow: String, CaseIterable {
    case killCoordinator, killWorker, killShard
    /// SIGSTOP, later SIGCONT.
    case stopCoordinator, stopWorker, stopShard
    /// SIGTERM: it gives back what it has and leaves.
    case endWorker
    /// A second coordinator of the same run, at the same address.
    case rival
    /// A worker's or a shard's host is off the network.
    case cutLink
  }

  /// A process and what is planned for it.
  private struct Place {
    let arguments: [String]
    let log: String
    /// What it is started through, on its host.
    var through: [String] = []
    var process: Process?
    /// Bytes of its log that are from earlier starts.
    var logBefore: UInt64 = 0
    /// Meant to end, by our own signal.
    var isStruck = false
    var startsAt = Date.distantPast
    /// Nil while it is not stopped.
    var goesOnAt: Date?
  }

  /// Seconds that a run has for its next checkpoint, or its end: many times what it needs.
  private static let patience = 120.0
  /// Seconds that a worker has to leave after SIGTERM.
  private static let grace = 30.0

  let seed: UInt64
  private let workshop: Workshop
  private let name: String
  /// Seconds between blows.
  private let pauses: ClosedRange<Double>
  private let hosts: VirtualHosts?
  /// By host: when it is on the network again.
  private var cutUntil: [String: Date] = [:]
  /// The newest checkpoint, when a newer one is late, and when that is looked at next.
  private var progress = (step: 0, lateAt: Date() + Chaos.patience, looksAt: Date())
  private var random: SplitMix64
  private var coordinator: Place
  private var workers: [Place]
  private var shards: [Place]
  /// When the coordinator was killed.
  private var deaths: [Date] = []
  private(set) var counts: [Blow: Int] = [:]
  /// What happened, for people.
  private var story: [(time: Date, text: String)] = []
  private let begun = Date()

  /// Starts the coordinator alone.
  /// - Parameters:
  ///   - recipe: flags of the run besides the workshop's.
  ///   - hosts: one for each process, of its name: "coordinator", "worker-0", "shard-0".
  init(
    seed: UInt64, workers count: Int, shards shardCount: Int, pauses: ClosedRange<Double>, recipe: [String],
    on hosts: VirtualHosts? = nil, in workshop: Workshop
  ) throws {
    self.seed = seed
    self.workshop = workshop
    self.pauses = pauses
    self.hosts = hosts
    name = "chaos-\(seed)"
    random = SplitMix64(seed: seed)
    // Rows come from the shards; on hosts of their own, and else with odd seeds, weights and sums from each other.
    let exchange = hosts != nil || seed % 2 == 1 ? "always" : "never"
    let open = hosts == nil ? [] : ["--insecure"]
    let recipe = recipe + ["--memory-replicas", "2", "--row-cache", "0", "--exchange", exchange] + open
    let logs = try workshop.folder("logs-\(seed)")
    func within(_ host: String) -> [String] { hosts?.within(host) ?? [] }
    func listening(_ host: String) -> [String] {
      ["--listen", "tcp://\(hosts?.address(host) ?? "127.0.0.1"):0"] + open
    }
    // The first start finds a free port; the others listen there again.
    let first = try Program.start(
      workshop.coordinator(name, listening("coordinator")[1]) + recipe, log: logs + "/coordinator.log",
      through: within("coordinator"))
    let address = try workshop.address(name)
    coordinator = Place(
      arguments: workshop.coordinator(name, address) + recipe, log: logs + "/coordinator.log",
      through: within("coordinator"), process: first)
    workers = (0..<count).map {
      Place(
        arguments: [
          "worker", "--coordinator", address, "--data", workshop.data, "--threads", "1", "--row-cache", "0", "--host",
          "host \($0)",
        ] + listening("worker-\($0)"), log: logs + "/worker-\($0).log", through: within("worker-\($0)"))
    }
    let directory = workshop.folder + "/shards-\(seed)"
    shards = (0..<shardCount).map {
      Place(
        arguments: [
          "memory", "--coordinator", address, "--capacity", "64MiB", "--directory", "\(directory)/\($0)", "--host",
          "shard \($0)",
        ] + (hosts == nil ? [] : listening("shard-\($0)")), log: logs + "/shard-\($0).log",
        through: within("shard-\($0)"))
    }
  }

  deinit {
    for place in workers + shards + [coordinator] {
      if let process = place.process, process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
  }

  var run: String { name }

  var total: Int { counts.values.reduce(0, +) }

  /// Deals blows until there were so many, or the run is done, and waits for its end.
  /// - Returns: What went wrong; nil when nothing did.
  func run(blows limit: Int) throws -> String? {
    var next = Date() + pause(upTo: 0.5)
    while true {
      Thread.sleep(forTimeInterval: 0.005)
      if let process = coordinator.process, !process.isRunning, !coordinator.isStruck {
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
          return "the coordinator ended by itself, \(Self.end(of: process))"
        }
        return try finish()
      }
      if let problem = try startAndContinue(&coordinator, "coordinator") { return problem }
      for index in workers.indices {
        if let problem = try startAndContinue(&workers[index], "worker \(index)") { return problem }
      }
      for index in shards.indices {
        if let problem = try startAndContinue(&shards[index], "shard \(index)") { return problem }
      }
      try plugIn(after: Date())
      if isStuck { return "step \(progress.step) was the newest checkpoint for \(Self.patience) s" }
      guard total < limit, Date() > next else { continue }
      if let problem = try strike() { return problem }
      next = Date() + pauses.lowerBound + pause(upTo: pauses.upperBound - pauses.lowerBound)
    }
  }

  /// Looks once a second.
  private var isStuck: Bool {
    let now = Date()
    guard now > progress.looksAt else { return false }
    progress.looksAt = now + 1
    if let newest = workshop.steps(name).last, newest > progress.step {
      progress = (newest, now + Self.patience, now + 1)
    }
    return now > progress.lateAt
  }

  /// What happened and what the processes said last.
  var report: String {
    let logs = (workers + shards + [coordinator]).map { place in
      let text = (try? String(contentsOfFile: place.log, encoding: .utf8)) ?? ""
      return place.log.split(separator: "/").last.map(String.init)! + ":\n"
        + text.split(separator: "\n").suffix(15).joined(separator: "\n")
    }
    return "MASSL_SEED=\(seed) swift test -c release --disable-testable-imports --filter ChaosTests\n"
      + (story.suffix(40).map(\.text) + logs).joined(separator: "\n")
  }
}

// MARK: - Blows

extension Chaos {
  private func pause(upTo seconds: Double) -> Double { seconds * Double(random.next(below: 1000)) / 1000 }

  private func strike() throws -> String? {
    let blows = Blow.allCases.filter { $0 != .cutLink || hosts != nil }
    let blow = blows[Int(random.next(below: UInt64(blows.count)))]
    let index = Int(random.next(below: UInt64(workers.count)))
    let shard = Int(random.next(below: UInt64(shards.count)))
    let length = pause(upTo: 2)
    switch blow {
    case .killCoordinator: strike(&coordinator, SIGKILL, blow, "coordinator", length / 2)
    case .killWorker: strike(&workers[index], SIGKILL, blow, "worker \(index)", length / 2)
    case .killShard: strike(&shards[shard], SIGKILL, blow, "shard \(shard)", length / 2)
    case .endWorker: strike(&workers[index], SIGTERM, blow, "worker \(index)", length / 2)
    case .stopCoordinator: strike(&coordinator, SIGSTOP, blow, "coordinator", length)
    case .stopWorker: strike(&workers[index], SIGSTOP, blow, "worker \(index)", length * 2)
    case .stopShard: strike(&shards[shard], SIGSTOP, blow, "shard \(shard)", length)
    case .rival: return try sendRival()
    case .cutLink: try cut(Bool.random(using: &random) ? "worker-\(index)" : "shard-\(shard)")
    }
    return nil
  }

  /// For 5 to 60 seconds, short times more often.
  private func cut(_ host: String) throws {
    let length = 5 * pow(12, pause(upTo: 1))
    guard let hosts, cutUntil[host] == nil else { return }
    note("cutLink, \(host), for \(length) s")
    counts[.cutLink, default: 0] += 1
    try hosts.unplug(host)
    cutUntil[host] = Date() + length
  }

  private func plugIn(after time: Date) throws {
    for (host, end) in cutUntil where end <= time {
      try hosts?.plugIn(host)
      cutUntil[host] = nil
      note("\(host) is on the network again")
    }
  }

  private func strike(_ place: inout Place, _ signal: Int32, _ blow: Blow, _ who: String, _ length: Double) {
    // Whom an earlier blow has hit waits for its next start; a stopped process would not hear SIGTERM.
    guard let process = place.process, process.isRunning, !place.isStruck,
      signal == SIGKILL || place.goesOnAt == nil
    else { return }
    note("\(blow.rawValue), \(who), for \(length) s")
    counts[blow, default: 0] += 1
    if blow == .killCoordinator { deaths.append(Date()) }
    kill(process.processIdentifier, signal)
    if signal == SIGSTOP {
      place.goesOnAt = Date() + length
    } else {
      place.goesOnAt = nil
      place.isStruck = true
      place.startsAt = Date() + length
    }
  }

  /// Is turned away by the lock of the run directory, whatever state its owner is in, once it has an owner.
  private func sendRival() throws -> String? {
    guard let process = coordinator.process, process.isRunning, !coordinator.isStruck, ownsTheRun else { return nil }
    note("rival")
    counts[.rival, default: 0] += 1
    let ended = try Program.run(coordinator.arguments, through: coordinator.through)
    // The run may have ended meanwhile: then there is nothing left to do for it.
    let isRight = ended.status == 75 || ended.status == 0 && !process.isRunning
    return isRight ? nil : "a second coordinator ended with \(ended)"
  }

  /// Whether this start of the coordinator came as far as its lock.
  private var ownsTheRun: Bool {
    guard let log = FileHandle(forReadingAtPath: coordinator.log) else { return false }
    try? log.seek(toOffset: coordinator.logBefore)
    return String(decoding: log.availableData, as: UTF8.self).contains("Listens on ")
  }

  /// Continues and starts again when the time has come; says so when a process ended that should not have.
  private func startAndContinue(_ place: inout Place, _ who: String) throws -> String? {
    if let time = place.goesOnAt, Date() > time, let process = place.process {
      place.goesOnAt = nil
      kill(process.processIdentifier, SIGCONT)
      note("\(who) goes on")
    }
    if let process = place.process {
      if process.isRunning {
        let isLate = place.isStruck && Date() > place.startsAt + Self.grace
        return isLate ? "\(who) did not leave within \(Self.grace) s" : nil
      }
      let leftInOrder = process.terminationReason == .exit && process.terminationStatus == 0
      guard place.isStruck else {
        // A worker leaves by itself when it hears that the run is done; that it is shows soon.
        return leftInOrder ? nil : "\(who) ended by itself, \(Self.end(of: process))"
      }
      let wasKilled = process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGKILL
      // SIGTERM in the first moments of a process ends it before it listens to signals.
      let wasEndedEarly = process.terminationReason == .uncaughtSignal && process.terminationStatus == SIGTERM
      guard wasKilled || leftInOrder || wasEndedEarly else { return "\(who) ended \(Self.end(of: process))" }
      place.process = nil
      place.isStruck = false
    }
    guard Date() > place.startsAt else { return nil }
    let attributes = try? FileManager.default.attributesOfItem(atPath: place.log)
    place.logBefore = (attributes?[.size] as? NSNumber)?.uint64Value ?? 0
    place.process = try Program.start(place.arguments, log: place.log, through: place.through)
    note("\(who) starts")
    return nil
  }

  private func note(_ text: String) {
    let now = Date()
    let milliseconds = Int(now.timeIntervalSince(begun) * 1000)
    story.append((now, "\(milliseconds) ms, step \(workshop.steps(name).last ?? 0): \(text)"))
  }

  private static func end(of process: Process) -> String {
    process.terminationReason == .exit
      ? "with exit code \(process.terminationStatus)" : "by signal \(process.terminationStatus)"
  }
}

// MARK: - The end

extension Chaos {
  /// The times between the run's steps, as they are in its records.
  func gaps() throws -> StepGaps {
    let records = try String(contentsOfFile: workshop.run(name) + "/metrics.jsonl", encoding: .utf8)
    return StepGaps(records: records, deaths: deaths.map(\.timeIntervalSince1970))
  }

  /// What happened in a time, and in the seconds before it, to those who were hit.
  /// - Parameter time: in seconds since 1970.
  func story(of time: ClosedRange<Double>) -> [String] {
    story.filter {
      time.lowerBound - 5 <= $0.time.timeIntervalSince1970 && $0.time.timeIntervalSince1970 <= time.upperBound
    }
    .map(\.text)
  }

  /// Has the workers and shards leave, and looks for steps backwards.
  private func finish() throws -> String? {
    try plugIn(after: .distantFuture)
    let others = workers + shards
    for place in others {
      guard let process = place.process, process.isRunning else { continue }
      kill(process.processIdentifier, SIGCONT)
      kill(process.processIdentifier, SIGTERM)
    }
    let end = Date() + Self.grace
    for place in others {
      guard let process = place.process else { continue }
      guard eventually(within: end.timeIntervalSinceNow, { !process.isRunning }) else {
        return "who logs to \(place.log) did not leave within \(Self.grace) s of the run's end"
      }
    }
    return Self.stepBackwards(in: (try? String(contentsOfFile: coordinator.log, encoding: .utf8)) ?? "")
  }

  /// A start that resumed before a checkpoint that was durable by then, or before an earlier start's.
  private static func stepBackwards(in log: String) -> String? {
    var newest = 0
    for line in log.split(separator: "\n") {
      if let range = line.range(of: "Checkpoint of step "), line.hasSuffix("is durable.") {
        newest = max(newest, Int(line[range.upperBound...].prefix { $0.isNumber }) ?? 0)
      }
      if line.contains("Listens on "), let range = line.range(of: ", step ", options: .backwards) {
        let step = Int(line[range.upperBound...].prefix { $0.isNumber }) ?? 0
        if step < newest { return "step \(newest) was durable, but the next start was at \(step)" }
        newest = step
      }
    }
    return nil
  }
}
