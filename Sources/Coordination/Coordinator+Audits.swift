import Messages
import Numerics
import Slices

/// Answers that are compared: a share of the leases is given to a second worker too, which neither of the two is told,
/// and no payload of them comes before both answers are in and have the same bits. So of what is audited nothing wrong
/// ever reaches the sum.
///
/// Who is asked second: a worker on another host, else another worker, else the coordinator's own computing. If the two
/// differ, a third host decides, the coordinator's own computing if there is none. It also answers for whoever forgets to,
/// soon where all others are busy, and soon for whoever has never answered anything: else a crowd of those could keep a
/// step waiting one after the other. Where there is more than one host, two answers of one are no more than one: what is
/// broken in it may be wrong twice in the same way, a worker that is killed and started again among them. Whose answer
/// then is another one has its host quarantined.
///
/// An answer that is not finite begins an audit where there was none, for it either ends the run or is wrong. No number
/// of hosts ends a run with it: once two say so, or there is no other to ask, the coordinator's own computing decides.
struct Audit: Sendable {
  /// A worker's result, without what two right ones may differ in.
  struct Answer: Sendable {
    let peer: PeerID
    let host: String
    /// For people.
    let worker: String
    let result: Result
  }

  enum Result: Hashable, Sendable {
    case finite(Finished)
    /// In loss, gradient or rows.
    case notFinite
    /// Not of a lease: what others computed was added up to something else.
    case otherSum
  }

  /// At most one a worker, and at most `CoordinationLimits.answers`.
  var answers: [Answer] = []
  /// Open leases of just this node, in the order of their numbers.
  var leases: [LeaseID] = []
  /// When the first answer came.
  var since: Instant?
  /// Who had a lease to answer it forgot it.
  var isForgotten = false
  /// The coordinator itself computes the node.
  var isAsked = false
  var askAgainAt: Instant?
  /// How often it tried and could not.
  var failures = 0
  /// What is right; nil until it is known.
  var verdict: Finished?
  /// It could not be found out: one answer counts as if there was no audit.
  var isAbandoned = false
  /// Under `--allow-mixed`, where that is no verdict: the coordinator's own computing had finite values.
  var isFiniteHere = false

  var isOpen: Bool { verdict == nil && !isAbandoned }
  /// Those that are in do not settle it: they differ, or agree and are of one host.
  var needsAThird: Bool { isOpen && answers.count > 1 }
  var accusers: [Answer] { answers.filter { $0.result == .notFinite } }
  /// Nobody else is asked any more.
  var isForTheCoordinator: Bool { answers.count >= CoordinationLimits.answers || accusers.count > 1 || isForgotten }
  /// Whether the coordinator's own computing may be asked now, if nobody else answers.
  func mayBeAsked(at now: Instant) -> Bool { isOpen && !isAsked && since != nil && now >= askAgainAt ?? now }
  var differ: Bool { answers.contains { $0.result != answers[0].result } }
}

/// How leases are audited, and what is known from before.
public struct AuditSettings: Sendable {
  /// Share of the leases, 0...1.
  public var rate = 0.0
  /// What decides which; workers must not know it.
  public var seed: UInt64 = 0
  /// Whether the run goes back to before what a host found wrong may have spoilt, or goes on.
  public var rollsBack = true
  public var quarantined: [QuarantinedHost] = []
  /// By host: the first step in which a result of it counts that nobody compared.
  public var unaudited: [String: Int] = [:]

  public init(
    rate: Double = 0, seed: UInt64 = 0, rollsBack: Bool = true, quarantined: [QuarantinedHost] = [],
    unaudited: [String: Int] = [:]
  ) {
    self.rate = rate
    self.seed = seed
    self.rollsBack = rollsBack
    self.quarantined = quarantined
    self.unaudited = unaudited
  }
}

// MARK: - Asking twice

extension Coordinator {
  /// Begins an audit of a node that is leased, if the draw falls on it.
  mutating func drawAudit(of node: SliceRange, leasedTo host: String) {
    guard current.audits[node] == nil else { return }
    if current.draws.fall(on: node, of: host, in: step, settings.audits) { current.audits[node] = Audit() }
  }

  /// Audited nodes of which another answer is of use.
  func nodesToAudit(in round: LeasingRound) -> [SliceRange] {
    guard !current.audits.isEmpty else { return [] }
    return current.audits.nodes.filter { needsAnswer($0, in: round) }
  }

  /// Whether another answer is of use, of any of the idle workers, and somebody may still give it.
  func needsAnswer(_ node: SliceRange, in round: LeasingRound) -> Bool {
    guard current.slices.hasRoom(forAllOf: node) else { return false }
    let now = now
    return current.audits[node].map { needsAnswer($0, whereWorthACopy: { round.isWorthACopy($0.odds(at: now)) }) }
      ?? false
  }

  private func needsAnswer(_ audit: Audit, whereWorthACopy isWorthACopy: (OpenLease) -> Bool) -> Bool {
    guard audit.isOpen, !audit.isForTheCoordinator else { return false }
    let live = liveLeases(of: audit)
    guard !(live.isEmpty && audit.answers.isEmpty) else { return false }
    let isShort = live.count + audit.answers.count < (audit.needsAThird ? 3 : 2)
    return isShort || live.contains(where: isWorthACopy)
  }

  /// Whether `peer` should compute an audited node, so that there is an answer to compare with.
  func isToAudit(_ node: SliceRange, by peer: Peer, in round: inout LeasingRound) -> Bool {
    guard let audit = current.audits[node],
      current.slices.hasRoom(forAllOf: node),
      !isWithheld(node, from: peer),
      needsAnswer(audit, whereWorthACopy: { $0.odds(at: now).areWorse(than: peer.time(for: node.count)) })
    else { return false }
    return round.mayAnswer(node, peer.id, of: { candidates(for: node, audit) })
  }

  /// Leases of just this node, with answers still to come in time.
  private func liveLeases(of audit: Audit) -> [OpenLease] {
    audit.leases.compactMap { leases[$0] }.filter(\.isLive)
  }

  /// Who may answer next, idle or not: on another host than all that have or will, if there is one.
  private func candidates(for node: SliceRange, _ audit: Audit) -> [PeerID] {
    let holders = audit.leases.compactMap { leases[$0] }
    let hosts = Set(audit.answers.map(\.host) + holders.filter { !$0.isOverdue }.compactMap { peers[$0.peer]?.host })
    let others = peers.filter { peer in
      isPresent(peer) && !holders.contains { $0.peer == peer.id } && !audit.answers.contains { $0.peer == peer.id }
        && !current.exclusions.contains { $0.applies(to: peer, at: now) && node.indices.contains($0.slice) }
        && !peer.delivery.isOnProbation
    }
    let elsewhere = others.filter { !hosts.contains($0.host) }
    // Where two are not enough no neighbour of theirs decides.
    let isForHosts = audit.needsAThird || !audit.accusers.isEmpty
    let willing = elsewhere.isEmpty && !isForHosts ? others : elsewhere
    // Whoever has answered before probably will.
    let known = willing.filter { $0.pace != nil }
    return (known.isEmpty ? willing : known).map(\.id)
  }

  /// Asks the coordinator's own computing where nobody else will answer, or not soon.
  mutating func requestRecomputations(_ effects: inout [Effect]) {
    guard phase == .computing, !current.audits.isEmpty else { return }
    for place in current.audits.indices where current.audits[place].mayBeAsked(at: now) {
      let (node, audit) = (current.audits.nodes[place], current.audits[place])
      guard let since = audit.since else { continue }
      let live = liveLeases(of: audit)
      let isLate = now - since >= patience(with: live, on: node, audit)
      guard isLate || audit.isForTheCoordinator || live.isEmpty && candidates(for: node, audit).isEmpty else {
        continue
      }
      // They may answer yet; the next audit does not wait for them.
      if isLate { for lease in live where lease.expected == nil { putOnProbation(lease.peer) } }
      current.audits[node]?.isAsked = true
      counts.judged += 1
      effects.append(.recompute(step: step, node, hashesGradient: isReduced))
    }
  }
}

extension Coordinator {
  /// How long an answer waits for leases of its node that are live.
  private func patience(with live: [OpenLease], on node: SliceRange, _ audit: Audit) -> Duration {
    let longest = audit.accusers.isEmpty ? CoordinationLimits.audit : CoordinationLimits.accusation
    // As long as whoever has answered would be given.
    let usual = audit.answers.first.flatMap { peers[$0.peer]?.pace }.map {
      $0 * (node.count * CoordinationLimits.patience) + CoordinationLimits.stall
    }
    // An idle worker would have it by now: all have something else, and may have it for long.
    if live.isEmpty { return audit.accusers.isEmpty ? min(usual ?? longest, longest) : longest }
    // Who has them never answered anything.
    if live.allSatisfy({ $0.expected == nil }) { return min(usual ?? longest, CoordinationLimits.accusation) }
    return longest
  }
}

// MARK: - Comparing

extension Coordinator {
  /// What two right results of a node have in common: all but the lease, and the words about pictures.
  static func comparable(_ finished: Finished) -> Finished {
    var finished = finished
    finished.lease = LeaseID(0)
    finished.traffic = StepTraffic()
    finished.undecodable = finished.undecodable.map { UndecodablePicture(picture: $0.picture, reason: "") }
    return finished
  }

  /// Whether a result may count: it is not audited, or is what it should be.
  func isCleared(_ finished: Finished) -> Bool {
    guard let audit = current.audits[finished.slices] else { return true }
    return audit.isAbandoned || audit.verdict.map { $0 == Self.comparable(finished) } ?? false
  }

  /// Notes the answer for a node if it is audited, and compares.
  mutating func hear(_ finished: Finished, from id: PeerID, _ effects: inout [Effect]) {
    let node = finished.slices
    guard let audit = current.audits[node], !audit.isAbandoned, let peer = peers[id] else { return }
    let result = Self.comparable(finished)
    let answer = Audit.Answer(peer: id, host: peer.host, worker: peer.name, result: .finite(result))
    if let verdict = audit.verdict {
      if result == verdict { peers[id]?.auditsPassed += 1 } else { quarantine([answer], node, &effects) }
      return
    }
    // Where right results may differ none is compared: what is finite counts.
    guard !settings.compatibility.allowsMixed else {
      current.audits[node]?.isAbandoned = true
      return
    }
    // Of a worker that gave its lease back and had it again the first answer stands.
    guard audit.answers.count < CoordinationLimits.answers, !audit.answers.contains(where: { $0.peer == id }) else {
      return
    }
    current.audits[node]?.answers.append(answer)
    current.audits[node]?.since = audit.since ?? now
    // Two that agree are right.
    if audit.answers.contains(where: { $0.result == answer.result && ($0.host != answer.host || !hosts.areSeveral) }) {
      settle(node, result, &effects)
    }
  }

  /// The coordinator's own answer.
  mutating func recomputed(_ finished: Finished, notFinite: [Int], _ effects: inout [Effect]) {
    let node = finished.slices
    guard phase == .computing, finished.step == step, let audit = current.audits[node], audit.isAsked else { return }
    current.audits[node]?.isAsked = false
    guard audit.isOpen else { return }
    guard notFinite.isEmpty else { return concludeNotFinite(audit, slices: notFinite, .agreed, &effects) }
    guard settings.compatibility.allowsMixed else { return settle(node, Self.comparable(finished), &effects) }
    current.audits[node]?.isFiniteHere = true
    guard others(than: audit.accusers.map(\.host)) else {
      return concludeNotFinite(audit, slices: Array(node.indices), .differed, &effects)
    }
    current.audits[node]?.isAbandoned = true
  }

  mutating func recomputationFailed(of node: SliceRange, in step: Int, reason: String, _ effects: inout [Effect]) {
    guard phase == .computing, step == self.step, var audit = current.audits[node], audit.isAsked else { return }
    audit.isAsked = false
    // So others may try again too.
    audit.isForgotten = false
    audit.failures += 1
    defer { current.audits[node] = audit }
    guard audit.isOpen else { return }
    // The disk or the network may recover.
    audit.askAgainAt = now + CoordinationLimits.returnPause
    let why = "\(described(node)) could not be computed by the coordinator, to audit it: \(shortened(reason))"
    guard audit.failures >= CoordinationLimits.recomputations else { return effects.append(.log(.warning, why)) }
    let finite = Set(audit.answers.map(\.result)).subtracting([.notFinite])
    guard finite.count > 1 || finite.isEmpty || settings.audits.rate >= 1 else {
      audit.isAbandoned = true
      return effects.append(.log(.warning, "\(why). The only finite answer counts, though nobody compared it."))
    }
    // Its leases go with all others.
    audit.leases = []
    if finite.isEmpty {
      return concludeNotFinite(audit, slices: Array(node.indices), .failed(reason: shortened(reason)), &effects)
    }
    let who = audit.answers.map { "'\($0.worker)'" }.joined(separator: " and ")
    conclude(
      with: .failed(
        "\(why). It tried \(audit.failures) times, and \(audit.differ ? "\(who) differ" : "there is one answer"). Mend "
          + "what keeps it from computing, or let workers of more hosts in."), &effects)
  }

  private mutating func settle(_ node: SliceRange, _ verdict: Finished, _ effects: inout [Effect]) {
    current.audits[node]?.verdict = verdict
    let answers = current.audits[node]?.answers ?? []
    for answer in answers where answer.result == .finite(verdict) { peers[answer.peer]?.auditsPassed += 1 }
    let wrong = answers.filter { $0.result != .finite(verdict) }
    current.audits[node]?.answers = []
    if let only = wrong.first, wrong.count == 1, only.result == .notFinite, mayTryAgain(only.host) {
      askAgain(only, node, &effects)
    } else if !wrong.isEmpty {
      quarantine(wrong, node, &effects)
    }
  }
}

// MARK: - Quarantine

extension Coordinator {
  /// What a checkpoint of a step has to remember: by host, its first step before with an unaudited result.
  public func unauditedHosts(before step: Int) -> [String: Int] { hosts.unaudited.filter { $0.value < step } }

  /// A result counts; if nobody compared it, that is remembered until its step is undone.
  mutating func note(acceptedFrom peer: PeerID, _ finished: Finished, _ effects: inout [Effect]) {
    let wasAudited = current.audits[finished.slices].map { !$0.isAbandoned } ?? false
    if wasAudited {
      counts.audited += 1
    } else if let host = peers[peer]?.host {
      hosts.counts(host, unauditedIn: step)
    }
    guard !current.audits.isEmpty else { return }
    for node in current.audits.nodes where node.overlaps(finished.slices) {
      for accuser in current.audits[node]?.accusers ?? [] {
        effects.append(
          .log(
            .error,
            "\(described(node)) came out not finite from '\(accuser.worker)', but \(described(finished.slices)) from "
              + "\(described(peer)) is: the former may be broken."))
      }
      current.audits[node] = nil
    }
  }

  /// Drops all that comes from the hosts of wrong answers, for good; goes back, or names what they may have spoilt.
  mutating func quarantine(_ wrong: [Audit.Answer], _ node: SliceRange, _ effects: inout [Effect]) {
    var quarantined: [QuarantinedHost] = []
    var firstStep: Int?
    for answer in wrong where !quarantined.contains(where: { $0.host == answer.host }) {
      let first = hosts.forgetUnaudited(of: answer.host)
      // What is not finite never counts. It makes the host's other results suspect, but is no reason to undo weeks of all
      // others': who may say so may choose when.
      let rollsBack =
        settings.audits.rollsBack && wrong.contains { $0.host == answer.host && $0.result != .notFinite }
      if let first, rollsBack { firstStep = min(firstStep ?? first, first) }
      quarantined.append(
        QuarantinedHost(
          host: answer.host, worker: answer.worker, step: step, firstSlice: node.first, slices: node.count,
          suspectSteps: rollsBack ? nil : first.map { [$0, step] }))
    }
    let backTo = firstStep
    hosts.quarantine(quarantined)
    counts.wrong += wrong.count
    // Durable before a word of it is said.
    effects.append(.quarantine(quarantined, rollingBackTo: backTo))
    for host in quarantined { disconnect(host, &effects) }
    guard let backTo else { return }
    effects.append(
      .log(
        .error,
        "Results that nobody compared count since step \(backTo): the run goes back to the newest checkpoint of that step "
          + "or before it, or to its beginning."))
    for lease in leases { drop(lease.id, tellWorker: true, &effects) }
    phase = .stopped
    effects.append(.stop(.rollsBack(toStep: backTo)))
  }

  private mutating func disconnect(_ host: QuarantinedHost, _ effects: inout [Effect]) {
    let suspect =
      host.suspectSteps.map { " Steps \($0[0]) to \($0[1]) are suspect: results of it count in them unseen." } ?? ""
    effects.append(
      .log(
        .error,
        "'\(host.worker)' computed \(described(SliceRange(first: host.firstSlice, count: host.slices))) wrongly: host "
          + "'\(host.host)' is quarantined.\(suspect)"))
    for peer in peers where peer.host == host.host {
      for lease in peer.leases { drop(lease, tellWorker: true, &effects) }
      forget(peer.id, &effects)
      effects.append(.send(.refusal(host.refusal), to: peer.id))
    }
    for node in current.audits.nodes { current.audits[node]?.answers.removeAll { $0.host == host.host } }
  }
}
