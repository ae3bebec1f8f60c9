import Messages
import Numerics
import Slices

/// Answers that are not finite: a run stops for them if the coordinator's own computing says the same, else their host
/// was wrong. An audit finds out; here is what is said of it.
extension Coordinator {
  /// A worker's loss, gradient or rows of a lease are not finite.
  mutating func gaveNotFinite(_ lease: OpenLease, _ effects: inout [Effect]) {
    drop(lease.id, tellWorker: true, &effects)
    gaveNotFinite(lease.slices, by: lease.peer, lease.finished, &effects)
  }

  /// - Parameter finished: what was announced of it; nil if that itself is not finite.
  mutating func gaveNotFinite(
    _ node: SliceRange, by id: PeerID, _ finished: Finished?, _ effects: inout [Effect]
  ) {
    counts.notFinite += 1
    guard let peer = peers[id] else { return }
    let answer = Audit.Answer(peer: peer.id, host: peer.host, worker: peer.name, result: .notFinite)
    var audit = current.audits[node] ?? Audit()
    if audit.verdict != nil, finished == nil {
      return mayTryAgain(peer.host) ? askAgain(answer, node, &effects) : quarantine([answer], node, &effects)
    }
    // Else it is the payload that others agreed on: they agreed on what is not finite.
    let agreed = audit.verdict
    audit.verdict = nil
    audit.answers.removeAll { $0.peer == peer.id }
    // Two of one host say no more than one.
    if !audit.accusers.contains(where: { $0.host == peer.host }), audit.answers.count < CoordinationLimits.answers {
      audit.answers.append(answer)
    }
    audit.since = audit.since ?? now
    let copies = leases.filter { $0.slices == node }
    audit.leases = copies.map(\.id)
    // One that is on its way already is not called back.
    audit.isAbandoned = copies.contains(where: \.isGranted)
    current.audits[node] = audit
    exclude(.host(peer.host), from: node, for: CoordinationLimits.otherHost)
    let isForAnotherHost = audit.accusers.count == 1 && others(than: [peer.host])
    log(
      .warning, .notFinite, about: peer.id,
      "\(described(node)) came out not finite from \(described(peer.id)): computed again "
        + (isForAnotherHost ? "on another host." : "by the coordinator itself."), &effects)
    for copy in copies {
      guard let finished = copy.finished else { continue }
      if let agreed, agreed == Self.comparable(finished) {
        gaveNotFinite(copy, &effects)
      } else {
        hear(finished, from: copy.peer, &effects)
      }
    }
    if audit.isFiniteHere, !others(than: audit.accusers.map(\.host)) {
      concludeNotFinite(audit, slices: Array(node.indices), .differed, &effects)
    }
  }

  /// Whether somebody is here who could compute, on another host than these.
  func others(than hosts: [String]) -> Bool {
    peers.contains { isPresent($0) && !$0.delivery.isOnProbation && !hosts.contains($0.host) }
  }

  /// The one host of a run may have been wrong once: a second time in a step it is broken.
  func mayTryAgain(_ host: String) -> Bool { !hosts.areSeveral && !current.askedAgain.contains(host) }

  mutating func askAgain(_ answer: Audit.Answer, _ node: SliceRange, _ effects: inout [Effect]) {
    current.askedAgain.insert(answer.host)
    counts.wrong += 1
    readmit(.host(answer.host), from: node)
    log(
      .error, .notFinite, about: nil,
      "\(described(node)) was not finite from '\(answer.worker)', and is finite as the coordinator itself computes it: "
        + "the processor or memory of host '\(answer.host)' may be broken. It is asked once more.", &effects)
  }
}

// MARK: - The end of a run

extension Coordinator {
  /// What the coordinator's own computing said.
  enum OwnComputing {
    case agreed
    /// Its values are finite, of another compute class perhaps.
    case differed
    case failed(reason: String)
  }

  mutating func concludeNotFinite(
    _ audit: Audit, slices: [Int], _ own: OwnComputing, _ effects: inout [Effect]
  ) {
    var who = audit.accusers.map { "worker '\($0.worker)' of host '\($0.host)'" }
    if case .agreed = own { who.append("the coordinator, which computed it itself") }
    let replay = "massl replay --step \(step) --slice \(slices.first ?? 0)"
    let what =
      "Step \(step) cannot be computed: loss or gradient of slice \(slices.map(String.init).joined(separator: ", ")) "
      + "is not finite, \(who.count == 1 ? "says" : "say") \(who.joined(separator: " and ")). Its pictures: "
      + "\(pictures(of: slices)). The last good checkpoint is of step \(step)."
    let reason: StopReason =
      switch own {
      case .agreed:
        .permanent(
          "\(what) Resuming will meet it again: \(replay) shows where the first such value appears, and massl fork goes "
            + "on from a checkpoint with other settings.")
      case .differed:
        .failed(
          "\(what) As the coordinator itself computes it, it is finite; with --allow-mixed either may be right. Resume it "
            + "with workers of the coordinator's compute class, or of other hosts. \(replay) shows the coordinator's "
            + "values.")
      case .failed(let reason):
        .failed(
          "\(what) The coordinator could not compute it itself (\(reason)), so nobody can say whether resuming will meet "
            + "it again. Mend that, or let workers of other hosts in; \(replay) tries it once more.")
      }
    conclude(with: reason, &effects)
  }

  /// Paths of the slices' pictures, for people.
  private func pictures(of slices: [Int]) -> String {
    let pictures = slices.flatMap { settings.pictures.ofSlice(step, $0) }
    let named = pictures.prefix(CoordinationLimits.notFiniteNamed).map(settings.pictures.name).joined(separator: ", ")
    return pictures.count > CoordinationLimits.notFiniteNamed
      ? "\(named) and \(pictures.count - CoordinationLimits.notFiniteNamed) more" : named
  }
}
