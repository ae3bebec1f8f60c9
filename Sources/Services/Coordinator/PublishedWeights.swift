import Runs
import Synchronization

/// The newest version of the weights, for whoever asks. Nobody needs an older one: once there is a newer, all slices of
/// its step are in, and a version with its moments is four networks large.
final class PublishedWeights: Sendable {
  private let version: Mutex<WeightsVersion>

  init(_ version: WeightsVersion) { self.version = Mutex(version) }

  var current: WeightsVersion { version.withLock { $0 } }

  /// Nil if the step is not the newest.
  func version(ofStep step: Int) -> WeightsVersion? {
    let current = current
    return current.step == step ? current : nil
  }

  func publish(_ version: WeightsVersion) { self.version.withLock { $0 = version } }
}
