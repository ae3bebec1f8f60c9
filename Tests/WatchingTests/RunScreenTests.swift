import Foundation
import Services
import Testing
import Watching

@Suite("A run in a terminal that is left open")
struct RunScreenTests {
  private func screen(
    _ status: RunStatus?, heard: Duration? = .seconds(1), isCoordinated: Bool = true, log: [String] = [],
    losses: [Double?] = [7, 6, 5, 4]
  ) -> RunScreen {
    RunScreen(
      name: "runs/first",
      run: Observation(
        status: status, source: heard.map { .coordinator(heard: $0) } ?? .checkpoint, isCoordinated: isCoordinated,
        sinceStep: .seconds(3), usualStep: .seconds(2)),
      losses: losses, checkpoints: [(480, 120)], log: log, room: .init(free: 46 << 30, needed: 1), isUnicode: true)
  }

  private func text(_ screen: RunScreen, _ columns: Int = 100, _ rows: Int = 30) -> String {
    screen.lines(columns: columns, rows: rows).map(\.text).joined(separator: "\n")
  }

  @Test func itSaysWhetherTheRunIsWellAndWhatItWaitsFor() throws {
    let text = try text(screen(status(), log: ["one", "two"]))
    #expect(text.hasPrefix("runs/first\nWELL  Step 500 of 1000, 401 images/s, 1 h 00 min left.\n"))
    #expect(text.contains("50.0 %  epoch 3 of 10\n"))
    #expect(text.contains("\nloss        4.1250\n            █▆▃▁  4.000 to 7.000\n"))
    #expect(text.contains("\nembeddings  spread 0.500, target entropy 3.500, 0.875 of rows chosen\n"))
    #expect(text.contains("\nmemory      100 % of 4096 rows; the step fetched 2, 10 were cached\n"))
    #expect(text.contains("\nstep        501 is computing, for 3 s (usually 2 s): 2 of 8 slices are in\n"))
    #expect(text.contains("\ncheckpoint  step 480, 2 min 00 s ago; 46 GiB free\n"))
    #expect(text.contains("\nlab7/11        2      1       1      1.50        40  heard 0.5 s ago\n"))
    #expect(text.contains("\none\ntwo\n"))
    #expect(text.hasSuffix("\nq leaves"))
  }

  @Test(arguments: [(1, 1), (20, 5), (40, 12), (80, 24), (300, 100)])
  func itFitsAnyTerminal(columns: Int, rows: Int) throws {
    let workers = (0..<50).map { worker(name: "lab7/\($0)") }.joined(separator: ",")
    let log = (0..<40).map { "line \($0) " + String(repeating: "x", count: 200) }
    for screen in try [screen(status(workers: workers), log: log), screen(nil, heard: nil, isCoordinated: false)] {
      let lines = screen.lines(columns: columns, rows: rows)
      #expect(lines.count == rows)
      #expect(lines.allSatisfy { $0.text.count <= columns })
    }
    #expect(try screen(status()).lines(columns: 80, rows: 0).isEmpty)
  }

  @Test func workersForWhomThereIsNoRoomAreCounted() throws {
    let workers = (0..<50).map { worker(name: "lab7/\($0)") }.joined(separator: ",")
    let text = try text(screen(status(workers: workers), log: ["last"]), 80, 24)
    let shown = text.split(separator: "\n").count { $0.hasPrefix("lab7/") }
    #expect(shown > 3)
    #expect(text.contains("\nand \(50 - shown) more\n"))
    #expect(text.contains("\nlast\n"))
  }

  @Test func whoIsSilentComesFirstAndIsSaidToBe() throws {
    let workers = [worker(name: "a/1"), worker(name: "b/2", heard: 12)].joined(separator: ",")
    let lines = try screen(status(workers: workers)).lines(columns: 100, rows: 30)
    let place = try #require(lines.firstIndex { $0.text.hasPrefix("b/2") })
    #expect(lines[place].text.hasSuffix("silent for 12 s"))
    #expect(lines[place].pieces.first?.style == .bad)
    #expect(lines[place + 1].text.hasPrefix("a/1"))
  }

  @Test func whoseConnectionIsGoneIsSaidToBeAtOnce() throws {
    let workers = [worker(name: "a/1"), worker(name: "b/2", isConnected: false)].joined(separator: ",")
    let lines = try screen(status(workers: workers)).lines(columns: 100, rows: 30)
    let place = try #require(lines.firstIndex { $0.text.hasPrefix("b/2") })
    #expect(lines[place].text.hasSuffix("not connected, heard 1 s ago"), "\(lines[place].text)")
    #expect(lines[place].pieces.first?.style == .bad && lines[place + 1].text.hasPrefix("a/1"))
  }

  @Test func namesWithEscapeSequencesDoNothing() throws {
    let text = try text(screen(status(workers: worker(name: "a\\u001b[2J\\nb")), log: ["x\u{1b}[31m\u{202e}"]))
    #expect(!text.contains("\u{1b}") && !text.contains("\u{202e}"))
    #expect(text.contains("a\\u{1b}[2J"))
  }

  @Test func aRunThatIsAwayIsShownWithoutItsWorkers() throws {
    let text = try text(screen(status(), heard: nil, isCoordinated: false))
    #expect(text.contains("STOPPED  Stopped at step 500 of 1000"))
    #expect(!text.contains("lab7/11"))
  }

  @Test func aSparklineIsThinnedAndHasGaps() {
    #expect(Sparkline.text([1, 1, 2, 2, 8, 8], columns: 3, isUnicode: true) == "▁▂█")
    #expect(Sparkline.text([1, nil, 8], columns: 10, isUnicode: true) == "▁ █")
    #expect(Sparkline.text([1, .nan, 8], columns: 10, isUnicode: false) == "_ #")
    #expect(Sparkline.text([3, 3], columns: 10, isUnicode: true) == "▁▁")
    #expect(Sparkline.text([nil], columns: 10, isUnicode: true) == "")
    #expect(Sparkline.text([1, 2], columns: 0, isUnicode: true) == "")
  }
}
