import Checkpoints
import Configuration
import Durability
import Runs
import Training
import WeightFiles

/// The weights of a file that a run begins with (`--init`), or none: then they are drawn.
///
/// A run that has a checkpoint goes on from that. The same command resumes it, so the file may be given again; it is
/// compared if it can still be read.
struct InitialWeights {
  private let file: String?
  private let weights: PretrainedWeights?

  /// - Throws: `WeightFileError`, `CheckpointError`, `DurabilityError` if the file is of no use to a new run.
  init(
    _ options: CoordinatorOptions, _ configuration: RunConfiguration, pictures: Int, isNew: Bool,
    in storage: any Storage
  ) throws {
    file = options.initialWeights
    guard let file, try isNew || storage.exists(file) else {
      weights = nil
      return
    }
    let definition = try RunDefinition(configuration: configuration, pictures: pictures)
    weights = try PretrainedNetwork(file, in: storage).weights(
      definition.layout, definition.statisticsLayout, seed: configuration.seed)
  }

  /// Of a new run.
  var record: RunDirectory.InitialWeights? {
    guard let file, let weights else { return nil }
    return RunDirectory.InitialWeights(file: file, parameters: weights.parameters.digest)
  }

  /// - Throws: `RunError.otherInitialWeights` if the run began with others than those given; `.needsInitialWeights`.
  func check(_ run: RunDirectory, hasCheckpoint: Bool) throws {
    if let file, let record, record.parameters != run.initialWeights?.parameters {
      throw RunError.otherInitialWeights(run: run.path, file: file, begun: run.initialWeights?.file)
    }
    if let begun = run.initialWeights, weights == nil, !hasCheckpoint {
      throw RunError.needsInitialWeights(run: run.path, file: begun.file)
    }
  }

  func version(_ definition: RunDefinition) -> WeightsVersion {
    weights.map { WeightsVersion.initial(definition, $0) } ?? WeightsVersion.initial(definition)
  }

  /// How they were made of the file.
  var sentences: [String] { weights?.sentences ?? [] }
}
