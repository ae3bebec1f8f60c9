import Coordination
import Messages
import Numerics
import Services
import Slices
import Synchronization
import TestSupport
import Testing
import Threads
import Wire

@Suite("Workers, or else the coordinator, add up the chunks that they are asked for", .timeLimit(.minutes(10)))
struct ReducerTests {
  /// Three slices, and gradients of two chunks.
  private static let keys = ["head_hidden_dim": "300"]

  /// A coordinator that takes all sums, and has these gradients.
  private static func coordinator(
    having kept: [KeptGradient] = [], takes: Bool = true
  ) throws -> ScriptedCoordinator {
    try ScriptedCoordinator(keys: keys) { request in
      if case .sum(let reduction, let chunk) = request {
        return takes ? (.summed(reduction: reduction, chunk: chunk), nil) : (.unavailable(reason: "it is over"), nil)
      }
      return kept.lazy.compactMap { $0.answer(request) }.first
    }
  }

  private static func holder(_ kept: [KeptGradient]) throws -> ScriptedCoordinator {
    try ScriptedCoordinator(keys: keys) { request in kept.lazy.compactMap { $0.answer(request) }.first }
  }

  private static func kept(_ coordinator: ScriptedCoordinator, setting changes: [Int: Float] = [:]) -> [KeptGradient] {
    (0..<3).map {
      KeptGradient(
        of: SliceRange(first: $0, count: 1), count: coordinator.definition.layout.count,
        setting: $0 == 2 ? changes : [:])
    }
  }

  private static func reduction(
    _ number: UInt64, _ gradients: [Reduction.Gradient], chunks: [Int] = [0, 1]
  ) -> Reduction { Reduction(step: 4, number: number, gradients: gradients, chunks: chunks) }

  /// Whether these are all sums of a reduction, once each.
  private static func areRight(
    _ sums: [(reduction: UInt64, chunk: Int, sum: FloatBuffer)], of number: UInt64, _ kept: [KeptGradient],
    in tree: SliceTree
  ) -> Bool {
    let hashes = KeptGradient.sum(of: kept, in: tree).contentHashes(ofChunks: WireLimits.gradientChunkFloats)
    let came = sums.sorted { $0.chunk < $1.chunk }
    return came.map(\.chunk) == Array(hashes.indices) && came.allSatisfy { $0.reduction == number }
      && came.flatMap { $0.sum.contentHashes(ofChunks: WireLimits.gradientChunkFloats) } == hashes
  }

  // MARK: A worker

  private final class Worker {
    let own = KeptGradients()
    let failures: BoundedQueue<ReductionFailure>
    let reducer: WorkerReducer
    private let clients: [BulkClient]

    init(of coordinator: ScriptedCoordinator) throws {
      clients = [try coordinator.client(), try coordinator.client()]
      let failures = BoundedQueue<ReductionFailure>(capacity: 8)
      self.failures = failures
      reducer = WorkerReducer(
        coordinator.definition, coordinator: clients[0], payloads: clients[1], own: own,
        connect: { try coordinator.client(of: $0.endpoint) }, report: { _ = failures.tryAppend($0) })
    }

    deinit {
      reducer.stop()
      for client in clients { client.stop() }
    }
  }

  @Test func aWorkerAddsUpItsOwnOthersAndTheCoordinators() throws {
    let model = try Self.coordinator()
    let kept = Self.kept(model)
    let (coordinator, holder) = (try Self.coordinator(having: [kept[1]]), try Self.holder([kept[2]]))
    let worker = try Worker(of: coordinator)
    worker.own.put(
      KeptGradients.Gradient(step: 4, slices: kept[0].slices, floats: kept[0].floats, hashes: kept[0].hashes),
      of: LeaseID(1))
    let elsewhere = try Self.holder([])
    worker.reducer.add(Self.reduction(3, [kept[0].named(elsewhere), kept[1].named(), kept[2].named(holder)]))
    #expect(eventually(within: 20) { coordinator.sumsThatCame.count >= 2 })
    #expect(Self.areRight(coordinator.sumsThatCame, of: 3, kept, in: coordinator.definition.tree))
    #expect(elsewhere.takeAsked().isEmpty, "its own is not asked for")
    #expect(!holder.takeAsked().isEmpty && worker.failures.next(within: .zero).isNothing)
  }

  @Test func whatCannotBeHadIsReportedWithTheChunksThatAreMissing() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator)
    // All but the second chunk of one.
    let holder = try ScriptedCoordinator(keys: Self.keys) { request in
      if case .gradient(let name) = request, name.slices == kept[2].slices, name.chunk == 1 {
        return (.unavailable(reason: "not today"), nil)
      }
      return kept.lazy.compactMap { $0.answer(request) }.first
    }
    let worker = try Worker(of: coordinator)
    worker.reducer.add(Self.reduction(3, kept.map { $0.named(holder) }))
    let failure = try #require(try worker.failures.handedOver())
    #expect(failure.number == 3 && failure.chunks.contains(1) && failure.chunks.allSatisfy((0...1).contains))
    #expect(failure.reason.contains("of slices from 2 on") && failure.reason.contains("not today"), "\(failure)")
    #expect(coordinator.sumsThatCame.allSatisfy { $0.chunk == 0 })
    // What follows is added up as ever.
    let other = try Self.holder(kept)
    worker.reducer.add(Self.reduction(4, kept.map { $0.named(other) }))
    #expect(eventually(within: 20) { coordinator.sumsThatCame.count { $0.reduction == 4 } >= 2 })
    #expect(
      Self.areRight(coordinator.sumsThatCame.filter { $0.reduction == 4 }, of: 4, kept, in: coordinator.definition.tree)
    )
  }

  @Test func aNewerReductionEndsTheOneBefore() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator)
    let (silent, holder) = (try ScriptedCoordinator(keys: Self.keys), try Self.holder(kept))
    let worker = try Worker(of: coordinator)
    worker.reducer.add(Self.reduction(3, kept.map { $0.named(silent) }))
    #expect(eventually(within: 20) { !silent.takeAsked().isEmpty })
    worker.reducer.add(Self.reduction(4, kept.map { $0.named(holder) }))
    #expect(eventually(within: 20) { coordinator.sumsThatCame.count >= 2 })
    #expect(Self.areRight(coordinator.sumsThatCame, of: 4, kept, in: coordinator.definition.tree))
    #expect(worker.failures.next(within: .zero).isNothing, "nobody waits for the one before")
  }

  @Test func whatTheCoordinatorDoesNotTakeIsNoFailure() throws {
    let coordinator = try Self.coordinator(takes: false)
    let kept = Self.kept(coordinator)
    let holder = try Self.holder(kept)
    let worker = try Worker(of: coordinator)
    worker.reducer.add(Self.reduction(3, kept.map { $0.named(holder) }))
    #expect(eventually(within: 20) { coordinator.sumsThatCame.count >= 2 })
    #expect(worker.failures.next(within: .milliseconds(300)).isNothing)
  }

  // MARK: The coordinator

  private final class Own {
    let step: StepReduction
    let events = BoundedQueue<Event>(capacity: 8)
    let reducer: CoordinatorReducer

    init(of coordinator: ScriptedCoordinator, deal: UInt64) throws {
      let definition = coordinator.definition
      step = StepReduction(definition)
      reducer = CoordinatorReducer(definition, step: step) { try coordinator.client(of: $0.endpoint) }
      step.expect(ExpectedSums(step: 4, deal: deal, chunks: [:], compared: []))
      let events = events
      reducer.start { _ = events.tryAppend($0) }
    }

    deinit { reducer.stop() }

    /// What it reports next, if it does in time.
    func next() throws -> Event? { try events.handedOver(within: 20) }
  }

  @Test func theCoordinatorAddsUpWhatNobodyElseDoes() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator)
    let holder = try Self.holder(kept)
    let own = try Own(of: coordinator, deal: 3)
    own.reducer.add(Self.reduction(3, kept.map { $0.named(holder) }, chunks: [1]))
    own.reducer.add(Self.reduction(3, kept.map { $0.named(holder) }, chunks: [0]))
    let came = try (0..<2).map { _ in try own.next() }
    for chunk in [0, 1] {
      let sum = ArrivedSum(deal: 3, chunk: chunk, peer: nil, isFinite: true, hash: nil)
      #expect(came.contains(.sumArrived(sum)), "\(came)")
    }
  }

  @Test func theCoordinatorSaysWhoseGradientItCannotHave() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator)
    let holder = try Self.holder(Array(kept[..<2]))
    let refuses = try ScriptedCoordinator(keys: Self.keys) { _ in (.unavailable(reason: "not today"), nil) }
    let own = try Own(of: coordinator, deal: 3)
    own.reducer.add(
      Self.reduction(3, [kept[0].named(holder), kept[1].named(holder), kept[2].named(refuses)]))
    guard case .gradientUnavailable(let lost)? = try own.next(), case .notGiven(let reason) = lost.problem else {
      Issue.record("it says something else")
      return
    }
    #expect(lost.deal == 3 && lost.slices == kept[2].slices && reason.contains("not today"))
  }

  @Test func theCoordinatorSaysWhoseGradientIsNotFinite() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator, setting: [7: .nan])
    let holder = try Self.holder(kept)
    let own = try Own(of: coordinator, deal: 3)
    own.reducer.add(Self.reduction(3, kept.map { $0.named(holder) }))
    let lost = UnavailableGradient(deal: 3, slices: kept[2].slices, problem: .notFinite)
    #expect(try own.next() == .gradientUnavailable(lost))
  }

  @Test func whatTheCoordinatorGivesUpIsNotReported() throws {
    let coordinator = try Self.coordinator()
    let kept = Self.kept(coordinator)
    let silent = try ScriptedCoordinator(keys: Self.keys)
    let own = try Own(of: coordinator, deal: 3)
    own.reducer.add(Self.reduction(3, kept.map { $0.named(silent) }))
    #expect(eventually(within: 20) { !silent.takeAsked().isEmpty })
    own.reducer.abandon()
    #expect(own.events.next(within: .seconds(2.5)).isNothing)
  }
}

extension TimedElement {
  fileprivate var isNothing: Bool { if case .nothing = self { true } else { false } }
}
