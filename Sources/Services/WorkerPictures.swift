import Numerics
import Synchronization
import Vision
import Wire

/// The bytes of the run's pictures: from a file of this machine's own where it is the coordinator's to the bit, else
/// from the coordinator.
final class WorkerPictures: Sendable {
  private let bulk: BulkClient
  private let local: DataSet?
  /// Own files that the coordinator has found to be the same.
  private let confirmed = Mutex<Set<Int>>([])

  /// - Parameter local: used only if it has as many pictures as the run.
  init(bulk: BulkClient, local: DataSet?, count: Int) {
    self.bulk = bulk
    self.local = local?.count == count ? local : nil
  }

  /// - Throws: `WorkerError`: a failed read, never a reason to take another picture.
  func bytes(_ index: Int) throws -> [UInt8] {
    let own = local.flatMap { try? $0.read(index) }
    if let own, confirmed.withLock({ $0.contains(index) }) { return own }
    let identity = own.map { PictureIdentity(size: $0.count, digest: Digest(of: $0)) }
    var bytes: [UInt8] = []
    while true {
      let answer = try bulk.ask([.picture(index: index, offset: bytes.count, own: bytes.isEmpty ? identity : nil)])[0]
      switch answer.reply {
      case .samePicture:
        guard let own else { throw WorkerError.otherBits("a picture") }
        confirmed.withLock { _ = $0.insert(index) }
        return own
      case .picture(_, _, let total):
        guard let frame = answer.bulk, frame.count > 0 || total == 0 else { throw WorkerError.otherBits("a picture") }
        bytes += frame.bytes
        if bytes.count >= total { return bytes }
      default: throw WorkerError.otherBits("a picture")
      }
    }
  }
}
