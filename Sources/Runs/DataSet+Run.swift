import Checkpoints
import Durability
import Messages
import Vision

extension DataSet {
  /// Pictures, as the run counts them that is to go on with them: see `init(root:ofRunOn:lost:)`.
  ///
  /// Whether they are the run's is for others to say. The run need not be there.
  /// A large listing is taken from the run's folder, where its coordinator keeps it.
  /// - Throws: `VisionError` of the pictures; `CheckpointError`, `DurabilityError` of the run.
  public init(root: String, ofRunAt run: String, in storage: any Storage = FileStorage()) throws {
    guard let saved = try RunDirectory.data(of: run, in: storage) else {
      self = try DataSet(root: root, index: DataSetIndex(ofRun: run, in: storage))
      return
    }
    let lost = try RunDirectory.lostPictures(of: run, in: storage).map { (path: $0.bytesOfPath, size: $0.size) }
    try self.init(
      root: root, ofRunOn: Identity(count: saved.count, digest: saved.digest), lost: lost,
      index: DataSetIndex(ofRun: run, in: storage))
  }

  /// These pictures, as a coordinator's run counts them.
  package func counted(asBy run: DataIdentity) -> DataSet {
    counted(as: Identity(count: run.count, digest: run.digest))
  }
}
