import Checkpoints
import Coordination
import Numerics
import Slices

// Pictures that go while a run goes on, and what the process around the state machine does about it.

extension Simulation {
  /// Of 1000 pictures ten may be lost.
  private static let lostAtMost = 9

  /// One that some slice may meet, in this step or later: one that is lost from a later step on may be gone earlier the
  /// next time.
  mutating func losePicture() {
    let picture = Int(random.next(below: UInt64(truth.tree.count)))
    guard lost.count < Self.lostAtMost || lost[picture] != nil else { return }
    tell(.picturesLost([picture], reason: "gone", isMet: random.chance(0.7)))
  }

  mutating func record(_ pictures: [LostPicture]) {
    if coordinator.hasLostLock { return endCoordinator() }
    for picture in pictures {
      note("lostPictures")
      if lost[picture.picture] != nil { note("picturesLostEarlier") }
      lost[picture.picture] = picture.step
    }
    truth = Truth(slices: truth.tree.count, steps: lastStep, lost: lost)
    guard bug != .forgetsLostPictures else { return }
    do {
      try coordinator.disk.directory?.lose(
        pictures.map { LostPictureRecord(picture: $0.picture, step: $0.step, path: [], size: 0) })
    } catch {
      fail("lost pictures: \(error)")
    }
  }

  /// As the run directory has them.
  var recordedLoss: [LostPicture] {
    ((try? coordinator.disk.directory?.lostPictures()) ?? []).map { LostPicture(picture: $0.picture, step: $0.step) }
  }

  mutating func startOver() {
    note("newBeginnings")
    coordinator.restarts += 1
    if bug == .keepsWhatWasBeforeANewBeginning { return }
    coordinator.sum = TreeSum(tree: truth.tree)
    coordinator.acceptedSlices = []
    coordinator.reduction = SimulatedReduction()
    coordinator.arrived = [:]
  }
}
