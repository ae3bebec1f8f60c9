/// Why there is nothing to see.
public enum VisualizationError: Error, Equatable, CustomStringConvertible {
  /// No picture that was given can be used.
  case nothingLeft(skipped: Int, first: String)
  /// A run that has enqueued nothing, or none of whose rows is among those asked for.
  case noRows(run: String, step: Int)
  /// A folder that is not the run's.
  case otherPictures(folder: String, run: String)
  /// A picture that was to be one of the run's, and is not in its folder.
  case notInData(picture: String, folder: String)
  case noSuchStep(run: String, step: Int, lastStep: Int)
  /// A run that has no record of any step.
  case noMetrics(file: String)
  /// Attention of pictures that are no whole patches.
  case unevenSide(side: Int, patchSize: Int)
  /// Embeddings, or attention, that are not finite though all weights are.
  case notFinite(picture: String)

  public var description: String {
    switch self {
    case .nothingLeft(let skipped, let first):
      "None of the \(skipped) pictures can be used. The first is \(first). Give other pictures."
    case .noRows(let run, let step):
      "\(run) has no rows of pictures in its memory at step \(step): every step adds some. Let it train on, or give the "
        + "--step of a later checkpoint."
    case .otherPictures(let folder, let run):
      "\(folder) has other pictures than those that \(run) is trained on. Give --data the run's own."
    case .notInData(let picture, let folder):
      "\(picture) is not among the run's pictures in \(folder). Give pictures of that folder, or leave out --data."
    case .noSuchStep(let run, let step, let lastStep):
      "\(run) has no step \(step): its last is \(lastStep - 1). Steps count from 0."
    case .noMetrics(let file):
      "\(file) has no record of any step. Give the directory of a run that has done one."
    case .unevenSide(let side, let patchSize):
      "--side \(side) cannot be cut in patches of \(patchSize) pixels. Give a multiple of \(patchSize)."
    case .notFinite(let picture):
      "What the network makes of \(picture) is not finite, though its weights are. Its sizes may be others than given."
    }
  }
}
