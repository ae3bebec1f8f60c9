import Glibc
import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Threads

@Suite("Something in pieces is fetched whole, whatever some of its holders do", .timeLimit(.minutes(10)))
struct PieceFetchTests {
  private static let floats = 64

  /// What a holder makes of a request.
  private enum Conduct: CaseIterable {
    case gives, refuses, sendsOtherFloats, sendsAnotherLength, sendsAnotherPiece, saysSomethingElse, isSilent, isLate
  }

  /// Asked for pieces as for chunks of weights: which piece by the offset, of which fetch by the step.
  private static func request(_ piece: Int, of fetch: Int) -> BulkRequest {
    .weights(network: .student, step: fetch, offset: piece, count: floats)
  }

  private static func content(_ piece: Int) -> FloatBuffer {
    FloatBuffer((0..<floats).map { Float(piece * 1000 + $0) })
  }

  private static func holder(
    _ conduct: @escaping @Sendable (_ fetch: Int, _ piece: Int) -> Conduct
  ) throws -> ScriptedCoordinator {
    try ScriptedCoordinator { request in
      guard case .weights(_, let fetch, let piece, _) = request else { return nil }
      let right = BulkReply.weights(network: .student, step: fetch, offset: piece)
      switch conduct(fetch, piece) {
      case .gives: return (right, .floats(content(piece), 0..<floats))
      case .refuses: return (.unavailable(reason: "not today"), nil)
      case .sendsOtherFloats: return (right, .floats(FloatBuffer(count: floats), 0..<floats))
      case .sendsAnotherLength: return (right, .floats(content(piece), 0..<floats - 1))
      case .sendsAnotherPiece:
        return (
          .weights(network: .student, step: fetch, offset: piece + 1), .floats(content(piece + 1), 0..<floats)
        )
      case .saysSomethingElse: return (.samePicture(index: piece), nil)
      case .isSilent: return nil
      case .isLate:
        // Who else asks it waits too.
        usleep(80_000)
        return (right, .floats(content(piece), 0..<floats))
      }
    }
  }

  /// Takes nothing but what was asked for, and each piece once.
  private static func run(_ fetch: inout PieceFetch, _ number: Int, pieces: Int) throws -> [Int] {
    var taken = [Int](repeating: 0, count: pieces)
    try fetch.run { piece, reply, frame, endpoint in
      guard reply == .weights(network: .student, step: number, offset: piece), let frame,
        frame.count == floats * MemoryLayout<Float>.stride
      else { throw BulkError.otherBits("a piece", from: endpoint) }
      let buffer = FloatBuffer(count: floats)
      frame.copy(into: buffer, at: 0)
      guard buffer.digest == content(piece).digest else { throw BulkError.otherBits("a piece", from: endpoint) }
      taken[piece] += 1
    }
    return taken
  }

  private static func kind(milliseconds: Int, isEven: Bool = false) -> PieceFetch.Kind {
    let patience = Duration.milliseconds(milliseconds)
    return PieceFetch.Kind(patience: patience, evenAfter: isEven ? patience : nil) { .weightsUnavailable($0) }
  }

  /// Each piece has one holder that gives it; what the others do is drawn for each piece.
  @Test func eachPieceComesOnceAndIsAskedOfNobodyTwice() throws {
    let (pieces, holders) = (24, 3)
    let all = try (0..<holders).map { number in
      try Self.holder { fetch, piece in
        guard (piece + fetch) % holders != number else { return .gives }
        let draw = SplitMix64.mixed(UInt64((fetch * holders + number) * pieces + piece))
        return Conduct.allCases[Int(draw % UInt64(Conduct.allCases.count))]
      }
    }
    let clients = try all.map { try $0.client() }
    defer { for client in clients { client.stop() } }
    for number in 0..<16 {
      var random = SplitMix64(seed: UInt64(number))
      var fetch = PieceFetch(
        (0..<pieces).map {
          PieceFetch.Piece(request: Self.request($0, of: number), holders: clients.shuffled(using: &random))
        }, Self.kind(milliseconds: 100, isEven: number % 2 == 0))
      let taken = try Self.run(&fetch, number, pieces: pieces)
      #expect(taken == [Int](repeating: 1, count: pieces), "fetch \(number)")
      for holder in all {
        let asked = holder.takeAsked().filter { if case .weights(_, number, _, _) = $0 { true } else { false } }
        #expect(Set(asked).count == asked.count, "fetch \(number)")
      }
    }
  }

  @Test func aPieceThatNobodyGivesIsSaidToBeMissingWithWhatWasSaid() throws {
    let refuses = try Self.holder { _, piece in piece == 3 ? .refuses : .gives }
    let lies = try Self.holder { _, piece in piece == 3 ? .sendsOtherFloats : .gives }
    let clients = try [refuses, lies].map { try $0.client() }
    defer { for client in clients { client.stop() } }
    var fetch = PieceFetch(
      (0..<5).map { PieceFetch.Piece(request: Self.request($0, of: 0), holders: clients) },
      Self.kind(milliseconds: 500))
    let error = #expect(throws: BulkError.self) { try Self.run(&fetch, 0, pieces: 5) }
    let text = "\(String(describing: error))"
    #expect(text.contains("\(refuses.bulkEndpoint) refused: not today"), "\(text)")
    #expect(text.contains("\(lies.bulkEndpoint) with other bits"), "\(text)")
  }

  /// It goes on answering, so it is never silent; its part would take ten seconds.
  @Test func oneThatAnswersFarMoreSlowlyThanTheOthersKeepsNobody() throws {
    let slow = try Self.holder { _, _ in
      usleep(200_000)
      return .gives
    }
    let others = try [Self.holder { _, _ in .gives }, Self.holder { _, _ in .gives }]
    let clients = try ([slow] + others).map { try $0.client() }
    defer { for client in clients { client.stop() } }
    var fetch = PieceFetch(
      (0..<100).map {
        PieceFetch.Piece(request: Self.request($0, of: 0), holders: [clients[$0 % 2], clients[2]])
      }, Self.kind(milliseconds: 500, isEven: true))
    let begun = ContinuousClock.now
    #expect(try Self.run(&fetch, 0, pieces: 100) == [Int](repeating: 1, count: 100))
    #expect(ContinuousClock.now - begun < .seconds(4))
    #expect(fetch.slow == [slow.bulkEndpoint])
    #expect(others.allSatisfy { !$0.takeAsked().isEmpty })
  }

  @Test func oneThatSendsOtherBitsIsAskedForNothingMore() throws {
    let lies = try Self.holder { _, _ in .sendsOtherFloats }
    let honest = try Self.holder { _, _ in .gives }
    let clients = try [lies, honest].map { try $0.client() }
    defer { for client in clients { client.stop() } }
    var fetch = PieceFetch(
      (0..<200).map { PieceFetch.Piece(request: Self.request($0, of: 0), holders: clients) },
      Self.kind(milliseconds: 500))
    #expect(try Self.run(&fetch, 0, pieces: 200) == [Int](repeating: 1, count: 200))
    #expect(lies.takeAsked().count <= WireLimits.requestsUnderWay && fetch.wrong == [lies.bulkEndpoint])
  }

  @Test func whatIsNotWantedAnyMoreIsNotWaitedFor() throws {
    let silent = try Self.holder { _, _ in .isSilent }
    let client = try silent.client()
    defer { client.stop() }
    var fetch = PieceFetch(
      [PieceFetch.Piece(request: Self.request(0, of: 0), holders: [client])], Self.kind(milliseconds: 5000))
    let begun = ContinuousClock.now
    #expect(throws: WorkerError.cancelled) {
      try fetch.run {
        guard ContinuousClock.now - begun < .milliseconds(200) else { throw WorkerError.cancelled }
      } take: { _, _, _, _ in
        Issue.record("nobody answers")
      }
    }
    #expect(ContinuousClock.now - begun < .seconds(2))
  }
}
