import Durability
import Glibc
import MemoryBank
import Messages
import Numerics
import Objective
import Optimization
import Runs
import Slices
import Synchronization
import Telemetry
import Threads
import Training

/// The thread that adds payloads up along the tree, and makes the next weights when a step is complete.
final class CoordinatorUpdates: Sendable {
  enum Work: Sendable {
    case add(SliceSum, from: PeerID, StepTraffic)
    /// What was added of the step does not count.
    case startOver
    /// Every slice of this step is in: was added here, or is all in what was added up among the workers.
    case update(step: Int, reduced: StepReduction.Whole? = nil)
  }

  struct Finished: Sendable {
    let version: WeightsVersion
    /// Workers may fetch its student, and its new rows, from each other.
    let isHashed: Bool
  }

  /// Between tries to store rows on a full disk.
  private static let diskPause: UInt32 = 1
  /// Tries between two words about it.
  private static let diskTriesPerWord = 30

  private let definition: RunDefinition
  private let rows: RowStore
  private let weights: PublishedWeights
  private let log: ServiceLog
  /// Room for all accepted leases of a step, its new beginning and its update: nobody ever waits to add to it.
  private let queue: BoundedQueue<Work>
  private let ended = BoundedQueue<Bool>(capacity: 1)
  private let isLeaving = Atomic<Bool>(false)
  private let isHashing = Atomic<Bool>(false)

  init(definition: RunDefinition, rows: RowStore, weights: PublishedWeights, log: @escaping ServiceLog) {
    self.definition = definition
    self.rows = rows
    self.weights = weights
    self.log = log
    queue = BoundedQueue(capacity: definition.slices + 2)
  }

  /// - Parameters:
  ///   - record: takes a report a step, in the thread.
  ///   - finish: takes each new version once it is published, or why there is none: then nothing more comes.
  func start(
    record: @escaping @Sendable (StepReport) -> Void,
    finish: @escaping @Sendable (Result<Finished, any Error>) -> Void
  ) {
    startThread(named: "massl-update") { [self] in
      run(record: record, finish: finish)
      ended.close()
    }
  }

  /// From the next version on what workers fetch of it from each other is hashed chunk by chunk, or is not any more.
  func hash(_ isHashing: Bool) { self.isHashing.store(isHashing, ordering: .releasing) }

  func add(_ work: Work) {
    if case .startOver = work { queue.removeAll() }
    invariant(queue.tryAppend(work) || isLeaving.load(ordering: .acquiring), "more work than a step has")
  }

  /// From now on a full disk is not waited for.
  func hurry() { isLeaving.store(true, ordering: .releasing) }

  /// Ends the thread and waits for it.
  func stop() {
    hurry()
    queue.close()
    _ = ended.next()
  }

  private func run(
    record: (StepReport) -> Void, finish: (Result<Finished, any Error>) -> Void
  ) {
    var step = Step(tree: definition.tree)
    var spare = Spare(definition)
    var rate = RateEstimator(startingAt: Self.seconds())
    var last = Self.seconds()
    var chosen = ChosenRows(memorySize: definition.configuration.memorySize, rows: weights.current.rows)
    while let work = queue.next() {
      switch work {
      case .add(let sum, let peer, let traffic):
        step.traffic[peer, default: StepTraffic()] += traffic
        step.sum.insert(sum, at: sum.slices) { SliceSum.adding($0, $1) }
      case .startOver:
        step = Step(tree: definition.tree)
      case .update(let number, let reduced):
        guard let total = reduced?.sum ?? step.sum.total else {
          fatalError("invariant broken: step \(number) is updated before all its slices are added")
        }
        let old = weights.current
        invariant(old.step == number, "an update of step \(number) on weights of step \(old.step)")
        let begin = Self.seconds()
        do {
          let isHashing = isHashing.load(ordering: .acquiring)
          let (version, update) = try next(old, total, &spare, givingRows: isHashing)
          let all =
            isHashing
            ? version.exchanged.flatMap { $0.contentHashes(ofChunks: WireLimits.weightChunkFloats) } : []
          // A larger network comes from here alone.
          let hashes = all.count <= WireLimits.weightChunks ? all : []
          weights.publish(version, hashes: hashes)
          let now = Self.seconds()
          rate.finished(images: definition.configuration.batchSize, at: now)
          chosen.update(total.chosen, newRows: old.rows..<version.rows)
          record(
            report(
              version, total.losses, update, chosenShare: chosen.share, spare.rows,
              rate: rate.imagesPerSecond ?? 0, traffic: Array((reduced?.traffic ?? step.traffic).values),
              reduceSeconds: reduced?.seconds, updateSeconds: now - begin, seconds: now - last))
          last = now
          step = Step(tree: definition.tree)
          finish(.success(Finished(version: version, isHashed: !hashes.isEmpty)))
        } catch {
          return finish(.failure(error))
        }
      }
    }
  }

  /// What has come of the step that is computed.
  private struct Step {
    var sum: TreeSum<SliceSum>
    /// By worker that took part.
    var traffic: [PeerID: StepTraffic] = [:]
    init(tree: SliceTree) { sum = TreeSum(tree: tree) }
  }

  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

// MARK: - The next version

extension CoordinatorUpdates {
  /// Buffers of versions that nobody holds any more.
  private struct Spare {
    var parameters: BufferPool
    /// Of all rows of a step.
    let rows: FloatBuffer
    /// The same, as they are stored.
    var storedRows: BufferPool

    init(_ definition: RunDefinition) {
      parameters = BufferPool(count: definition.layout.count)
      storedRows = BufferPool(count: definition.newRowFloats)
      rows = FloatBuffer(count: definition.slices * definition.rowFloats)
    }
  }

  /// - Parameter givingRows: whether workers fetch the new rows from each other, if they need most of them.
  private func next(
    _ old: WeightsVersion, _ total: SliceSum, _ spare: inout Spare, givingRows: Bool
  ) throws -> (WeightsVersion, UpdateReport) {
    var (version, update) = try old.next(total, definition) { spare.parameters.take() }
    let new = definition.gatherRows(total.tail, into: spare.rows)
    if givingRows, definition.drawsMostNewRows {
      let stored = spare.storedRows.take()
      definition.store(new, into: stored)
      version.newRows = stored
    }
    // Memory last, for it is what cannot be undone.
    try enqueue(new, step: old.step)
    version.memory = rows.digest.state
    version.rows = rows.rows
    return (version, update)
  }

  /// Appends a step's rows; a full disk is waited for, loudly.
  private func enqueue(_ rows: Matrix, step: Int) throws {
    var tries = 0
    while true {
      do {
        return try self.rows.append(rows)
      } catch let error as DurabilityError where error.isOutOfSpace {
        if isLeaving.load(ordering: .acquiring) { throw ServiceError.noRoomForRows(step: step, reason: "\(error)") }
        if tries % Self.diskTriesPerWord == 0 { log(.error, "Step \(step) waits for room for its rows: \(error)") }
        tries += 1
        sleep(Self.diskPause)
      }
    }
  }

  private func report(
    _ version: WeightsVersion, _ losses: [SliceLoss], _ update: UpdateReport, chosenShare: Double?,
    _ newRows: FloatBuffer,
    rate: Double, traffic: [StepTraffic], reduceSeconds: Double?, updateSeconds: Double, seconds: Double
  ) -> StepReport {
    let step = version.step - 1
    // In slice order, whoever computed them.
    let consistency = losses.reduce(0) { $0 + $1.consistency }
    let koleo = losses.reduce(0) { $0 + $1.koleo }
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return StepReport(
      record: MetricsRecord(
        step: version.step, epoch: Double(version.step) / Double(definition.stepsPerEpoch), loss: consistency + koleo,
        consistency: consistency, koleo: koleo, targetEntropy: losses.reduce(0) { $0 + $1.targetEntropy },
        embeddingSpread: embeddingSpread(
          newRows.matrix(rows: definition.configuration.batchSize, columns: definition.configuration.bottleneckDim)),
        chosenShare: chosenShare,
        lr: definition.learningRate[step], weightDecay: definition.weightDecay[step],
        momentumTeacher: definition.momentum[step],
        teacherTemp: definition.teacherTemperature[step], gradientNorm: update.gradientNorm, imagesPerSecond: rate,
        workers: traffic.count, memoryRows: version.rows, updateSeconds: updateSeconds,
        rowsCached: traffic.reduce(0) { $0 &+ $1.cached }, rowsFetched: traffic.reduce(0) { $0 &+ $1.fetched },
        rowWaitSeconds: traffic.map { Double($0.waited) / 1e6 }.max(),
        weightsSeconds: traffic.map { Double($0.weights) / 1e6 }.max(), reduceSeconds: reduceSeconds,
        unixSeconds: Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9,
        layerGradientNorms: version.step % MetricsRecord.stepsPerLayerNorms == 0 ? layerNorms(update) : []),
      seconds: seconds)
  }

  /// Of the gradient before clipping, layer by layer.
  private func layerNorms(_ update: UpdateReport) -> [MetricsRecord.LayerNorm] {
    definition.layout.layers.map { name, tensors in
      MetricsRecord.LayerNorm(layer: name, norm: update.squares[tensors].reduce(0, +).squareRoot())
    }
  }
}
