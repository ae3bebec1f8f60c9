import Coordination
import Messages
import Numerics
import Slices
import Testing

@Suite("A picture is passed over when the coordinator has seen that it must be, and by all alike")
struct PictureTests {
  private func warnings(_ effects: [Effect]) -> [String] {
    effects.compactMap { if case .log(.warning, let text) = $0 { text } else { nil } }
  }

  private func examined(_ effects: [Effect]) -> [Int] {
    effects.compactMap { if case .examinePicture(let picture) = $0 { picture } else { nil } }
  }

  /// Has every picture that is asked about found not to decode; the last effects.
  private func condemn(_ script: inout Script) throws -> [Effect] {
    var all = script.effects
    while let picture = examined(script.effects).first {
      all += try script.handle(.pictureExamined(picture, .undecodable(reason: "no JPEG")))
    }
    return all
  }

  // MARK: Undecodable

  @Test func whatAWorkerSaysCountsOnceTheCoordinatorHasLooked() throws {
    var script = Script(slices: 4, pictures: 1000)
    // Slice 0 has pictures 0 and 1; 2 and 3 stand in.
    let lease = try script.join(1)[0]
    try script.say(.finished(Script.result(of: lease, undecodable: [1, 2, 1, 2, 3])), 1)
    #expect(examined(script.effects) == [1] && !script.effects.grants(lease, to: 1))
    #expect(script.status.undecodablePictures == 0)
    try script.handle(.tick, after: 100)
    #expect(examined(script.effects).isEmpty, "one at a time")
    try script.handle(.pictureExamined(1, .undecodable(reason: "it is a PNG file")))
    #expect(
      warnings(script.effects) == ["picture-1.jpg cannot be decoded, another picture takes its place: it is a PNG file"]
    )
    #expect(examined(script.effects) == [2])
    let rest = try condemn(&script)
    #expect(warnings(rest).count == 3 && rest.grants(lease, to: 1) && script.status.undecodablePictures == 3)
    try script.handle(.pushArrived(lease.lease, .whole))
    // Known from then on.
    let next = try script.ready(1, idle: 1)[0]
    #expect(try script.say(.finished(Script.result(of: next, undecodable: [2, 3])), 1).grants(next, to: 1))
    #expect(examined(script.effects).isEmpty && script.status.undecodablePictures == 3)
  }

  /// 501 pictures for a lease of two: today that ended the run.
  @Test func picturesThatALeaseCannotMeetAreABadMessage() throws {
    for (reported, stray) in [
      ([500, 501], 500), (Array(100..<601), 100), ([1, 3], 3), ([999], 999), ([0, 1, 2, 1000], 1000), ([-1], -1),
    ] {
      var script = Script(slices: 4, pictures: 1000)
      let lease = try script.join(1)[0]
      try script.say(.finished(Script.result(of: lease, undecodable: reported)), 1)
      #expect(script.refusals.map(\.reason) == [.malformed], "\(reported)")
      #expect(script.refusals[0].text.contains("undecodable picture \(stray)"), "\(script.refusals)")
      #expect(script.effects.cancels(lease, of: 1) && examined(script.effects).isEmpty)
      // Another has the slice.
      #expect(try script.join(2).map(\.slices) == [lease.slices])
    }
    var script = Script(slices: 4, pictures: 1000)
    let lease = try script.join(1)[0]
    let stray = [UndecodablePicture(picture: 77, reason: "")]
    try script.say(.returned(Returned(lease: lease.lease, reason: "none decodes", undecodable: stray)), 1)
    #expect(script.refusals.map(\.reason) == [.malformed] && script.status.undecodablePictures == 0)
  }

  @Test func aWorkerThatNamesAPictureThatDecodesLosesItsLeaseAndIsNamed() throws {
    var script = Script(slices: 4, pictures: 1000)
    let lease = try script.join(1)[0]
    try script.say(.finished(Script.result(of: lease, undecodable: [1])), 1)
    try script.handle(.pictureExamined(1, .decodes))
    #expect(script.effects.cancels(lease, of: 1) && script.status.undecodablePictures == 0)
    #expect(script.refusals[0].text.contains("picture-1.jpg does not decode, it said, and it does"))
    #expect(try script.join(2).map(\.slices) == [lease.slices])

    // One that gives leases back so, again and again, is ignored in the end.
    for _ in 0..<40 {
      for lease in try script.ready(1, idle: 1, after: 3_000) {
        let pictures = [UndecodablePicture(picture: 2 * lease.slices.first, reason: "")]
        try script.say(.returned(Returned(lease: lease.lease, reason: "none decodes", undecodable: pictures)), 1)
        #expect(examined(script.effects) == [2 * lease.slices.first])
        try script.handle(.pictureExamined(2 * lease.slices.first, .decodes))
      }
    }
    #expect(script.stops.isEmpty && script.status.undecodablePictures == 0)
    #expect(script.status.workers.isEmpty)
  }

  @Test func overOnePercentStopsTheRunNamingThem() throws {
    var script = Script(slices: 4, durableStep: 0, pictures: 300, undecodable: [290])
    #expect(script.status.undecodablePictures == 1, "the count outlives a start")
    let first = try script.join(1)[0]
    try script.say(.finished(Script.result(of: first, undecodable: [1, 2])), 1)
    #expect(try condemn(&script).grants(first, to: 1))
    try script.handle(.pushArrived(first.lease, .whole))
    #expect(script.stops.isEmpty && script.status.undecodablePictures == 3)
    let second = try script.ready(1, idle: 1)[0]
    try script.say(.finished(Script.result(of: second, undecodable: [3])), 1)
    _ = try condemn(&script)
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.hasPrefix("4 of 300 pictures cannot be decoded, more than one in 100. The first: picture-290.jpg, "))
    #expect(why.contains("picture-1.jpg (no JPEG), picture-2.jpg (no JPEG), picture-3.jpg (no JPEG)."))
    #expect(why.contains("massl fork --data"))
  }

  @Test func whoStartsAgainWithTooManyIsToldTheSame() throws {
    var script = Script(from: 4, durableStep: 4, pictures: 300, undecodable: [1, 2, 3, 290])
    try script.handle(.tick)
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.hasPrefix("4 of 300 pictures cannot be decoded, more than one in 100. The first: picture-1.jpg, "))
    // One that is done stays done.
    script = Script(from: 10, durableStep: 10, pictures: 300, undecodable: [1, 2, 3, 290])
    try script.handle(.tick)
    #expect(script.stops.first.map { if case .permanent = $0 { false } else { true } } ?? true)
  }

  @Test func tooManyThatAreMetWhileAnUpdateRunsStopTheRunWithItsWeights() throws {
    var script = Script(slices: 1, pictures: 300, undecodable: [290, 291, 292])
    let first = try script.join(1)[0]
    let met = [UndecodablePicture(picture: 0, reason: "no JPEG")]
    try script.say(.returned(Returned(lease: first.lease, reason: "none decodes", undecodable: met)), 1)
    #expect(examined(script.effects) == [0])
    try script.complete(script.join(2)[0], by: 2)
    #expect(script.effects.contains(.startUpdate(step: 0)))
    try script.handle(.pictureExamined(0, .undecodable(reason: "no JPEG")))
    #expect(script.stops.isEmpty && !script.effects.contains(.writeCheckpoint(step: 0)), "nobody has those weights")
    try script.handle(.updateFinished(Script.version(1)))
    #expect(script.effects.contains(.writeCheckpoint(step: 1)) && script.leases(to: 2).isEmpty)
    try script.handle(.checkpointFinished(step: 1, failure: nil))
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.hasPrefix("4 of 300 pictures cannot be decoded"))
  }

  @Test func whatCannotBeLookedAtNowIsLookedAtAgain() throws {
    var script = Script(slices: 4, pictures: 1000)
    let lease = try script.join(1)[0]
    try script.say(.finished(Script.result(of: lease, undecodable: [1])), 1)
    try script.handle(.pictureExamined(1, .unavailable(reason: "Too many open files")))
    #expect(warnings(script.effects).count == 1 && warnings(script.effects)[0].hasSuffix("Too many open files"))
    try script.handle(.tick, after: 1_900)
    #expect(examined(script.effects).isEmpty)
    try script.handle(.tick, after: 200)
    #expect(examined(script.effects) == [1])
    try script.handle(.pictureExamined(1, .unavailable(reason: "Too many open files")))
    #expect(warnings(script.effects).isEmpty, "once a minute")
    #expect(script.status.undecodablePictures == 0 && script.stops.isEmpty)
  }

  // MARK: Lost

  private func begins(_ effects: [Effect]) -> [Effect] {
    effects.filter {
      switch $0 {
      case .recordLost, .startOver, .send(.lease, _): true
      default: false
      }
    }
  }

  @Test func aStepThatNeedsALostPictureBeginsAgainWithoutIt() throws {
    var script = Script(slices: 4, from: 2)
    let first = try script.join(1)[0]
    let second = try script.join(2)[0]
    try script.complete(first, by: 1)
    #expect(script.status.acceptedSlices == 1)
    let effects = try script.handle(.picturesLost([205, 202], reason: "No such file or directory", isMet: true))
    #expect(effects.cancels(second, of: 2) && script.status.acceptedSlices == 0 && script.status.lostPictures == 2)
    // Durable before anything that goes by it.
    #expect(
      begins(effects).first == .recordLost([LostPicture(picture: 205, step: 2), LostPicture(picture: 202, step: 2)]))
    #expect(begins(effects)[1] == .startOver(step: 2))
    #expect(
      warnings(effects) == [
        "picture-205.jpg, picture-202.jpg cannot be read any more (No such file or directory): from step 2 on the next "
          + "picture takes the place, for good."
      ])
    // What was computed before does not count.
    #expect(try script.say(.finished(Script.result(of: second)), 2).accepted.isEmpty)
    #expect(try !script.say(.finished(Script.result(of: second)), 2).grants(second, to: 2))
    let again = try script.ready(1, idle: 1, after: 3_000)[0]
    #expect(again.slices == first.slices && again.lost == [202, 205] && again.lease > second.lease)
    // Others stand in: to have met 202, 203 and 204 is possible for who has 202 only.
    #expect(try script.say(.finished(Script.result(of: again, undecodable: [])), 1).grants(again, to: 1))
    #expect(try script.handle(.picturesLost([202], reason: "gone", isMet: true)).isEmpty, "known already")
  }

  @Test func whatTheStepDoesNotNeedIsLostFromTheNextOn() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    let effects = try script.handle(.picturesLost([700], reason: "gone", isMet: false))
    #expect(effects.contains(.recordLost([LostPicture(picture: 700, step: 1)])))
    #expect(!effects.cancels(lease, of: 1) && script.status.lostPictures == 0)
    try script.complete(lease, by: 1)
    try script.ready(1, idle: 1)
    try script.handle(.updateFinished(Script.version(1)))
    #expect(script.leases(to: 1).map(\.lost) == [[700]] && script.status.lostPictures == 1)
  }

  @Test func oneThatIsMissingEarlierThanItWasIsSaidToChangeResults() throws {
    var script = Script(slices: 1, from: 3, lost: [LostPicture(picture: 301, step: 8)])
    #expect(try script.join(1).map(\.lost) == [[]])
    let effects = try script.handle(.picturesLost([301], reason: "gone", isMet: true))
    #expect(effects.contains(.recordLost([LostPicture(picture: 301, step: 3)])))
    #expect(
      warnings(effects).last == "Steps 3 to 7 were computed with them before: their results now are others.")
  }

  @Test func tooManyLostOnesStopTheRunAndAreNotRecorded() throws {
    var script = Script(slices: 4, durableStep: 0, pictures: 1000, undecodable: [1, 2, 3, 4, 5])
    try script.join(1)
    try script.handle(.picturesLost(Array(10..<15), reason: "gone", isMet: true))
    #expect(script.effects.contains { if case .recordLost = $0 { true } else { false } } && script.stops.isEmpty)
    let effects = try script.handle(.picturesLost([16], reason: "gone", isMet: true))
    #expect(!effects.contains { if case .recordLost = $0 { true } else { false } })
    guard case .permanent(let why) = try #require(script.stops.first) else { throw CancellationError() }
    #expect(why.hasPrefix("11 of 1000 pictures cannot be decoded or read, more than one in 100."), "\(why)")
    #expect(why.contains("massl fork --data"))
  }

  @Test func aResultOfAStepThatIsUpdatedIsNotDoneAgain() throws {
    var script = Script(slices: 1)
    let lease = try script.join(1)[0]
    try script.complete(lease, by: 1)
    #expect(try script.handle(.picturesLost([0], reason: "gone", isMet: true)).isEmpty)
    try script.handle(.updateFinished(Script.version(1)))
    #expect(script.status.lostPictures == 0)
  }
}
