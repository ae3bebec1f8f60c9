import Messages
import Numerics
import Services
import Slices
import TestSupport
import Testing
import Wire

@Suite("Chunks of gradients are added up with the bits of whole ones, whatever holders do", .timeLimit(.minutes(10)))
struct GradientSumsTests {
  /// Floats of a gradient of three chunks, the last of which is short.
  private static let count = 2 * WireLimits.gradientChunkFloats + 77
  private static let step = 4

  /// The sums of these chunks.
  private static func sums(
    _ tree: SliceTree, _ gradients: [Reduction.Gradient], chunks: [Int] = [0, 1, 2], count: Int = count,
    from source: (Reduction.Gradient) throws -> GradientSums.Source, unless check: () throws -> Void = {}
  ) throws -> [Int: [Float]] {
    var sums = GradientSums(tree: tree, parameters: count)
    var taken: [Int: [Float]] = [:]
    let reduction = Reduction(step: step, number: 1, gradients: gradients, chunks: chunks)
    try sums.add(reduction, from: source, unless: check) { chunk, sum, count in
      #expect(taken[chunk] == nil, "chunk \(chunk) comes twice")
      taken[chunk] = (0..<count).map { sum[$0] }
    }
    return taken
  }

  private static func chunks(of buffer: FloatBuffer, _ chunks: [Int] = [0, 1, 2]) -> [Int: [Float]] {
    Dictionary(
      uniqueKeysWithValues: chunks.map { chunk in
        (chunk, GradientChunk.floats(of: chunk, in: buffer.count).map { buffer[$0] })
      })
  }

  /// Nodes that cover the tree, drawn.
  private static func nodes(
    of node: SliceRange, in tree: SliceTree, _ random: inout SplitMix64
  ) -> [SliceRange] {
    guard let halves = tree.children(of: node), random.next(below: 4) > 0 else { return [node] }
    return nodes(of: halves.left, in: tree, &random) + nodes(of: halves.right, in: tree, &random)
  }

  // MARK: Bits

  /// Some gradients are here, some at holders, some at the coordinator, which gives no hashes.
  @Test(arguments: [1, 2, 3, 6, 7, 16]) func sumsHaveTheBitsOfWholeGradients(slices: Int) throws {
    let tree = SliceTree(count: slices)
    for seed in 0..<2 as Range<UInt64> {
      var random = SplitMix64(seed: seed)
      let leaves = (0..<slices).map { SliceRange(first: $0, count: 1) }
      let nodes = seed == 0 ? leaves : Self.nodes(of: tree.root, in: tree, &random)
      let kept = nodes.map { KeptGradient(of: $0, count: Self.count, seed: seed) }
      let holder = try ScriptedCoordinator { request in kept.lazy.compactMap { $0.answer(request) }.first }
      let client = try holder.client()
      defer { client.stop() }
      let places = nodes.map { _ in random.next(below: 3) }
      let sums = try Self.sums(tree, zip(kept, places).map { $1 == 1 ? $0.named(holder) : $0.named() }) { gradient in
        let index = try #require(nodes.firstIndex(of: gradient.slices))
        return places[index] == 0 ? .here(kept[index].floats) : .clients([client])
      }
      #expect(sums == Self.chunks(of: KeptGradient.sum(of: kept, in: tree)), "\(nodes.map(\.indices))")
      let asked = holder.takeAsked()
      #expect(Set(asked).count == asked.count, "nothing is asked for twice")
      // Nobody gives hashes of what the coordinator has.
      let hashed = asked.compactMap { if case .gradientHashes(_, let node) = $0 { node } else { nil } }
      #expect(Set(hashed) == Set(zip(nodes, places).filter { $1 == 1 }.map(\.0)))
    }
  }

  @Test func onlyTheChunksThatAreAskedForAreAddedUp() throws {
    let tree = SliceTree(count: 2)
    let kept = (0..<2).map { KeptGradient(of: SliceRange(first: $0, count: 1), count: Self.count) }
    let holder = try ScriptedCoordinator { request in kept.lazy.compactMap { $0.answer(request) }.first }
    let client = try holder.client()
    defer { client.stop() }
    let sums = try Self.sums(tree, kept.map { $0.named(holder) }, chunks: [0, 2]) { _ in .clients([client]) }
    #expect(sums == Self.chunks(of: KeptGradient.sum(of: kept, in: tree), [0, 2]))
    let asked = holder.takeAsked().compactMap { if case .gradient(let name) = $0 { name.chunk } else { nil } }
    #expect(asked.sorted() == [0, 0, 2, 2])
  }

  /// With so many nodes a chunk of each is half of all that is held at a time.
  @Test func aWindowOfOneChunkIsPulledAfterTheOther() throws {
    let tree = SliceTree(count: 130)
    let count = WireLimits.gradientChunkFloats + 9
    let kept = (0..<130).map { KeptGradient(of: SliceRange(first: $0, count: 1), count: count) }
    let holder = try ScriptedCoordinator { request in kept.lazy.compactMap { $0.answer(request) }.first }
    let client = try holder.client()
    defer { client.stop() }
    let sums = try Self.sums(tree, kept.map { $0.named(holder) }, chunks: [0, 1], count: count) { _ in
      .clients([client])
    }
    #expect(sums == Self.chunks(of: KeptGradient.sum(of: kept, in: tree), [0, 1]))
    let asked = holder.takeAsked().compactMap { if case .gradient(let name) = $0 { name.chunk } else { nil } }
    #expect(asked == [Int](repeating: 0, count: 130) + [Int](repeating: 1, count: 130))
  }

  // MARK: Holders

  /// What a holder may do instead of giving its gradient.
  enum Fault: String, CaseIterable {
    case sendsOtherHashes, sendsTooFewHashes, saysHashesOfAnotherNode, refusesHashes
    case sendsOtherFloats, sendsAnotherLength, sendsAnotherChunk, refuses, isSilent, isNotThere

    func answer(_ request: BulkRequest, _ kept: KeptGradient) -> (BulkReply, Bulk?)? {
      switch (self, request) {
      case (.sendsOtherHashes, .gradientHashes(let step, let slices)):
        let other = KeptGradient(of: slices, count: kept.floats.count, seed: 99)
        return (.gradientHashes(step: step, slices: slices), .bytes(other.hashes.flatMap(\.bytes)))
      case (.sendsTooFewHashes, .gradientHashes(let step, let slices)):
        return (.gradientHashes(step: step, slices: slices), .bytes(kept.hashes.dropLast().flatMap(\.bytes)))
      case (.saysHashesOfAnotherNode, .gradientHashes(let step, _)):
        let other = SliceRange(first: 9, count: 1)
        return (.gradientHashes(step: step, slices: other), .bytes(kept.hashes.flatMap(\.bytes)))
      case (.refusesHashes, .gradientHashes), (.refuses, .gradient): return (.unavailable(reason: "not today"), nil)
      case (.sendsOtherFloats, .gradient(let name)):
        let other = KeptGradient(of: kept.slices, count: kept.floats.count, seed: 99)
        return other.answer(.gradient(name))
      case (.sendsAnotherLength, .gradient(let name)): return (.gradient(name), .floats(kept.floats, 0..<7))
      case (.sendsAnotherChunk, .gradient(var name)):
        name.chunk = 1 - min(name.chunk, 1)
        return kept.answer(.gradient(name))
      case (.isSilent, .gradient), (.isNotThere, _): return nil
      default: return kept.answer(request)
      }
    }
  }

  private static let kept = (0..<2).map { KeptGradient(of: SliceRange(first: $0, count: 1), count: count) }

  /// - Parameter hasAnother: whether somebody else has it too.
  private static func sums(withA fault: Fault, hasAnother: Bool) throws -> [Int: [Float]] {
    let faulty = try ScriptedCoordinator { fault.answer($0, kept[1]) }
    let honest = try ScriptedCoordinator { request in kept.lazy.compactMap { $0.answer(request) }.first }
    let place = fault == .isNotThere ? try Endpoint("tcp://127.0.0.1:9") : faulty.bulkEndpoint
    let clients = (try faulty.client(of: place), try honest.client())
    defer {
      clients.0.stop()
      clients.1.stop()
    }
    return try sums(SliceTree(count: 2), [kept[0].named(honest), kept[1].named(faulty, honest)]) { gradient in
      guard gradient.slices == kept[1].slices else { return .clients([clients.1]) }
      return .clients(hasAnother ? [clients.0, clients.1] : [clients.0])
    }
  }

  @Test(arguments: Fault.allCases) func whatAHolderDoesNotGiveTheNextOneDoes(fault: Fault) throws {
    let expected = Self.chunks(of: KeptGradient.sum(of: Self.kept, in: SliceTree(count: 2)))
    #expect(try Self.sums(withA: fault, hasAnother: true) == expected)
  }

  @Test(arguments: Fault.allCases) func whatNobodyGivesIsNamed(fault: Fault) throws {
    let begun = ContinuousClock.now
    let failure = #expect(throws: GradientSums.Failure.self) { try Self.sums(withA: fault, hasAnother: false) }
    #expect(failure?.slices == Self.kept[1].slices && failure?.isNotFinite == false, "\(String(describing: failure))")
    #expect(ContinuousClock.now - begun < .seconds(10), "a holder is waited for")
  }

  // MARK: What ends it

  @Test(arguments: [true, false]) func aGradientThatIsNotFiniteIsNamed(isHere: Bool) throws {
    let bad = KeptGradient(of: SliceRange(first: 1, count: 1), count: Self.count, setting: [Self.count - 1: .infinity])
    let holder = try ScriptedCoordinator { bad.answer($0) }
    let client = try holder.client()
    defer { client.stop() }
    let failure = #expect(throws: GradientSums.Failure.self) {
      try Self.sums(SliceTree(count: 2), [Self.kept[0].named(), bad.named(holder)]) { gradient in
        gradient.slices == bad.slices ? isHere ? .here(bad.floats) : .clients([client]) : .here(Self.kept[0].floats)
      }
    }
    #expect(failure?.slices == bad.slices && failure?.isNotFinite == true, "\(String(describing: failure))")
  }

  @Test func whatIsNotWantedAnyMoreIsNotWaitedFor() throws {
    struct Outdated: Error {}
    let silent = try ScriptedCoordinator()
    let client = try silent.client()
    defer { client.stop() }
    let begun = ContinuousClock.now
    #expect(throws: Outdated.self) {
      try Self.sums(SliceTree(count: 1), [Self.kept[0].named(silent)], from: { _ in .clients([client]) }) {
        guard ContinuousClock.now - begun < .milliseconds(200) else { throw Outdated() }
      }
    }
    #expect(ContinuousClock.now - begun < .seconds(1.5))
  }
}
