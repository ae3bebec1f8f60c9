import Messages
import Numerics

/// The chunks of a step's gradient: who is to add which up, and which sums are in. No sum counts twice.
///
/// Chunks are dealt in turn to reducers, each to a second one too if it is compared. Each new deal has a number of its own;
/// what an older one asked for is not taken any more, but what was in by then counts: a sum is the same whoever adds.
struct SumBoard: Sendable {
  /// Who adds a chunk up: a worker, or the coordinator itself.
  enum Reducer: Hashable, Sendable {
    case worker(PeerID)
    case coordinator
  }

  /// A sum that came.
  struct Answer: Hashable, Sendable {
    let reducer: Reducer
    let isFinite: Bool
    /// Nil unless the chunk is compared.
    let hash: ContentHash?
  }

  struct Chunk: Sendable {
    /// Asked, in the order of asking; a second one from the beginning only where sums are compared.
    fileprivate(set) var reducers: [Reducer] = []
    fileprivate(set) var answers: [Answer] = []
    fileprivate(set) var isCompared = false
    fileprivate(set) var isIn = false

    /// Whether somebody who was asked has still to answer.
    func waits(for reducer: Reducer) -> Bool {
      !isIn && reducers.contains(reducer) && !answers.contains { $0.reducer == reducer }
    }
  }

  /// What became of a sum that came.
  enum Taken: Hashable, Sendable {
    /// Nobody asked for it, or it is in.
    case ofNoUse
    /// Another is to be compared with it.
    case kept
    /// It counts, and so these others were wrong.
    case counts(wrong: [Answer])
    /// Those that came differ, or one is not finite: the coordinator has to add the chunk up itself.
    case differs
  }

  /// Of the newest deal.
  private(set) var number: UInt64 = 0
  private(set) var chunks: [Chunk]
  /// Chunks that are not in.
  private(set) var left: Int
  /// By reducer: chunks that it has still to answer for.
  private(set) var open: [Reducer: Int] = [:]
  /// When each worker gave a sum last.
  private(set) var heard: [Reducer: Instant] = [:]
  /// When the newest deal was made.
  private(set) var dealtAt: Instant
  /// How long the first half of its workers took for all of their chunks; nil until they are there.
  private(set) var halfTook: Duration?
  private var dealtTo = 0

  /// - Parameter chunks: of the gradient, at least 1.
  init(chunks count: Int, at now: Instant) {
    chunks = [Chunk](repeating: Chunk(), count: count)
    left = count
    dealtAt = now
  }

  var isComplete: Bool { left == 0 }

  /// Chunks that a reducer has still to answer for, ascending.
  func chunks(of reducer: Reducer) -> [Int] {
    open[reducer, default: 0] == 0 ? [] : chunks.indices.filter { chunks[$0].waits(for: reducer) }
  }
}

// MARK: - Dealing

extension SumBoard {
  /// Deals all chunks that are not in anew.
  /// - Parameters:
  ///   - workers: on a host each; the coordinator if there is none.
  ///   - isCompared: whether a chunk is to be added up twice.
  mutating func deal(
    as number: UInt64, to workers: [PeerID], at now: Instant, whereCompared isCompared: (Int) -> Bool
  ) {
    invariant(number > self.number, "deal \(number) after \(self.number)")
    self.number = number
    (dealtAt, halfTook, heard, open, dealtTo) = (now, nil, [:], [:], workers.count)
    for index in chunks.indices where !chunks[index].isIn {
      chunks[index].answers = []
      chunks[index].isCompared = !workers.isEmpty && isCompared(index)
      chunks[index].reducers = []
      guard !workers.isEmpty else {
        ask(.coordinator, for: index)
        continue
      }
      ask(.worker(workers[index % workers.count]), for: index)
      guard chunks[index].isCompared else { continue }
      ask(workers.count > 1 ? .worker(workers[(index + 1) % workers.count]) : .coordinator, for: index)
    }
  }

  private mutating func ask(_ reducer: Reducer, for index: Int) {
    chunks[index].reducers.append(reducer)
    open[reducer, default: 0] += 1
  }

  /// Has the coordinator add up what somebody does not.
  /// - Returns: the chunks that it did not add up before, ascending.
  mutating func takeOver(_ indices: [Int]) -> [Int] {
    let new = indices.filter { !chunks[$0].isIn && !chunks[$0].reducers.contains(.coordinator) }
    for index in new { ask(.coordinator, for: index) }
    return new
  }
}

// MARK: - What comes

extension SumBoard {
  /// Takes a sum in.
  mutating func take(_ answer: Answer, ofChunk index: Int, deal: UInt64, at now: Instant) -> Taken {
    guard deal == number, chunks.indices.contains(index), chunks[index].waits(for: answer.reducer) else {
      return .ofNoUse
    }
    heard[answer.reducer] = now
    answered(by: answer.reducer, at: now)
    chunks[index].answers.append(answer)
    // What the coordinator itself adds up is right.
    if answer.reducer == .coordinator { return settle(index, answer, at: now) }
    guard answer.isFinite else { return .differs }
    guard chunks[index].isCompared else { return settle(index, answer, at: now) }
    guard let other = chunks[index].answers.dropLast().first(where: \.isFinite) else { return .kept }
    return other.hash == answer.hash ? settle(index, answer, at: now) : .differs
  }

  private mutating func settle(_ index: Int, _ answer: Answer, at now: Instant) -> Taken {
    chunks[index].isIn = true
    left -= 1
    for reducer in chunks[index].reducers where !chunks[index].answers.contains(where: { $0.reducer == reducer }) {
      answered(by: reducer, at: now)
    }
    // A right sum that is not finite is for the update to judge.
    return .counts(
      wrong: answer.isFinite ? chunks[index].answers.filter { !$0.isFinite || $0.hash != answer.hash } : [])
  }

  private mutating func answered(by reducer: Reducer, at now: Instant) {
    open[reducer, default: 1] -= 1
    guard open[reducer] == 0, halfTook == nil else { return }
    let done = open.count { if case .worker = $0.key { $0.value == 0 } else { false } }
    if done * 2 >= dealtTo { halfTook = now - dealtAt }
  }
}

// MARK: - Who is late

extension SumBoard {
  /// Whether a worker should have answered by now.
  /// - Parameter crossing: how long all that a reducer takes in needs over a link; nil while that is not known.
  func isLate(_ peer: PeerID, at now: Instant, crossing: Duration?) -> Bool {
    let silence = max(CoordinationLimits.sumSilence, (crossing ?? .zero) * CoordinationLimits.patience)
    let behind = halfTook.map { max(CoordinationLimits.sumSilence / 2, $0 * CoordinationLimits.patience) }
    let isBehind = behind.map { now - dealtAt >= $0 } ?? false
    return isBehind || now - (heard[.worker(peer)] ?? dealtAt) >= silence
  }

  /// Workers with chunks that they have still to answer for, and that nobody took over; both ascending.
  var waitedFor: [(peer: PeerID, chunks: [Int])] {
    let peers: [PeerID] = open.compactMap { reducer, count in
      if count > 0, case .worker(let peer) = reducer { peer } else { nil }
    }
    return peers.sorted { $0.rawValue < $1.rawValue }.compactMap { peer in
      let left = chunks(of: .worker(peer)).filter { !chunks[$0].reducers.contains(.coordinator) }
      return left.isEmpty ? nil : (peer, left)
    }
  }
}

// MARK: - Invariants

extension SumBoard {
  func checkInvariants() throws(CoordinationError) {
    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws(CoordinationError) {
      if !condition { throw CoordinationError("sums: \(message())") }
    }
    try require(left == chunks.count { !$0.isIn }, "\(left) chunks are left")
    for (reducer, count) in open {
      try require(count == chunks.count { $0.waits(for: reducer) }, "\(count) chunks are open at \(reducer)")
    }
    for (index, chunk) in chunks.enumerated() {
      try require(Set(chunk.reducers).count == chunk.reducers.count, "chunk \(index) is asked twice of one")
      try require(
        Set(chunk.answers.map(\.reducer)).isSubset(of: chunk.reducers), "chunk \(index) has an answer nobody asked for")
      try require(chunk.isIn || chunk.answers.count <= 2, "chunk \(index) has \(chunk.answers.count) answers")
    }
  }
}
