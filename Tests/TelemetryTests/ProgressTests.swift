import Foundation
import Telemetry
import Testing

/// One line says how a run is doing, in whatever room there is.
struct ProgressLineTests {
  static let state = ProgressState(
    step: 1234, lastStep: 50000, epoch: 3, epochs: 800, loss: 6.43214, lr: 2.5e-4, imagesPerSecond: 412.4,
    secondsLeft: 11_534, workers: 4, memoryFilled: 0.379)

  @Test func showsEverythingWhereThereIsRoom() {
    #expect(
      ProgressLine.render(Self.state, width: 200)
        == "step 1234/50000  epoch 3/800  loss 6.4321  lr 2.50e-04  412 images/s  3 h 12 min left  4 workers  memory 37%"
    )
  }

  @Test(arguments: [
    (100, "step 1234/50000 ep 3/800 loss 6.4321 lr 2.50e-04 412 img/s 3h12m left 4w mem 37%"),
    (80, "step 1234/50000 ep 3/800 loss 6.4321 lr 2.50e-04 412 img/s 3h12m left 4w mem 37%"),
    (60, "step 1234/50000 ep 3/800 loss 6.4321 412 img/s 3h12m left 4w"),
    (40, "step 1234/50000 loss 6.4321 3h12m left"),
    (16, "step 1234/50000"),
    (6, "step 1"),
    (0, ""),
  ])
  func leavesOutTheLeastWantedFirst(width: Int, line: String) {
    #expect(ProgressLine.render(Self.state, width: width) == line)
  }

  @Test func neverIsWiderThanItsRoom() {
    for width in 0...130 { #expect(ProgressLine.render(Self.state, width: width).count <= width) }
  }

  @Test func sayNothingOfWhatIsNotKnown() {
    let start = ProgressState(
      step: 0, lastStep: 10, epoch: 1, epochs: 1, loss: nil, lr: nil, imagesPerSecond: nil, secondsLeft: nil,
      workers: 1, memoryFilled: 0)
    #expect(
      ProgressLine.render(start, width: 200)
        == "step 0/10  epoch 1/1  loss -  lr -  - images/s  - left  1 worker  memory 0%")
  }

  @Test func survivesNumbersThatAreNone() {
    var state = Self.state
    (state.loss, state.lr, state.imagesPerSecond, state.secondsLeft) = (.nan, .infinity, .infinity, .nan)
    #expect(ProgressLine.render(state, width: 200).hasPrefix("step 1234/50000  epoch 3/800  loss nan  lr inf"))
  }

  @Test(arguments: [
    (0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min"),
    (1_051_200, "12 d 04 h"), (-5, "0 s"), (.infinity, "-"),
  ])
  func durationsAreReadable(seconds: Double, text: String) {
    #expect(ProgressLine.duration(seconds) == text)
  }

  @Test(arguments: [(0.0, "0"), (9.999e-5, "1.00e-04"), (1e-6, "1.00e-06"), (0.001, "1.00e-03"), (1.5, "1.50e+00")])
  func learningRatesKeepThreeDigits(lr: Double, text: String) {
    var state = Self.state
    state.lr = lr
    #expect(ProgressLine.render(state, width: 200).contains("  lr \(text)  "))
  }
}

/// The rate is that of late.
struct RateEstimatorTests {
  @Test func steadyRateIsFoundAtOnce() throws {
    var rate = RateEstimator(startingAt: 100)
    #expect(rate.imagesPerSecond == nil)
    rate.finished(images: 64, at: 102)
    #expect(rate.imagesPerSecond == 32)
    for step in 2...200 { rate.finished(images: 64, at: 100 + 2 * Double(step)) }
    #expect(abs(try #require(rate.imagesPerSecond) - 32) < 0.6)
  }

  @Test func newRateReplacesTheOldWithinAFewTimeConstants() throws {
    var rate = RateEstimator(startingAt: 0, timeConstant: 10)
    for second in 1...100 { rate.finished(images: 10, at: Double(second)) }
    for second in 101...150 { rate.finished(images: 40, at: Double(second)) }
    #expect(abs(try #require(rate.imagesPerSecond) - 40) < 1)
  }

  @Test func clockThatGoesBackIsNoRate() throws {
    var rate = RateEstimator(startingAt: 10)
    rate.finished(images: 5, at: 11)
    rate.finished(images: 5, at: 3)
    #expect(try #require(rate.imagesPerSecond) == 10)
  }
}

/// Terminals get one line rewritten, files get lines, and log lines are never mixed with either.
struct ConsoleTests {
  /// What is written to a console that is, or is not, a terminal.
  static func written(
    toTerminal isTerminal: Bool, type: String? = "xterm", _ body: (Console) throws -> Void
  ) throws -> String {
    let pipe = Pipe()
    try body(Console(descriptor: pipe.fileHandleForWriting.fileDescriptor, isTerminal: isTerminal, type: type))
    try pipe.fileHandleForWriting.close()
    return String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  }

  static func state(_ step: Int) -> ProgressState {
    var state = ProgressLineTests.state
    state.step = step
    return state
  }

  @Test func terminalRewritesOneLineAndKeepsLogLinesAboveIt() throws {
    let written = try Self.written(toTerminal: true) { console in
      console.show(progress: "step 1")
      console.write(line: "a worker joined")
      console.show(progress: "step 2")
      console.endProgress()
      console.write(line: "done")
    }
    #expect(written == "\rstep 1\u{1b}[K\r\u{1b}[Ka worker joined\nstep 1\rstep 2\u{1b}[K\ndone\n")
  }

  @Test func fileGetsPlainLinesAtIntervalsAndTheLast() throws {
    let written = try Self.written(toTerminal: false) { console in
      var printer = ProgressPrinter(console: console)
      for second in 1...26 { printer.show(Self.state(second), at: Double(second)) }
      printer.finish(Self.state(26))
      printer.finish(Self.state(26))
    }
    #expect(
      written.split(separator: "\n").map { $0.prefix { $0 != "/" } } == ["step 1", "step 11", "step 21", "step 26"])
    #expect(
      written.hasPrefix(
        "step 1/50000  epoch 3/800  loss 6.4321  lr 2.50e-04  412 images/s  3 h 12 min left  4 workers  memory 37%\n"))
    #expect(!written.contains("\r") && !written.contains("\u{1b}"))
  }

  @Test func terminalIsNotFlooded() throws {
    let written = try Self.written(toTerminal: true) { console in
      var printer = ProgressPrinter(console: console)
      for step in 0..<1000 { printer.show(Self.state(step), at: Double(step) / 1000) }
    }
    #expect(written.filter { $0 == "\r" }.count == 10)
  }

  @Test(arguments: ["dumb", "", nil]) func aTerminalThatKnowsNoEscapesGetsPlainLines(type: String?) throws {
    let written = try Self.written(toTerminal: true, type: type) { console in
      console.show(progress: "step 1")
      console.write(line: "a worker joined")
      console.show(progress: "step 2")
      console.endProgress()
    }
    #expect(written == "step 1\na worker joined\nstep 2\n")
  }

  @Test(arguments: [true, false]) func whatDoesNotShowInALineIsEscaped(isTerminal: Bool) throws {
    let written = try Self.written(toTerminal: isTerminal) { console in
      console.write(line: "worker '\u{1b}[2J\u{202e}evil\nstep 9' joined")
      console.show(progress: "\u{9b}31m")
    }
    #expect(written.hasPrefix("worker '\\u{1b}[2J\\u{202e}evil\\nstep 9' joined\n"))
    #expect(written.contains("\\u{9b}31m") && !written.contains("\u{9b}"))
  }

  @Test func pipeIsNoTerminalAndHasADefaultWidth() throws {
    _ = try Self.written(toTerminal: false) { _ in }
    let console = Console(descriptor: -1)
    #expect(!console.isTerminal && console.width == 80)
    console.write(line: "nobody reads this")
  }
}
