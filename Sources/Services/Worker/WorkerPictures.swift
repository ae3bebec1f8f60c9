import Coordination
import Messages
import Numerics
import Synchronization
import Vision
import Wire

/// The bytes of the run's pictures: from a file of this machine's own where it is the coordinator's to the bit, else
/// from the coordinator.
///
/// A worker's folder is used if it holds as many pictures as the run's, for pictures are asked for by their place in the
/// order of paths, and a place means something only where the orders may agree. Picture by picture the coordinator then
/// says whether the own file's size and digest are its file's. What it said is remembered with the digest, so a file
/// that changes afterwards is asked about again; one that cannot be read comes from the coordinator.
package final class WorkerPictures: Sendable {
  private static let nothing = PictureIdentity(size: 0, digest: Digest(of: []))

  private let bulk: BulkClient
  private let own: DataSet?
  /// Half of each own file's digest once the coordinator found it to be the same, 0 before: 8 bytes a picture.
  private let confirmed: Mutex<[UInt64]>

  /// - Parameters:
  ///   - own: this machine's folder, if there is one.
  ///   - run: the coordinator's data set.
  package init(bulk: BulkClient, own: DataSet?, run: DataIdentity, log: ServiceLog) {
    self.bulk = bulk
    self.own = own?.count == run.count ? own : nil
    confirmed = Mutex(Array(repeating: 0, count: self.own?.count ?? 0))
    guard let own else { return }
    if own.count != run.count {
      log(
        .warning,
        "\(own.root) has \(own.count) pictures, the run's data set \(run.count): pictures come from the coordinator.")
    } else if own.identity.digest != run.digest {
      log(
        .warning,
        "\(own.root) lists other paths or sizes than the run's data set: what differs comes from the coordinator.")
    }
  }

  /// The bytes of many pictures, asked for together: a slice waits for the round trips of a few, not for one a picture.
  /// - Returns: by index. What is larger than a frame is left out; `bytes` has it.
  /// - Throws: as `bytes`.
  package func together(_ indices: [Int]) throws -> [Int: [UInt8]] {
    var found: [Int: [UInt8]] = [:]
    var asked: [(index: Int, own: [UInt8]?, identity: PictureIdentity)] = []
    for index in Set(indices).sorted() {
      let (own, identity) = ownFile(index)
      if let own, isConfirmed(index, identity) {
        found[index] = own
      } else {
        asked.append((index, own, identity))
      }
    }
    try ask(asked.map { .picture(index: $0.index, offset: 0, own: $0.identity) }) { place, reply, frame in
      let (index, own, identity) = asked[place]
      switch reply {
      case .samePicture(index):
        found[index] = own ?? []
        if own != nil { confirm(index, identity) }
      case .picture(index, 0, let total):
        guard let frame, frame.count <= total else {
          throw BulkError.otherBits("picture \(index)", from: bulk.endpoint)
        }
        if frame.count == total { found[index] = frame.bytes }
      default: throw BulkError.otherBits("picture \(index)", from: bulk.endpoint)
      }
    }
    return found
  }

  /// What the coordinator refuses it could not read: it looks into that, and then issues leases without the picture, or
  /// has it again.
  private func ask(_ requests: [BulkRequest], take: (Int, BulkReply, BulkFrame?) throws -> Void) throws {
    do {
      try bulk.ask(requests, take: take)
    } catch BulkError.refused(_, let reason) {
      throw WorkerError.pictureUnavailable(reason)
    }
  }

  /// This machine's file; nil, and the empty file's identity, if there is none: no frame is empty, so who has nothing says
  /// that it has the empty file.
  private func ownFile(_ index: Int) -> (bytes: [UInt8]?, identity: PictureIdentity) {
    guard let own, let bytes = try? own.read(index) else { return (nil, Self.nothing) }
    return (bytes, PictureIdentity(size: bytes.count, digest: Digest(of: bytes)))
  }

  private func isConfirmed(_ index: Int, _ own: PictureIdentity) -> Bool {
    confirmed.withLock { $0[index] == own.digest.low && own.digest.low != 0 }
  }

  private func confirm(_ index: Int, _ own: PictureIdentity) { confirmed.withLock { $0[index] = own.digest.low } }

  /// The bytes of a picture, by its index in the run's data set.
  /// - Throws: `BulkError`, `WorkerError`: a failed read, never a reason to take another picture.
  package func bytes(_ index: Int) throws -> [UInt8] {
    let (own, identity) = ownFile(index)
    if let own, isConfirmed(index, identity) { return own }
    if let other = try pull(index, unless: identity) { return other }
    guard let own else { return [] }
    confirm(index, identity)
    return own
  }

  /// The coordinator's bytes; nil if its file is `own`.
  private func pull(_ index: Int, unless own: PictureIdentity) throws -> [UInt8]? {
    var bytes: [UInt8] = []
    var total: Int?
    while bytes.count < total ?? .max {
      let offset = bytes.count
      var isSame = false
      try ask([.picture(index: index, offset: offset, own: offset == 0 ? own : nil)]) { _, reply, frame in
        switch reply {
        case .samePicture(index) where offset == 0: isSame = true
        case .picture(index, offset, let all):
          guard let frame, frame.count <= all - offset else {
            throw BulkError.otherBits("picture \(index)", from: bulk.endpoint)
          }
          bytes += frame.bytes
          total = all
        default: throw BulkError.otherBits("picture \(index)", from: bulk.endpoint)
        }
      }
      if isSame { return nil }
    }
    return bytes
  }
}
