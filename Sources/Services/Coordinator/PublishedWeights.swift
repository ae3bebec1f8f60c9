import Messages
import Numerics
import Runs
import Synchronization

/// The newest version of the weights, for whoever asks, and who gives them too. Nobody needs an older one: once there is a
/// newer, all slices of its step are in, and a version with its moments is four networks large.
final class PublishedWeights: Sendable {
  private struct State: Sendable {
    var version: WeightsVersion
    /// One a chunk of what workers fetch of it from each other; empty if they do not.
    var hashes: [ContentHash] = []
    /// Workers that it may be fetched from.
    var sources: [BulkAddress] = []
  }

  private let state: Mutex<State>

  init(_ version: WeightsVersion) { state = Mutex(State(version: version)) }

  var current: WeightsVersion { state.withLock { $0.version } }

  /// Nil if the step is not the newest.
  func version(ofStep step: Int) -> WeightsVersion? {
    let current = current
    return current.step == step ? current : nil
  }

  /// - Parameter hashes: one a chunk of `version.exchanged`, if workers may fetch that from each other.
  func publish(_ version: WeightsVersion, hashes: [ContentHash] = []) {
    state.withLock { $0 = State(version: version, hashes: hashes) }
  }

  /// Rows below `floor` are forgotten in the newest version.
  func raiseFloor(to floor: Int) { state.withLock { $0.version = $0.version.forgetting(below: floor) } }
}

// MARK: - Who gives them too

extension PublishedWeights {
  /// Workers are to fetch what this step begins with from each other; of no use once there is a newer one.
  func name(_ sources: [BulkAddress], ofStep step: Int) {
    state.withLock { if $0.version.step == step { $0.sources = sources } }
  }

  /// Nil if the step is not the newest, or its student comes from the coordinator alone.
  func sources(ofStep step: Int) -> WeightSources? {
    state.withLock { state in
      guard state.version.step == step, !state.sources.isEmpty, !state.hashes.isEmpty else { return nil }
      return WeightSources(step: step, sources: state.sources, hashes: state.hashes)
    }
  }
}
