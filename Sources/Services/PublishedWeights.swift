import Synchronization

/// The newest version of the weights and the one before it, for whoever asks.
final class PublishedWeights: Sendable {
  private let versions: Mutex<(current: WeightsVersion, previous: WeightsVersion?)>

  init(_ version: WeightsVersion) { versions = Mutex((version, nil)) }

  var current: WeightsVersion { versions.withLock { $0.current } }

  /// Nil if the step is neither the newest nor the one before.
  func version(ofStep step: Int) -> WeightsVersion? {
    versions.withLock { versions in
      if versions.current.step == step { return versions.current }
      return versions.previous?.step == step ? versions.previous : nil
    }
  }

  func publish(_ version: WeightsVersion) {
    versions.withLock { versions in versions = (version, versions.current) }
  }
}
