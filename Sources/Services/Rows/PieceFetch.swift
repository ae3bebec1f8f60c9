import Messages
import Numerics
import Threads
import Wire

/// Fetches something from all its holders at once, each piece from whoever has it.
///
/// A piece goes to its first holder. One that is not answered in time is asked for again elsewhere, and the first answer
/// counts: a piece is the same wherever it is. One that is refused, or whose holder is gone, goes to the next holder at
/// once. A holder has at most `WireLimits.requestsUnderWay` pieces to answer at any time; what waits for a turn at one that
/// turns out to be slow, or to send something else, is asked of the next one instead.
package struct PieceFetch {
  /// What one answer carries.
  package struct Piece {
    var request: BulkRequest
    /// Of the bytes that are right; nil where the taker sees for itself whether they are.
    var hash: ContentHash?
    /// Who has it, the best first; not empty.
    var holders: [BulkClient]

    package init(request: BulkRequest, hash: ContentHash? = nil, holders: [BulkClient]) {
      self.request = request
      self.hash = hash
      self.holders = holders
    }
  }

  /// What is fetched.
  package struct Kind: Sendable {
    /// Before this nobody is taken for slow.
    var patience: Duration
    /// Where first holders have equal parts: one that takes longer than this for its part, and many times as long as half
    /// of them took, is slow, though it answers again and again. Nil where they have not.
    var evenAfter: Duration?
    /// A piece whose last holder is slow cannot be had: there is somebody else to turn to.
    var endsWithSlow = false
    /// Why a piece cannot be had.
    var unavailable: @Sendable (_ reason: String) -> BulkError

    package init(
      patience: Duration, evenAfter: Duration? = nil, endsWithSlow: Bool = false,
      unavailable: @escaping @Sendable (_ reason: String) -> BulkError
    ) {
      self.patience = patience
      self.evenAfter = evenAfter
      self.endsWithSlow = endsWithSlow
      self.unavailable = unavailable
    }

    /// A disk may have to seek for each row.
    static let rows = Kind(patience: .milliseconds(500)) { .rowsUnavailable($0) }
  }

  /// A holder is slow when it takes so many times as long as the others do.
  static let patienceFactor = 4
  /// Between looks whether anybody is slow, and whether the pieces are still wanted.
  private static let lookPause = Duration.milliseconds(100)

  private struct Progress {
    /// Holders asked so far.
    var asked = 0
    /// Of them, those that have failed.
    var failed = 0
    var askedAt = ContinuousClock.now
    var isDone = false
    /// Who was to be asked first, at the beginning.
    var first: ObjectIdentifier
  }

  private let kind: Kind
  private var pieces: [Piece]
  private var progress: [Progress]
  /// Pieces that each client has to answer.
  private var underWay: [ObjectIdentifier: Int] = [:]
  /// When each client gave an answer last: whoever answers one question after the other is not slow.
  private var heard: [ObjectIdentifier: ContinuousClock.Instant] = [:]
  /// Holders that any piece has at most: an answer's index says which piece it is for, and which holder gave it.
  private let holdersAtMost: Int
  /// A running mean of what an answer takes.
  private var mean: Duration?
  private let answers: BulkClient.Answers
  /// What each holder said that does not give a piece, the first time.
  private var failures: [(holder: Endpoint, error: BulkError)] = []
  /// Holders that did not answer in time.
  package private(set) var slow: Set<Endpoint> = []
  /// Holders that sent something else than they were asked for.
  package private(set) var wrong: Set<Endpoint> = []
  /// The piece that nobody gave, if that ended it.
  package private(set) var failed: Int?
  private let begun = ContinuousClock.now
  /// Pieces of each first holder that are not there.
  private var left: [ObjectIdentifier: Int]
  private let parts: Int
  /// How long half of the first holders took for their parts; nil until they are there.
  private var halfTook: Duration?

  package init(_ pieces: [Piece], _ kind: Kind) {
    self.kind = kind
    self.pieces = pieces
    progress = pieces.map { Progress(first: ObjectIdentifier($0.holders[0])) }
    left = Dictionary(progress.map { ($0.first, 1) }, uniquingKeysWith: +)
    parts = left.count
    holdersAtMost = pieces.map(\.holders.count).max() ?? 1
    // Each holder of each piece may answer once.
    answers = BoundedQueue(capacity: max(1, pieces.reduce(0) { $0 + $1.holders.count }))
  }

  /// Takes what comes of a piece: called in the fetching thread once a piece, in any order, with who answered; throws
  /// `BulkError` if it is not what was asked for, and the next holder is asked.
  package typealias Taker = (_ piece: Int, BulkReply, BulkFrame?, Endpoint) throws -> Void

  /// - Parameter check: called again and again; throws once the pieces are of no use any more.
  /// - Throws: `kind.unavailable`, with what was said first, if nobody gives a piece; what `take` and `check` throw.
  package mutating func run(unless check: () throws -> Void = {}, take: Taker) throws {
    // A slow holder keeps only its own pieces waiting.
    var waiting = Dictionary(grouping: pieces.indices.reversed()) { ObjectIdentifier(pieces[$0].holders[0]) }
    var open = pieces.count
    while open > 0 {
      try check()
      pass(&waiting)
      for client in waiting.keys {
        while underWay[client, default: 0] < WireLimits.requestsUnderWay, let index = waiting[client]?.popLast() {
          ask(index)
        }
      }
      switch answers.next(within: min(patience / 2, Self.lookPause)) {
      case .closed: throw BulkError.unanswered(nil)
      case .nothing: break
      case .element((let index, let result)):
        if try settle(index / holdersAtMost, holder: index % holdersAtMost, result, take) { open -= 1 }
      }
      try hedge()
    }
  }

  private var patience: Duration { max(kind.patience, (mean ?? .zero) * Self.patienceFactor) }

  private mutating func ask(_ index: Int) {
    let holder = progress[index].asked
    let client = pieces[index].holders[holder]
    progress[index].asked += 1
    progress[index].askedAt = .now
    underWay[ObjectIdentifier(client), default: 0] += 1
    client.send(
      pieces[index].request, hash: pieces[index].hash, index: index * holdersAtMost + holder, to: answers)
  }

  /// - Returns: whether the piece is done with this.
  private mutating func settle(
    _ index: Int, holder: Int, _ result: Result<BulkClient.Answer, BulkError>,
    _ take: Taker
  ) throws -> Bool {
    underWay[ObjectIdentifier(pieces[index].holders[holder]), default: 1] -= 1
    heard[ObjectIdentifier(pieces[index].holders[holder])] = .now
    guard !progress[index].isDone else { return false }
    let endpoint = pieces[index].holders[holder].endpoint
    do {
      let (reply, bulk) = try result.get()
      if case .unavailable(let reason) = reply { throw BulkError.refused(by: endpoint, reason: reason) }
      try take(index, reply, bulk, endpoint)
      let took = ContinuousClock.now - progress[index].askedAt
      mean = mean.map { ($0 * 7 + took) / 8 } ?? took
      progress[index].isDone = true
      note(progress[index].first)
      return true
    } catch let error as BulkError {
      switch error {
      case .unanswered: slow.insert(endpoint)
      case .otherBits: wrong.insert(endpoint)
      case .refused, .rowsUnavailable, .weightsUnavailable, .gradientsUnavailable: break
      }
      if !failures.contains(where: { $0.holder == endpoint }) { failures.append((endpoint, error)) }
      progress[index].failed += 1
      if progress[index].asked < pieces[index].holders.count {
        ask(index)
      } else if progress[index].failed == progress[index].asked {
        failed = index
        throw kind.unavailable(failures.map { "\($0.error)" }.joined(separator: "; "))
      }
      return false
    }
  }

  /// A piece is there of those that this holder was to be asked for first.
  private mutating func note(_ first: ObjectIdentifier) {
    left[first, default: 1] -= 1
    guard halfTook == nil, left.values.count(where: { $0 == 0 }) * 2 >= parts else { return }
    halfTook = ContinuousClock.now - begun
  }

  /// What waits for a turn at a holder that is slow or wrong goes to its next one, if that is neither; the other one comes
  /// last then.
  private mutating func pass(_ waiting: inout [ObjectIdentifier: [Int]]) {
    let passedOver = slow.union(wrong)
    guard !passedOver.isEmpty else { return }
    for (client, indices) in waiting {
      var staying: [Int] = []
      for index in indices {
        let holders = pieces[index].holders
        guard passedOver.contains(holders[0].endpoint),
          let next = holders.firstIndex(where: { !passedOver.contains($0.endpoint) })
        else {
          staying.append(index)
          continue
        }
        pieces[index].holders = Array(holders[next...] + holders[..<next])
        waiting[ObjectIdentifier(holders[next]), default: []].append(index)
      }
      if staying.count < indices.count { waiting[client] = staying }
    }
  }

  /// Asks the next holder for what the last one asked has not answered in time.
  private mutating func hedge() throws {
    let now = ContinuousClock.now
    for index in pieces.indices where !progress[index].isDone && progress[index].asked > 0 {
      let next = progress[index].asked
      guard
        isSlow(pieces[index].holders[next - 1], askedAt: progress[index].askedAt, at: now)
          || next < pieces[index].holders.count && isBehind(pieces[index].holders[next - 1], at: now)
      else { continue }
      slow.insert(pieces[index].holders[next - 1].endpoint)
      if next == pieces[index].holders.count, kind.endsWithSlow {
        failed = index
        throw kind.unavailable("\(pieces[index].holders[next - 1].endpoint) does not answer in time")
      }
      guard next < pieces[index].holders.count,
        underWay[ObjectIdentifier(pieces[index].holders[next]), default: 0] < WireLimits.requestsUnderWay
      else { continue }
      ask(index)
    }
  }

  private func isSlow(_ holder: BulkClient, askedAt: ContinuousClock.Instant, at now: ContinuousClock.Instant) -> Bool {
    if now - max(askedAt, heard[ObjectIdentifier(holder)] ?? askedAt) > patience { return true }
    return holder.isHopeless(after: now - askedAt)
  }

  /// It goes on answering, and is far slower than half of those with parts like its own.
  private func isBehind(_ holder: BulkClient, at now: ContinuousClock.Instant) -> Bool {
    guard let least = kind.evenAfter, let halfTook, left[ObjectIdentifier(holder), default: 0] > 0 else { return false }
    return now - begun > max(least, halfTook * Self.patienceFactor)
  }
}
