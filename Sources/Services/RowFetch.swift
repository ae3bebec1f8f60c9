import Wire

/// Fetches rows from all their holders at once, each piece from whoever has it.
///
/// A piece goes to its first holder. One that is not answered in time is asked for again elsewhere, and the first answer
/// counts: rows of one number are the same wherever they are. One that is refused, or whose holder is gone, goes to the
/// next holder at once. A holder has at most `BulkClient.window` pieces to answer at any time.
struct RowFetch {
  /// Rows of one block that one answer carries.
  struct Piece {
    var request: RowRequest
    /// Who has them, the best first; not empty.
    var holders: [BulkClient]
  }

  /// Before this nobody is taken for slow: a disk may have to seek for each row.
  static let shortestPatience = Duration.milliseconds(500)
  /// A holder is slow when it takes so many times as long as the others do.
  static let patienceFactor = 4

  private struct Progress {
    /// Holders asked so far.
    var asked = 0
    /// Of them, those that have failed.
    var failed = 0
    var askedAt = ContinuousClock.now
    var isDone = false
  }

  private let pieces: [Piece]
  private let message: (RowRequest) -> BulkRequest
  private var progress: [Progress]
  /// Pieces that each client has to answer.
  private var underWay: [ObjectIdentifier: Int] = [:]
  /// A running mean of what an answer takes.
  private var mean: Duration?
  private let answers: BoundedQueue<(index: Int, result: Result<BulkClient.Answer, WorkerError>)>
  private var firstFailure: WorkerError?

  /// - Parameter message: the request of a piece.
  init(_ pieces: [Piece], message: @escaping (RowRequest) -> BulkRequest) {
    self.pieces = pieces
    self.message = message
    progress = Array(repeating: Progress(), count: pieces.count)
    // Each holder of each piece may answer once.
    answers = BoundedQueue(capacity: max(1, pieces.reduce(0) { $0 + $1.holders.count }))
  }

  /// - Parameter take: called in this thread with a piece's index and its rows, once a piece, in any order; throws if
  ///   they are not what was asked for, and the next holder is asked.
  /// - Throws: `WorkerError`: what the first holder of a piece said that nobody gave.
  mutating func run(take: (Int, BulkReply, BulkFrame?) throws -> Void) throws {
    var next = 0
    var open = pieces.count
    while open > 0 {
      while next < pieces.count, hasRoom(pieces[next].holders[0]) {
        ask(next)
        next += 1
      }
      switch answers.next(within: patience / 2) {
      case .closed: throw WorkerError.bulkUnanswered
      case .nothing: break
      case .element((let index, let result)):
        if try settle(index, result, take) { open -= 1 }
      }
      hedge(upTo: next)
    }
  }

  private var patience: Duration { max(Self.shortestPatience, (mean ?? .zero) * Self.patienceFactor) }

  private func hasRoom(_ client: BulkClient) -> Bool {
    underWay[ObjectIdentifier(client), default: 0] < BulkClient.window
  }

  private mutating func ask(_ index: Int) {
    let client = pieces[index].holders[progress[index].asked]
    progress[index].asked += 1
    progress[index].askedAt = .now
    underWay[ObjectIdentifier(client), default: 0] += 1
    client.send(message(pieces[index].request), index: index, to: answers)
  }

  /// - Returns: whether the piece is done with this.
  private mutating func settle(
    _ index: Int, _ result: Result<BulkClient.Answer, WorkerError>,
    _ take: (Int, BulkReply, BulkFrame?) throws -> Void
  ) throws -> Bool {
    // Which of the holders it was does not matter for the count of what is under way: the oldest asked is.
    let holders = pieces[index].holders.prefix(progress[index].asked)
    if let client = holders.first(where: { underWay[ObjectIdentifier($0), default: 0] > 0 }) {
      underWay[ObjectIdentifier(client), default: 1] -= 1
    }
    guard !progress[index].isDone else { return false }
    do {
      let (reply, bulk) = try result.get()
      if case .unavailable(let reason) = reply { throw WorkerError.refused(reason) }
      try take(index, reply, bulk)
      let took = ContinuousClock.now - progress[index].askedAt
      mean = mean.map { ($0 * 7 + took) / 8 } ?? took
      progress[index].isDone = true
      return true
    } catch let error as WorkerError {
      firstFailure = firstFailure ?? error
      progress[index].failed += 1
      if progress[index].asked < pieces[index].holders.count {
        ask(index)
      } else if progress[index].failed == progress[index].asked {
        throw firstFailure ?? error
      }
      return false
    }
  }

  /// Asks the next holder for what the last one asked has not answered in time.
  private mutating func hedge(upTo end: Int) {
    let now = ContinuousClock.now
    let patience = patience
    for index in 0..<end where !progress[index].isDone {
      guard now - progress[index].askedAt > patience, progress[index].asked < pieces[index].holders.count else {
        continue
      }
      let client = pieces[index].holders[progress[index].asked]
      if hasRoom(client) { ask(index) }
    }
  }
}
