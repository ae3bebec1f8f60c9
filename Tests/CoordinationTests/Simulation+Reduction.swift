import Coordination
import Messages
import Numerics
import Slices
import TestSupport

/// What the coordinator's process has of a step whose gradients stay with workers.
struct SimulatedReduction {
  /// By accepted node; whether its gradient is with a worker.
  var results: [SliceRange: (finished: Finished, isKept: Bool)] = [:]
  var hasBegun = false
  var expected: ExpectedSums?
  /// By chunk. A part of a chunk stands for all of its gradient, so that all sums of a step are one.
  var sums: [Int: Digest] = [:]
  /// Chunks of the newest deal whose sum is there.
  var isHere: Set<Int> = []

  /// The step's sum, if all chunks have one; of sums that differ nobody's.
  var total: Digest? {
    guard sums.count == Simulation.chunks else { return nil }
    let all = sums.sorted { $0.key < $1.key }.map(\.value)
    return Set(all).count == 1 ? all[0] : all.dropFirst().reduce(all[0], Truth.sum)
  }
}

/// Gradients that stay with their workers: who has them, who adds them up, and what becomes of the sums.
extension Simulation {
  static let chunks = 4
  static let parameters = (chunks - 1) * WireLimits.gradientChunkFloats + 1

  /// What of the step is to be updated with; nil while something is missing.
  var total: Digest? { coordinator.reduction.hasBegun ? coordinator.reduction.total : coordinator.sum.total }

  static func payloadCount(slices: Int) -> Int { parameters + 10 * slices }

  static func gradient(_ payload: Digest) -> GradientIdentity {
    GradientIdentity(digest: payload, hash: ContentHash(high: payload.high, low: payload.low))
  }
}

// MARK: - The coordinator

extension Simulation {
  mutating func carryOutReduction(_ effect: Effect) {
    switch effect {
    case .forgetResult(let node):
      note("forgottenResults")
      if coordinator.reduction.results.removeValue(forKey: node) == nil {
        fail("a result of \(node) that was not accepted")
      }
      coordinator.acceptedSlices.subtract(node.indices)
    case .expectSums(let expected):
      note("deals")
      if expected.step != coordinator.version.step { fail("sums of step \(expected.step) out of turn") }
      coordinator.reduction.hasBegun = true
      coordinator.reduction.expected = expected
      coordinator.reduction.isHere = []
    case .abandonSums: coordinator.reduction.expected = nil
    case .reduce(let reduction):
      note("ownReductions")
      schedule(
        .addsUpItself(life: coordinator.life, restarts: coordinator.restarts, reduction),
        in: random.next(below: Self.second))
    default: fail("\(effect) has nothing to do with sums")
    }
  }

  /// The coordinator's own thread adds chunks up, the first of these now.
  mutating func addUp(_ reduction: Reduction) {
    guard coordinator.reduction.expected?.deal == reduction.number, let chunk = reduction.chunks.first else { return }
    let (sum, missing) = add(reduction.gradients, in: reduction.step) { gradient in
      coordinator.reduction.results[gradient.slices].flatMap { $0.isKept ? nil : $0.finished.payload }
    }
    guard let sum else {
      let lost = UnavailableGradient(
        deal: reduction.number, slices: missing, problem: .notGiven(reason: "nobody answers"))
      return tell(.gradientUnavailable(lost))
    }
    coordinator.reduction.sums[chunk] = sum
    coordinator.reduction.isHere.insert(chunk)
    arrived(sum, of: chunk, from: nil, isFinite: true)
    var rest = reduction
    rest.chunks.removeFirst()
    schedule(
      .addsUpItself(life: coordinator.life, restarts: coordinator.restarts, rest),
      in: random.next(below: Self.second / 10))
  }

  private mutating func arrived(_ sum: Digest, of chunk: Int, from peer: PeerID?, isFinite: Bool) {
    guard let expected = coordinator.reduction.expected else { return }
    let hash = expected.compared.contains(chunk) ? ContentHash(high: sum.high, low: sum.low) : nil
    tell(.sumArrived(ArrivedSum(deal: expected.deal, chunk: chunk, peer: peer, isFinite: isFinite, hash: hash)))
  }

  /// A worker's sum is on the coordinator's bulk socket.
  mutating func arrive(_ sum: Digest, of chunk: Int, deal: UInt64, isFinite: Bool, from sender: Sender) {
    guard coordinator.machine != nil, sender.incarnation == incarnation else { return }
    guard let expected = coordinator.reduction.expected,
      expected.deal == deal && expected.chunks[sender.peer]?.contains(chunk) == true || bug == .addsSumsOfTwoDeals
    else { return note("foreignSums") }
    if isFinite, bug == .addsSumsOfTwoDeals, let other = coordinator.reduction.sums[chunk] {
      coordinator.reduction.sums[chunk] = Truth.sum(other, sum)
    } else if isFinite, coordinator.reduction.isHere.insert(chunk).inserted {
      coordinator.reduction.sums[chunk] = sum
    }
    arrived(sum, of: chunk, from: sender.peer, isFinite: isFinite)
  }
}

// MARK: - Workers

extension Simulation {
  /// A worker's thread begins a reduction, and gives up the one before.
  mutating func reduce(_ reduction: Reduction, _ index: Int) {
    workers[index].reduction = reduction.number
    addsUpNext(reduction, index)
  }

  private mutating func addsUpNext(_ reduction: Reduction, _ index: Int) {
    guard !reduction.chunks.isEmpty else { return }
    var delay = random.next(below: Self.second / 5)
    if random.chance(faults.workerHang) { delay += random.next(below: 60 * Self.second) }
    schedule(
      .addsUp(index, life: workers[index].process.life, session: workers[index].session, reduction), in: delay)
  }

  /// A worker's thread has added up the first of these chunks.
  mutating func addUp(_ reduction: Reduction, _ session: Int, _ index: Int) {
    guard session == workers[index].session, workers[index].reduction == reduction.number,
      let sender = workers[index].machine?.sender
    else { return }
    let chunk = reduction.chunks[0]
    let (sum, missing) = add(reduction.gradients, in: reduction.step) { gradient in
      gradient.holders.isEmpty ? coordinator.reduction.results[gradient.slices]?.finished.payload : nil
    }
    // Now and then one does not reach another, though everybody else does.
    guard let sum, !random.chance(max(faults.givingBack, faults.partition / 4)) else {
      note("failedReductions")
      let failure = ReductionFailure(
        number: reduction.number, chunks: reduction.chunks, reason: "the gradient of \(missing) does not come")
      return tell(.work(.reductionFailed(failure), session: session), worker: index)
    }
    note("sums")
    let isFinite = !saysNotFinite(index)
    send(
      .sum(answer(sum, of: index), chunk: chunk, deal: reduction.number, isFinite: isFinite, sender),
      from: .worker(index))
    var rest = reduction
    rest.chunks.removeFirst()
    addsUpNext(rest, index)
  }

  /// Adds one chunk up from whoever has its parts.
  /// - Parameter here: what need not be fetched from a worker.
  /// - Returns: the sum, or the node that nobody gives.
  private func add(
    _ gradients: [Reduction.Gradient], in step: Int, here: (Reduction.Gradient) -> Digest?
  ) -> (sum: Digest?, missing: SliceRange) {
    var sum = TreeSum<Digest>(tree: truth.tree)
    for gradient in gradients {
      guard let part = here(gradient) ?? kept(gradient, in: step) else { return (nil, gradient.slices) }
      sum.insert(part, at: gradient.slices, add: Truth.sum)
    }
    return (sum.total, truth.tree.root)
  }

  /// What a worker that keeps a gradient gives of it, if that has the hash that was announced.
  private func kept(_ gradient: Reduction.Gradient, in step: Int) -> Digest? {
    for address in gradient.holders {
      guard let worker = workers.first(where: { $0.address == address }), worker.process.answers(at: time) else {
        continue
      }
      let result = worker.results.values.first { $0.step == step && $0.slices == gradient.slices }
      if let result, Self.gradient(result.payload).hash == gradient.hash { return result.payload }
    }
    return nil
  }
}
