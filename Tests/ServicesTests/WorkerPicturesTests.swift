import Messages
import Numerics
import Services
import Testing
import Vision

@Suite("A worker's own files", .timeLimit(.minutes(10))) struct WorkerPicturesTests {
  @Test("A file is asked about once, and again when its bytes have changed") func remembersTheDigest() throws {
    let run = try SmallRun()
    let bytes = try DataSet(root: run.data).read(4)
    let identity = PictureIdentity(size: bytes.count, digest: Digest(of: bytes))
    let coordinator = try ScriptedCoordinator { request in
      guard case .picture(let index, let offset, let own) = request else { return nil }
      if own == identity { return (.samePicture(index: index), nil) }
      // In chunks of at most 100 bytes.
      let chunk = Array(bytes[offset..<min(offset + 100, bytes.count)])
      return (.picture(index: index, offset: offset, total: bytes.count), .bytes(chunk))
    }
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    let pictures = WorkerPictures(
      bulk: bulk, own: try DataSet(root: run.data), run: DataIdentity(count: 12, digest: SmallRun.probe)
    ) { _, _ in }
    for _ in 0..<3 { #expect(try pictures.bytes(4) == bytes) }
    #expect(coordinator.takeAsked() == [.picture(index: 4, offset: 0, own: identity)])

    var changed = bytes
    changed[bytes.count / 2] ^= 1
    try run.write(changed, to: 4)
    #expect(try pictures.bytes(4) == bytes)
    let asked = coordinator.takeAsked()
    #expect(
      asked.first == .picture(index: 4, offset: 0, own: PictureIdentity(size: bytes.count, digest: Digest(of: changed)))
    )
    #expect(asked.count == (bytes.count + 99) / 100)

    try run.write(bytes, to: 4)
    #expect(try pictures.bytes(4) == bytes)
    #expect(coordinator.takeAsked().isEmpty, "found to be the same before")
  }

  @Test("Pictures are asked for together: the same ones, confirmed, changed or missing here")
  func asksForASlicesPicturesAtOnce() throws {
    let run = try SmallRun()
    let theirs = try (0..<12).map { try DataSet(root: run.data).read($0) }
    let coordinator = try ScriptedCoordinator { request in
      guard case .picture(let index, let offset, let own) = request else { return nil }
      let bytes = theirs[index]
      if own == PictureIdentity(size: bytes.count, digest: Digest(of: bytes)) {
        return (.samePicture(index: index), nil)
      }
      // Picture 7 does not fit a frame.
      let chunk = Array(bytes[offset..<(index == 7 ? min(offset + 100, bytes.count) : bytes.count)])
      return (.picture(index: index, offset: offset, total: bytes.count), .bytes(chunk))
    }
    let bulk = try coordinator.client()
    defer { bulk.stop() }
    var changed = theirs[5]
    changed[changed.count / 2] ^= 1
    try run.write(changed, to: 5)
    try run.write([], to: 7)
    let pictures = WorkerPictures(
      bulk: bulk, own: try DataSet(root: run.data), run: DataIdentity(count: 12, digest: SmallRun.probe)
    ) { _, _ in }
    #expect(try pictures.together([4, 5, 7, 4, 6]) == [4: theirs[4], 5: theirs[5], 6: theirs[6]])
    #expect(try pictures.bytes(7) == theirs[7])
    _ = coordinator.takeAsked()
    // Only those that were not the same are asked for again.
    #expect(try pictures.together([4, 5, 6]) == [4: theirs[4], 5: theirs[5], 6: theirs[6]])
    #expect(coordinator.takeAsked().count == 1)
  }
}
