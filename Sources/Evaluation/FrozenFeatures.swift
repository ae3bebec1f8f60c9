import Machine
import Numerics

/// Frozen features of whole folders: computed once, and read from a cache from then on.
public struct FrozenFeatures: Sendable {
  public let network: FrozenNetwork
  /// Which the features are computed in; part of what their bits follow from.
  let computeClass: ComputeClass
  /// Nil: features are not kept.
  let cache: FeatureCache?
  public let threads: Int
  /// Told what people should know, a sentence at a time.
  private let say: @Sendable (String) -> Void

  /// Whose features.
  public enum Source: String, CaseIterable, Sendable {
    case trained
    /// The same network before its first step.
    case untrained
  }

  public init(
    _ network: FrozenNetwork, in computeClass: ComputeClass, cache: FeatureCache?, threads: Int,
    say: @escaping @Sendable (String) -> Void = { _ in }
  ) {
    self.network = network
    self.computeClass = computeClass
    self.cache = cache
    self.threads = threads
    self.say = say
  }

  /// The features of pictures, from the cache if it has them. A cache that cannot be read or written costs time, and is
  /// said; it is no error.
  /// - Parameter done: told how many more pictures have features, by any thread.
  /// - Returns: as the backbone gives them, in the order of the pictures.
  /// - Throws: `EvaluationError.nothingLeft` if no picture can be used; what `FrozenNetwork.features` throws.
  public func rows(
    of pictures: PictureSelection, _ source: Source = .trained, done: @Sendable (Int) -> Void = { _ in }
  ) throws -> FeatureRows {
    let parameters = source == .trained ? network.parameters : network.untrained
    let key = FeatureKey(network, source, parameters, of: pictures, in: computeClass)
    if let cache {
      do {
        if let rows = try cache.rows(key) {
          say("The \(source.rawValue) network's features of \(pictures.dataSet.root): from \(cache.path(key)).")
          done(rows.count)
          _ = try pictures.inOrder(rows.skipped)
          return rows
        }
      } catch let error as EvaluationError {
        throw error
      } catch {
        say("\(error) It is a cache: the features are computed anew.")
      }
    }
    let rows = try network.features(of: pictures, parameters, threads: threads, done: done)
    _ = try pictures.inOrder(rows.skipped)
    if let cache {
      do { try cache.keep(rows, as: key) } catch { say("The features are not kept for the next evaluation: \(error)") }
    }
    return rows
  }
}
