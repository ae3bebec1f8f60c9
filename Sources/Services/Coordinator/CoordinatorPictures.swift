import Coordination
import Messages
import Synchronization
import Threads
import Training
import Vision

/// The run's pictures as the coordinator reads them, and the thread that finds out what is wrong with one.
///
/// Who cannot read a picture says nothing more than that; the thread looks itself. A picture whose file is gone, cannot
/// be read or has another size is lost, if others of the data set are there. If none is, the folder is away; and if the
/// process is short of descriptors or memory, that is not the picture's fault: then steps wait. When one is lost the
/// thread looks for all others that went with it, so that the run knows of them before it is resumed.
final class CoordinatorPictures: Sendable {
  /// Pictures that wait to be looked at: what finds no room is asked for again.
  private static let suspectsAtMost = 256
  /// Files that are looked for between two looks at what waits.
  private static let sweptAtOnce = 1000
  /// From one search of the whole data set to the next.
  private static let sweepPause = Duration.seconds(60)

  let data: DataSet
  private let definition: RunDefinition
  private let weights: PublishedWeights
  private let state: Mutex<State>
  /// Wakes the thread when something waits.
  private let wake = BoundedQueue<Bool>(capacity: 1)
  private let ended = BoundedQueue<Bool>(capacity: 1)
  private let isStopping = Atomic(false)

  private struct State: Sendable {
    /// What the state machine wants to know.
    var examined: Int?
    /// What somebody could not read, first come first.
    var suspects: [Int] = []
    /// What the run goes on without: nobody looks for it.
    var lost: Set<Int>
  }

  init(_ data: DataSet, definition: RunDefinition, weights: PublishedWeights, lost: [Int]) {
    self.data = data
    self.definition = definition
    self.weights = weights
    state = Mutex(State(lost: Set(lost)))
  }

  /// - Parameter report: takes `pictureExamined` and `picturesLost`, in the thread.
  func start(report: @escaping @Sendable (Event) -> Void) {
    startThread(named: "massl-pictures") { [self] in
      var sweep = Sweep()
      while !isStopping.load(ordering: .acquiring) {
        if let picture = state.withLock({ $0.examined.take() }) {
          look(at: picture, isAsked: true, report, &sweep)
        } else if let picture = state.withLock({ $0.suspects.isEmpty ? nil : $0.suspects.removeFirst() }) {
          look(at: picture, isAsked: false, report, &sweep)
        } else if sweep.next != nil {
          go(on: &sweep, report)
        } else if wake.next() == nil {
          break
        }
      }
      ended.close()
    }
  }

  /// Ends the thread and waits for it.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    wake.close()
    _ = ended.next()
  }

  /// A picture's bytes; why they cannot be had is looked into.
  func read(_ picture: Int) throws(VisionError) -> [UInt8] {
    do {
      return try data.read(picture)
    } catch {
      state.withLock { state in
        guard state.suspects.count < Self.suspectsAtMost, !state.suspects.contains(picture) else { return }
        state.suspects.append(picture)
      }
      _ = wake.tryAppend(true)
      throw error
    }
  }

  /// Has the thread look whether a picture decodes, and say so. One at a time.
  func examine(_ picture: Int) {
    state.withLock { $0.examined = picture }
    _ = wake.tryAppend(true)
  }

  /// The run goes on without these.
  func forget(_ pictures: [Int]) { state.withLock { $0.lost.formUnion(pictures) } }
}

// MARK: - The thread

extension CoordinatorPictures {
  /// A search of the whole data set.
  private struct Sweep {
    /// The picture that is looked for next; nil while none is.
    var next: Int?
    var missing: [Int] = []
    var ended: ContinuousClock.Instant?
  }

  private func look(at picture: Int, isAsked: Bool, _ report: (Event) -> Void, _ sweep: inout Sweep) {
    do {
      let bytes = try data.read(picture)
      guard isAsked else { return }
      _ = try Picture(file: bytes)
      report(.pictureExamined(picture, .decodes))
    } catch .undecodable(let reason) {
      report(.pictureExamined(picture, .undecodable(reason: reason)))
    } catch .noResources(_, let reason) {
      report(.pictureExamined(picture, .unavailable(reason: reason)))
    } catch {
      guard data.isReachable else {
        let reason = "no picture of \(data.root) can be found; is the disk there?"
        return report(.pictureExamined(picture, .unavailable(reason: reason)))
      }
      // The step's others with it, so that it begins again once.
      let step = weights.current.step
      let others = (0..<definition.configuration.batchSize).map { definition.picture(step: step, indexInBatch: $0) }
      let missing = missing(of: others.filter { $0 != picture })
      report(.picturesLost([picture] + missing, reason: Self.reason(error), isMet: true))
      if sweep.next == nil, sweep.ended.map({ .now - $0 >= Self.sweepPause }) ?? true { sweep = Sweep(next: 0) }
    }
  }

  private static func reason(_ error: VisionError) -> String {
    switch error {
    case .unreadable(_, let reason): reason
    case .changed(_, let listed, let found): "it has \(found) bytes, and had \(listed)"
    default: "\(error)"
    }
  }

  private func go(on sweep: inout Sweep, _ report: (Event) -> Void) {
    guard let next = sweep.next else { return }
    let end = min(next + Self.sweptAtOnce, data.count)
    sweep.missing += missing(of: Array(next..<end))
    // More than these end the run.
    guard end == data.count || sweep.missing.count > WireLimits.lostPictures else { return sweep.next = end }
    if !sweep.missing.isEmpty, data.isReachable {
      report(.picturesLost(sweep.missing, reason: "the file is gone or has another size", isMet: false))
    }
    sweep = Sweep(ended: .now)
  }

  private func missing(of pictures: [Int]) -> [Int] {
    let lost = state.withLock { $0.lost }
    return pictures.filter { !lost.contains($0) && !data.isThere($0) }
  }
}
