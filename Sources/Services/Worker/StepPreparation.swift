import MemoryBank
import Messages
import Networks
import Numerics
import Optimization
import Training

/// Brings weights and memory to the step of a lease, in one incarnation of the coordinator. Owned by one thread.
final class StepPreparation {
  private let definition: RunDefinition
  private let incarnation: Incarnation
  private let bulk: BulkClient
  private let exchange: WeightsExchange
  private let rows: WorkerRows
  private let holders: RowHolders
  private let ahead = BlocksAhead()
  /// Of weights and gradients, which have one size.
  private let parameters: SharedBufferPool
  /// Of weights as products read them.
  private let rounded: SharedBufferPool?
  private let blocks: SharedBufferPool
  /// For rows that came with the weights.
  private var storedRows: BufferPool
  /// The newest step's, and which rows its memory has: rows that are lost may be forgotten within a step.
  private var newest: (memory: MemoryVersion, inputs: StepInputs)?
  /// The newest teacher, from which the next one follows.
  private var teacher: (step: Int, weights: FloatBuffer)?

  init(
    definition: RunDefinition, incarnation: Incarnation, bulk: BulkClient, exchange: WeightsExchange, rows: WorkerRows,
    holders: RowHolders, parameters: SharedBufferPool
  ) {
    self.definition = definition
    self.incarnation = incarnation
    self.bulk = bulk
    self.exchange = exchange
    self.rows = rows
    self.holders = holders
    self.parameters = parameters
    let roundedFloats = definition.roundedWeightFloats
    rounded = roundedFloats > 0 ? SharedBufferPool(count: roundedFloats) : nil
    storedRows = BufferPool(count: definition.newRowFloats)
    blocks = SharedBufferPool(count: definition.blockFloats)
  }

  /// - Parameter check: throws once nothing of the step is wanted any more.
  /// - Throws: `BulkError`, `WorkerError`, what `check` throws: the lease is to be given back.
  func inputs(for lease: Lease, unless check: @Sendable () throws -> Void) throws -> StepInputs {
    if let newest, newest.memory == lease.memoryVersion { return newest.inputs }
    // Let go of first: as a rule no thread computes with them any more, and this step's take their place.
    newest = nil
    exchange.release()
    let begun = ContinuousClock.now
    let pulled = try lease.exchangesWeights && teacher?.step != lease.step - 1 ? pulledTeacher(lease) : nil
    let (student, newRows) = try lease.exchangesWeights ? exchanged(lease, unless: check) : (pulledStudent(lease), nil)
    let teacher = try pulled ?? averagedTeacher(lease, student) ?? pull(.teacher, lease.step, lease.teacher)
    self.teacher = (lease.step, teacher)
    let weightsHere = ContinuousClock.now
    var (memory, traffic) = try memory(for: lease, newRows, unless: check)
    traffic.waited = Int((ContinuousClock.now - weightsHere) / .microseconds(1))
    traffic.weights = Int((weightsHere - begun) / .microseconds(1))
    func weights(_ floats: FloatBuffer) -> NetworkWeights {
      NetworkWeights(floats, definition.precision, into: rounded?.take())
    }
    let inputs = StepInputs(
      definition, step: lease.step, student: weights(student), teacher: weights(teacher), memory: memory,
      traffic: traffic)
    newest = (lease.memoryVersion, inputs)
    gatherAhead(of: lease)
    return inputs
  }

  /// The teacher of a step: the one that is here, or the coordinator's.
  /// - Throws: `BulkError` where it cannot be had any more.
  func teacher(ofStep step: Int, digest: Digest) throws -> FloatBuffer {
    if let teacher, teacher.step == step { return teacher.weights }
    return try pull(.teacher, step, digest)
  }

  func stop() {
    ahead.stop()
    exchange.stop()
  }

  private func memory(
    for lease: Lease, _ newRows: NewRows?, unless check: @Sendable () throws -> Void
  ) throws -> (FloatBuffer, StepTraffic) {
    let version = lease.memoryVersion
    try holders.bring(to: lease.holdersVersion, rows: definition.memoryWindow(of: version).stored)
    var gathered =
      try ahead.take(version, unless: check)
      ?? rows.gather(
        version, below: newRows?.numbers.lowerBound ?? lease.rows, in: incarnation, from: holders, into: blocks.take(),
        unless: check)
    try rows.complete(&gathered, with: newRows, in: incarnation, from: holders, unless: check)
    return (gathered.memory, gathered.traffic)
  }

  private func gatherAhead(of lease: Lease) {
    guard lease.step + 1 < definition.lastStep else { return }
    let next = MemoryVersion(
      step: lease.step + 1, rows: lease.rows + definition.configuration.batchSize, floor: lease.memoryFloor)
    ahead.begin(next) { [rows, holders, blocks, incarnation, known = lease.rows] check in
      try rows.gather(next, below: known, in: incarnation, from: holders, into: blocks.take(), unless: check)
    }
  }

  /// Worked out from the teacher of the step before; nil where there is none, or where its digest differs.
  private func averagedTeacher(_ lease: Lease, _ student: FloatBuffer) -> FloatBuffer? {
    guard let teacher, teacher.step == lease.step - 1 else { return nil }
    let next = parameters.take()
    averageTeacher(teacher.weights, student: student, momentum: definition.momentum[lease.step - 1], into: next)
    return next.digest == lease.teacher ? next : nil
  }

  /// Before the student, for how long it takes says what others, who have theirs over the same link, may take.
  private func pulledTeacher(_ lease: Lease) throws -> FloatBuffer {
    let begun = ContinuousClock.now
    let teacher = try pull(.teacher, lease.step, lease.teacher)
    exchange.learn(took: ContinuousClock.now - begun)
    return teacher
  }

  private func pulledStudent(_ lease: Lease) throws -> FloatBuffer {
    let begun = ContinuousClock.now
    let student = try pull(.student, lease.step, lease.student)
    exchange.offer(student, step: lease.step, took: ContinuousClock.now - begun)
    return student
  }

  /// The student, and the rows that the step before appended, if they come with it.
  private func exchanged(
    _ lease: Lease, unless check: @Sendable () throws -> Void
  ) throws -> (student: FloatBuffer, newRows: NewRows?) {
    let student = parameters.take()
    let numbers = (lease.rows - definition.configuration.batchSize)..<lease.rows
    let stored = definition.drawsMostNewRows ? storedRows.take() : nil
    let comeRows = try exchange.fetch(step: lease.step, into: student, newRows: stored, unless: check)
    // Of the whole too: the lease has it from the coordinator's state, and the table from its socket.
    guard student.digest == lease.student else {
      throw BulkError.otherBits("the table of who has weights", from: bulk.endpoint)
    }
    // Rows below the floor are not stored any more.
    guard comeRows, let stored, numbers.lowerBound >= lease.memoryFloor else { return (student, nil) }
    return (student, NewRows(numbers: numbers, stored: stored))
  }

  private func pull(_ network: Network, _ step: Int, _ digest: Digest) throws -> FloatBuffer {
    let weights = parameters.take()
    let ranges = BulkClient.ranges(weights.count)
    try bulk.ask(
      ranges.map { .weights(network: network, step: step, offset: $0.lowerBound, count: $0.count) }
    ) { index, reply, frame in
      let range = ranges[index]
      guard reply == .weights(network: network, step: step, offset: range.lowerBound), let frame,
        frame.count == range.count * MemoryLayout<Float>.stride
      else { throw BulkError.otherBits("a chunk of weights", from: bulk.endpoint) }
      frame.copy(into: weights, at: range.lowerBound)
    }
    guard weights.digest == digest else { throw BulkError.otherBits("the \(network)'s weights", from: bulk.endpoint) }
    return weights
  }
}
