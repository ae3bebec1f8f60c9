import Testing
import Vision

@Suite struct PictureSourceTests {
  @Test func theNextThatDecodesStandsIn() throws {
    let (good, bad) = (try Fixture.jpeg("grey"), Array("no picture".utf8))
    let source = PictureSource(count: 4) { [good, bad, bad, bad][$0] }
    let whole = try source.picture(0)
    #expect(whole.undecodable.isEmpty)
    let replaced = try source.picture(2)
    #expect(replaced.picture == whole.picture)
    #expect(replaced.undecodable.map(\.index) == [2, 3])
    #expect(replaced.undecodable[0].reason.contains("it is a text file"))
  }

  @Test func aFailedReadIsNoReasonToReplace() throws {
    let failure = VisionError.unreadable(path: "a.jpg", reason: "gone")
    let source = PictureSource(count: 3) { index throws in
      if index == 1 { throw failure }
      return index == 0 ? [] : try Fixture.jpeg("grey")
    }
    #expect(throws: failure) { try source.picture(0) }
    #expect(try source.picture(2).undecodable.isEmpty)
  }

  @Test(arguments: [(3, 3), (500, 11), (5_000, 51)]) func nothingDecodableIsFoundOutSoon(count: Int, tried: Int) {
    let source = PictureSource(count: count) { _ in [] }
    let error = #expect(throws: VisionError.self) { try source.picture(1) }
    guard case .noneDecodes(let undecodable) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(undecodable.count == tried && tried * 100 > count)
    #expect(
      error?.description.hasPrefix("\(tried) pictures in a row cannot be decoded: picture 1: the file is empty; ")
        == true)
  }
}
