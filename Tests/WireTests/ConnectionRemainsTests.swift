import Testing
import Wire

@Suite("What ended connections left is too much until all of it is gone")
struct ConnectionRemainsTests {
  private static let bound = 64 << 20
  /// Of a socket that was first seen to be behind with a heap of 1 GiB.
  private static let heap = 1 << 30
  private let start = ContinuousClock.now

  private func behind() -> ConnectionRemains {
    var remains = ConnectionRemains(backlogAtMost: Self.bound)
    remains.look(heap: Self.heap, areAllAsked: true, at: start)
    return remains
  }

  private func overrun() -> ConnectionRemains {
    var remains = behind()
    remains.look(heap: Self.heap + 4 * Self.bound, areAllAsked: true, at: start)
    #expect(!remains.areTooMuch)
    remains.look(heap: Self.heap + 4 * Self.bound + 1, areAllAsked: true, at: start)
    #expect(remains.areTooMuch)
    return remains
  }

  @Test func memoryBelowTheBoundIsNotTheirEnd() {
    var remains = overrun()
    for bounds in [3, 2, 1, 0] {
      remains.threwAway()
      remains.look(heap: Self.heap + bounds * Self.bound, areAllAsked: true, at: start)
      #expect(remains.areTooMuch)
    }
    remains.look(heap: Self.heap, areAllAsked: false, at: start)
    #expect(remains.areTooMuch, "there may be some of a connection whose turn has not come")
    remains.look(heap: Self.heap, areAllAsked: true, at: start)
    #expect(!remains.areTooMuch, "none was met where any would have been")
  }

  @Test func whatSomebodyElseTookOfTheHeapKeepsNobodyOut() {
    var remains = overrun()
    for _ in 0..<2 {
      remains.look(heap: Self.heap + 5 * Self.bound, areAllAsked: true, at: start)
      #expect(!remains.areTooMuch)
    }
  }

  @Test func lessIsTooMuchWhereItIsReadForLong() {
    var remains = behind()
    let grown = Self.heap + Self.bound / 2 + 1
    remains.look(heap: grown, areAllAsked: true, at: start + .milliseconds(1900))
    #expect(!remains.areTooMuch)
    remains.look(heap: grown - 1, areAllAsked: true, at: start + .seconds(3))
    #expect(!remains.areTooMuch)
    remains.look(heap: grown, areAllAsked: true, at: start + .seconds(3))
    #expect(remains.areTooMuch)
  }

  @Test func anEmptySocketIsTheirEnd() {
    var remains = overrun()
    remains.threwAway()
    remains.wereEmptied()
    #expect(!remains.areTooMuch)
    remains.look(heap: 2 * Self.heap, areAllAsked: true, at: start)
    #expect(!remains.areTooMuch, "others may have taken it meanwhile")
  }
}
