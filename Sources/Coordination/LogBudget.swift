import Messages

/// What peers may make a log say: a line a peer and kind, then a count; and of each kind so many lines a second, so that
/// a flood of one kind leaves room for all others and for what the run itself says.
///
///     if let line = budget.line("Refused worker 'a': ...", .refusals, about: peer, at: now) { ... }
///     if let summary = budget.summary(at: now) { ... }     // what was left out, every few seconds
///
/// Everything that a peer can cause as often as it likes goes through here.
struct LogBudget: Sendable {
  /// What a line is about, in the order in which a summary names them.
  enum Kind: Int, CaseIterable, Sendable {
    case joins, leaves, refusals, badMessages, absences, returns, deliveries, notFinite, shards, evaluations

    fileprivate var words: String {
      switch self {
      case .joins: "on workers that join"
      case .leaves: "on workers that leave"
      case .refusals: "on refused workers and shards"
      case .badMessages: "on bad messages"
      case .absences: "on workers that are silent or hang"
      case .returns: "on leases that were given back"
      case .deliveries: "on payloads that did not come"
      case .notFinite: "on results that are not finite"
      case .shards: "on memory shards"
      case .evaluations: "on evaluations"
      }
    }
  }

  private struct Subject: Hashable {
    let peer: PeerID
    let kind: Kind
  }

  /// By peer and kind: when the last line was said, and how many were not since.
  private var said: [Subject: (at: Instant, unsaid: Int)] = [:]
  private var cleared = Instant(nanoseconds: 0)
  /// By kind: when all that was said is paid for, at one line a `CoordinationLimits.linePeriod`.
  private var paidAt = [Instant](repeating: Instant(nanoseconds: 0), count: Kind.allCases.count)
  /// By kind, since the last summary.
  private var leftOut = [Int](repeating: 0, count: Kind.allCases.count)
  private var firstLeftOut: Instant?

  /// The line as it is to be said; nil if it is left out, and counted.
  mutating func line(_ text: String, _ kind: Kind, about peer: PeerID?, at now: Instant) -> String? {
    let subject = peer.map { Subject(peer: $0, kind: kind) }
    let last = subject.flatMap { said[$0] }
    let mayAfford = paidAt[kind.rawValue] <= now + CoordinationLimits.linePeriod * (CoordinationLimits.linesAtOnce - 1)
    guard mayAfford, last.map({ now - $0.at >= CoordinationLimits.lineRepeat }) ?? true else {
      if let subject, let last { said[subject] = (last.at, last.unsaid + 1) }
      leftOut[kind.rawValue] += 1
      firstLeftOut = firstLeftOut ?? now
      return nil
    }
    paidAt[kind.rawValue] = max(paidAt[kind.rawValue], now) + CoordinationLimits.linePeriod
    if let subject { remember(subject, at: now) }
    guard let last, last.unsaid > 0 else { return text }
    return "\(text) (\(last.unsaid) more of this peer since the last such line.)"
  }

  private mutating func remember(_ subject: Subject, at now: Instant) {
    if said.count >= CoordinationLimits.linesRemembered, said[subject] == nil {
      // Seldom, for it looks at all of them. Who finds no room is bounded by its kind's lines alone.
      guard now - cleared >= CoordinationLimits.linePeriod else { return }
      cleared = now
      said = said.filter { now - $0.value.at < CoordinationLimits.lineRepeat }
      guard said.count < CoordinationLimits.linesRemembered else { return }
    }
    said[subject] = (now, 0)
  }

  /// How much was left out, once it is time to say so.
  mutating func summary(at now: Instant) -> String? {
    guard let since = firstLeftOut, now - since >= CoordinationLimits.lineSummary else { return nil }
    let parts = Kind.allCases.filter { leftOut[$0.rawValue] > 0 }.map { "\(leftOut[$0.rawValue]) \($0.words)" }
    let sum = leftOut.reduce(0, +)
    leftOut = [Int](repeating: 0, count: Kind.allCases.count)
    firstLeftOut = nil
    return "\(sum) line\(sum == 1 ? "" : "s") left out in \((now - since).words): "
      + "\(parts.joined(separator: ", "))."
  }
}

extension Coordinator {
  /// Says what a peer caused, if there is room for it.
  mutating func log(
    _ level: LogLevel, _ kind: LogBudget.Kind, about peer: PeerID?, _ text: String,
    _ effects: inout [Effect]
  ) {
    if let line = logBudget.line(text, kind, about: peer, at: now) { effects.append(.log(level, line)) }
  }

  /// Takes lines from `start` on back that there is no room for.
  mutating func limitLines(from start: Int, _ kind: LogBudget.Kind, _ effects: inout [Effect]) {
    guard start < effects.count else { return }
    let added = effects[start...]
    effects.removeSubrange(start...)
    for effect in added {
      if case .log(let level, let text) = effect {
        log(level, kind, about: nil, text, &effects)
      } else {
        effects.append(effect)
      }
    }
  }

  mutating func sayWhatWasLeftOut(_ effects: inout [Effect]) {
    if let summary = logBudget.summary(at: now) { effects.append(.log(.warning, summary)) }
  }
}
