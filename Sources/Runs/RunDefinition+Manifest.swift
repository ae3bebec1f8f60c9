import Checkpoints
import Configuration
import Training

extension RunDefinition {
  /// The definition of the run that a checkpoint belongs to, as it was at that step.
  package init(of manifest: Manifest) throws {
    let layer = try ConfigurationLayer(recipe: manifest.configuration, file: Checkpoint.manifestFile)
    try self.init(configuration: RunConfiguration(layers: [layer]), pictures: manifest.data.count)
  }
}
