import Coordination
import Messages
import Numerics

// Gradients that stay with the workers, and are added up there.

extension StepSimulation {
  /// What a step's reduction has come to.
  struct StepReduction {
    /// When its chunks were dealt; nil while they are not.
    var began: Double?
    /// Who has its gradients; nil while they are not asked for.
    var holders: LinkModel.Source?
    /// By worker: when it is done with what it pulled so far.
    var addersAreFreeAt: [Int: Double] = [:]
    /// When the coordinator is done with the sums that came so far.
    var coordinatorIsFreeAt = 0.0
  }

  /// Chunks that a worker pulls from all others at once.
  struct ChunkWindow {
    let worker: Int
    /// The `Reduction`'s number.
    let deal: UInt64
    /// Gradients that are added up.
    let gradients: Int
    let chunks: ArraySlice<Int>
    /// Chunks that follow.
    let later: ArraySlice<Int>
  }

  /// A worker's chunks come one after the other; so many windows are enough to show what overlaps.
  private static let windows = 8

  /// Seconds in which a worker, or the coordinator on a machine like it, hashes so many floats on all cores.
  /// - Parameter connections: what came over them is hashed by a thread for each.
  func secondsOnAllCores(hashingFloats count: Double, from connections: Int = .max) -> Double {
    deployment.seconds(hashingFloats: count) / Double(max(1, min(deployment.threads, connections)))
  }

  private func floats(of chunks: ArraySlice<Int>) -> Double {
    Double(chunks.reduce(0) { $0 + GradientChunk.floats(of: $1, in: definition.layout.count).count })
  }
}

// MARK: - A worker that adds up

extension StepSimulation {
  mutating func reduce(_ asked: Reduction, _ index: Int) {
    if reduction.holders == nil {
      // What no worker keeps the coordinator has.
      let holders = asked.gradients.map { $0.holders.first.map { machine(Worker.number(at: $0)) } ?? 0 }
      reduction.holders = links.group(holders)
    }
    let size = (asked.chunks.count + Self.windows - 1) / Self.windows
    // The hashes of all chunks come before the first.
    let hashes = GradientChunk.count(ofFloats: definition.layout.count) * ContentHash.byteCount
    pull(
      ChunkWindow(
        worker: index, deal: asked.number, gradients: asked.gradients.count, chunks: asked.chunks.prefix(size),
        later: asked.chunks.dropFirst(size)), besides: Double(hashes))
  }

  /// - Parameter hashes: bytes of each gradient's that come too.
  private mutating func pull(_ window: ChunkWindow, besides hashes: Double = 0) {
    guard let holders = reduction.holders else { return }
    let bytes = gradientsOfOthers(window) * (4 * floats(of: window.chunks) + hashes)
    send([(bytes, holders)], .parts, to: machine(window.worker), then: .partsHere(window))
  }

  /// Gradients that the worker has to ask others for.
  private func gradientsOfOthers(_ window: ChunkWindow) -> Double {
    reduction.holders.map { links.weight(of: $0, to: machine(window.worker)) } ?? 0
  }

  /// What comes is hashed where it comes, then one thread adds: that reads two and writes one.
  mutating func partsHere(_ window: ChunkWindow) {
    if !window.later.isEmpty {
      pull(
        ChunkWindow(
          worker: window.worker, deal: window.deal, gradients: window.gradients,
          chunks: window.later.prefix(window.chunks.count), later: window.later.dropFirst(window.chunks.count)))
    }
    let floats = floats(of: window.chunks)
    let done =
      max(reduction.addersAreFreeAt[window.worker] ?? 0, clock)
      + secondsOnAllCores(hashingFloats: gradientsOfOthers(window) * floats, from: deployment.workers - 1)
      + deployment.seconds(passingFloats: 3 * Double(window.gradients - 1) * floats)
    reduction.addersAreFreeAt[window.worker] = done
    after(done - clock, .partsAdded(window))
  }

  mutating func partsAdded(_ window: ChunkWindow) {
    send(
      [(4 * floats(of: window.chunks), .machine(machine(window.worker)))], .gradients, to: 0, then: .sumsSent(window))
  }
}

// MARK: - The coordinator that takes the sums

extension StepSimulation {
  /// It copies them out of their frames, looks for what is not finite, and copies them to their place: one after the other.
  mutating func sumsSent(_ window: ChunkWindow) {
    let done =
      max(reduction.coordinatorIsFreeAt, clock) + deployment.seconds(passingFloats: 5 * floats(of: window.chunks))
    reduction.coordinatorIsFreeAt = done
    after(done - clock, .sumsTaken(window))
  }

  mutating func sumsTaken(_ window: ChunkWindow) {
    for chunk in window.chunks {
      handle(
        .sumArrived(
          ArrivedSum(deal: window.deal, chunk: chunk, peer: Worker.peer(window.worker), isFinite: true, hash: nil)))
    }
  }
}
