import MemoryBank
import Networks
import Numerics
import Optimization
import Slices
import Synchronization
import Training

/// `massl bench step`: one optimizer update over a global batch of ready-made views, without sockets: slices on all
/// threads, their tree sum, clipping, optimizer, teacher average and both digests.
///
/// `@unchecked Sendable`: computer number i is used by thread i alone; the rest is only read, or behind a mutex.
public final class WholeStep: @unchecked Sendable {
  private let definition: RunDefinition
  private let threads: Int
  private let views: [Matrix]
  private let blocks: [Factor]
  private let computers: [SliceComputer]
  private let gradients: [FloatBuffer]
  private let state: Mutex<State>

  private struct State: Sendable {
    var student: FloatBuffer
    var teacher: FloatBuffer
    var optimizer: OptimizerState
    var spareStudent: FloatBuffer
    var spareTeacher: FloatBuffer
    var spareOptimizer: OptimizerState
    var digest: Digest?
  }

  /// - Throws: `NetworkError` for view sizes that the network cannot have.
  public init(_ definition: RunDefinition, threads: Int) throws {
    self.definition = definition
    self.threads = min(threads, definition.slices)
    let configuration = definition.configuration
    views = (0..<configuration.viewsPerImage).map { view in
      let side = view < 2 ? configuration.imageSize : configuration.localSize
      return drawnMatrix(rows: configuration.sliceSize, columns: 3 * side * side, UInt64(view))
    }
    blocks = definition.blockDraw(of: MemoryVersion(step: 0, rows: 0))
      .seededBlocks(definition.seededRows).map { $0.rounded(to: definition.precision) }
    computers = try (0..<self.threads).map { _ in try SliceComputer(definition) }
    gradients = (0..<definition.slices).map { _ in FloatBuffer(count: definition.layout.count) }
    func weights() -> FloatBuffer { initialParameters(layout: definition.layout, seed: configuration.seed) }
    state = Mutex(
      State(
        student: weights(), teacher: weights(), optimizer: definition.optimizer.makeState(), spareStudent: weights(),
        spareTeacher: weights(), spareOptimizer: definition.optimizer.makeState()))
  }

  /// The method's operations a second beside sgemm's, in turn.
  public static func measure(_ definition: RunDefinition, threads: Int, rounds: Int) throws -> Figure {
    let step = try WholeStep(definition, threads: threads)
    let ceiling = SimultaneousProducts(MatrixProducts.ceiling, threads: threads, definition.precision)
    let seconds = try Timing.medians(rounds: rounds, [{ ceiling.run() }, { step.run() }])
    let images = Double(definition.configuration.batchSize) / seconds[1]
    return Figure(
      "step", images * definition.operationsPerImage / 1e9, unit: "GFLOP/s",
      ceiling: .init(MatrixProducts.ceilingName(definition.precision), ceiling.operations / seconds[0] / 1e9),
      digest: step.digest,
      imagesPerSecond: images, peakBytes: Timing.peakBytes)
  }

  /// Of the student after the last run.
  package var digest: String { state.withLock { $0.digest.map { "\($0)" } ?? "" } }

  /// Does one step.
  package func run() {
    let (student, teacher) = state.withLock {
      (NetworkWeights($0.student, definition.precision), NetworkWeights($0.teacher, definition.precision))
    }
    let next = Counter()
    let sums = Mutex([SliceSum?](repeating: nil, count: definition.slices))
    Timing.onThreads(threads) { [self] thread in
      while let slice = next.next(below: definition.slices) {
        let sum = computers[thread].compute(
          step: 0, slice: slice, views: views, student: student, teacher: teacher, blocks: blocks,
          into: gradients[slice])
        sums.withLock { $0[slice] = sum }
      }
    }
    var tree = TreeSum<SliceSum>(tree: definition.tree)
    for sum in sums.withLock({ $0 }) {
      guard let sum else { continue }
      tree.insert(sum, at: sum.slices) { SliceSum.adding($0, $1) }
    }
    guard let total = tree.total else { fatalError("invariant broken: a step without all its slices") }
    update(total)
  }

  private func update(_ total: SliceSum) {
    state.withLock { state in
      _ = definition.optimizer.update(
        state.student, gradient: total.gradient, state: state.optimizer, learningRate: definition.learningRate[0],
        weightDecay: definition.weightDecay[0], into: state.spareStudent, &state.spareOptimizer)
      averageTeacher(
        state.teacher, student: state.spareStudent, momentum: definition.momentum[0], into: state.spareTeacher)
      (state.student, state.spareStudent) = (state.spareStudent, state.student)
      (state.teacher, state.spareTeacher) = (state.spareTeacher, state.teacher)
      (state.optimizer, state.spareOptimizer) = (state.spareOptimizer, state.optimizer)
      state.digest = state.student.digest
      _ = state.teacher.digest
    }
  }
}

/// Numbers in turn, for any thread.
final class Counter: Sendable {
  private let value = Atomic<Int>(0)

  func next(below end: Int) -> Int? {
    let number = value.add(1, ordering: .relaxed).oldValue
    return number < end ? number : nil
  }
}
