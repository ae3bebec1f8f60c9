import Coordination
import MemoryBank
import Numerics
import Synchronization
import Training
import Vision
import Wire

/// The thread in which the coordinator computes slices itself, to judge workers' answers.
///
/// Judging is rare, so its workspace, which has the size of a worker's thread's, is there only while something is judged.
final class CoordinatorJudge: Sendable {
  private struct Work: Sendable {
    let step: Int
    let slices: SliceRange
  }

  /// A judgement that is of no use any more.
  private struct Outdated: Error {}

  private let plan: RunPlan
  private let data: DataSet
  private let rows: RowStore
  private let weights: PublishedWeights
  /// What waits, all of one step.
  private let waiting = Mutex<[Work]>([])
  /// Wakes the thread when something does.
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)

  init(plan: RunPlan, data: DataSet, rows: RowStore, weights: PublishedWeights) {
    self.plan = plan
    self.data = data
    self.rows = rows
    self.weights = weights
  }

  /// - Parameter report: takes the judgements, in the thread.
  func start(report: @escaping @Sendable (Event) -> Void) {
    startThread(named: "massl-judge") { [self] in
      while wake.next() != nil { judgeWhatWaits(report) }
      ended.close()
    }
  }

  /// Never waits. Nodes of other steps that are waiting are forgotten: nobody waits for them.
  func judge(_ slices: SliceRange, of step: Int) {
    waiting.withLock { waiting in
      waiting.removeAll { $0.step != step }
      waiting.append(Work(step: step, slices: slices))
    }
    _ = wake.tryAppend(true)
  }

  /// Ends the thread after the slice that it is at, and waits for it.
  func stop() {
    waiting.withLock { $0 = [] }
    wake.close()
    _ = ended.next()
  }

  private func next() -> Work? { waiting.withLock { $0.isEmpty ? nil : $0.removeFirst() } }

  private func judgeWhatWaits(_ report: (Event) -> Void) {
    var computer: SliceComputer?
    var inputs: StepInputs?
    while let work = next() {
      do {
        // The coordinator waits for no judgement of another step.
        if inputs?.step != work.step { inputs = try makeInputs(of: work.step) }
        computer = try computer ?? SliceComputer(plan)
        if let inputs, let computer { report(.judged(try judge(work, inputs, computer))) }
      } catch is Outdated {
      } catch {
        report(.judgementFailed(step: work.step, work.slices, reason: "\(error)"))
      }
    }
  }

  private func makeInputs(of step: Int) throws -> StepInputs {
    let version = weights.current
    guard version.step == step else { throw Outdated() }
    let blocks = plan.blockPlan(step: step, rows: version.rows, floor: version.floor)
    let (size, width) = (blocks.blockSize, plan.configuration.bottleneckDim)
    let memory = FloatBuffer(count: blocks.blockCount * size * width)
    let seeded = plan.seededRows
    let rowSize = rows.layout.rowSize
    for block in 0..<blocks.blockCount {
      let matrix = memory.matrix(at: block * size * width, rows: size, columns: width)
      var (stored, places): ([Int], [Int]) = ([], [])
      for position in 0..<size {
        let row = blocks.row(block: block, position: position)
        if blocks.window.isSeeded(row) {
          seeded.write(row: row, into: matrix.row(at: position))
        } else {
          stored.append(row)
          places.append(position)
        }
      }
      guard !stored.isEmpty else { continue }
      var found = [UInt8](repeating: 0, count: stored.count * rowSize)
      try found.withUnsafeMutableBytes { found in
        try rows.read(stored, into: found)
        for (index, place) in places.enumerated() {
          let row = UnsafeRawBufferPointer(rebasing: found[(index * rowSize)..<((index + 1) * rowSize)])
          plan.rowType.load(row, into: matrix.row(at: place))
        }
      }
    }
    return StepInputs(
      step: step, student: version.student, teacher: version.teacher, memory: memory, blockSize: size, width: width)
  }

  private func judge(_ work: Work, _ inputs: StepInputs, _ computer: SliceComputer) throws -> Finished {
    var sum = TreeSum<SliceSum>(tree: SliceTree(count: work.slices.count))
    for slice in work.slices.indices {
      guard weights.current.step == work.step else { throw Outdated() }
      let result = try computer.compute(
        step: work.step, slice: slice, student: inputs.student, teacher: inputs.teacher, blocks: inputs.blocks,
        into: FloatBuffer(count: plan.layout.count), bytes: { [data] in try data.read($0) })
      sum.insert(result, at: SliceRange(first: slice - work.slices.first, count: 1)) { SliceSum.adding($0, $1) }
    }
    guard let total = sum.total else { throw Outdated() }
    return total.finished(lease: LeaseID(0), step: work.step)
  }
}

extension SliceSum {
  /// What a worker announces of it.
  func finished(lease: LeaseID, step: Int) -> Finished {
    Finished(
      lease: lease, step: step, slices: slices, payload: payloadDigest, payloadCount: payloadCount, losses: losses,
      chosen: chosen, undecodable: undecodable)
  }
}
