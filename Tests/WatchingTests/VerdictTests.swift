import Services
import Testing
import Watching

@Suite("A run's verdict, and why")
struct VerdictTests {
  private func verdict(
    _ status: RunStatus?, heard: Duration? = .seconds(1), isCoordinated: Bool = true, sinceStep: Duration = .seconds(1),
    usualStep: Duration? = .seconds(2), problem: String? = nil
  ) -> Verdict {
    Verdict(
      of: Observation(
        status: status, source: heard.map { .coordinator(heard: $0) } ?? .checkpoint, isCoordinated: isCoordinated,
        sinceStep: sinceStep, usualStep: usualStep, problem: problem))
  }

  @Test func well() throws {
    let verdict = try verdict(status())
    #expect(verdict.state == .well)
    #expect(verdict.text == "Step 500 of 1000, 401 images/s, 1 h 00 min left.")
    #expect(verdict.isHealthy)
  }

  @Test func youngUntilTheMemoryIsFullOrTheWarmUpIsOver() throws {
    let young = try verdict(status(step: 100, rows: 1024))
    #expect(young.state == .young)
    #expect(young.text.hasSuffix("the memory, 25 % filled, is full, or after 288 steps."))
    #expect(young.isHealthy)
    #expect(try verdict(status(step: 100)).state == .well)
    #expect(try verdict(status(step: 288, rows: 1024)).state == .young)
    #expect(try verdict(status(step: 289, rows: 1024)).state == .well)
    // Its learning rate rises for longer.
    #expect(try verdict(status(step: 289, rows: 1024, judgedAfter: 432)).state == .young)
  }

  @Test func collapsingSaysWhy() throws {
    let verdict = try verdict(status(warning: "The run seems to collapse: so."))
    #expect(verdict.state == .collapsing)
    #expect(verdict.text == "The run seems to collapse: so.")
    #expect(!verdict.isHealthy)
  }

  @Test func stalledSaysWhatItWaitsFor() throws {
    let none = try verdict(status(workers: ""))
    #expect(none.state == .stalled)
    #expect(none.text == "Step 501 waits for workers: none is connected.")
    #expect(try verdict(status(workers: worker(heard: 3, isConnected: false))).text == none.text)

    let slow = try verdict(status(), sinceStep: .seconds(90))
    #expect(slow.state == .stalled)
    #expect(
      slow.text == "Step 501 has taken 1 min 30 s, and steps usually take 2 s. 2 of 8 slices are in; 1 of 1 workers "
        + "have work.")
    #expect(!slow.isHealthy)

    let silent = try verdict(status(workers: worker(heard: 60)), sinceStep: .seconds(90))
    #expect(silent.text.hasSuffix("2 of 8 slices are in, and no worker is heard any more."))
    #expect(try verdict(status(phase: "updating"), sinceStep: .seconds(90)).text.contains("computing its update"))
  }

  @Test func aStepIsStalledByWhatStepsUseToTake() throws {
    #expect(try verdict(status(), sinceStep: .seconds(90), usualStep: .seconds(10)).state == .well)
    #expect(try verdict(status(), sinceStep: .seconds(101), usualStep: .seconds(10)).state == .stalled)
    #expect(try verdict(status(), sinceStep: .seconds(29), usualStep: .milliseconds(1)).state == .well)
  }

  @Test func aCoordinatorThatIsNotHeardIsSaidToBe() throws {
    let silent = try verdict(status(), heard: .seconds(12))
    #expect(silent.state == .silent)
    #expect(silent.text == "The coordinator was last heard 12 s ago, in step 500 of 1000.")
    #expect(!silent.isHealthy)
    #expect(try verdict(status(), heard: .seconds(9)).state == .well)

    let never = try verdict(status(), heard: nil, problem: "Nobody listens there.")
    #expect(never.state == .silent)
    #expect(
      never.text == "The coordinator does not answer. Its newest checkpoint is of step 500 of 1000. Nobody listens "
        + "there.")
  }

  @Test func aRunThatEndedIsFinishedOrStopped() throws {
    let finished = try verdict(status(step: 1000, phase: "not running"), heard: nil, isCoordinated: false)
    #expect(finished.state == .finished)
    #expect(finished.text == "All 1000 steps are done.")
    #expect(finished.isHealthy)

    let stopped = try verdict(status(step: 400, phase: "not running"), heard: nil, isCoordinated: false)
    #expect(stopped.state == .stopped)
    #expect(stopped.text.hasPrefix("Stopped at step 400 of 1000"))
    #expect(!stopped.isHealthy)
  }

  @Test func aFolderWithoutARunIsNone() {
    #expect(verdict(nil, heard: nil, isCoordinated: false).state == .absent)
  }
}
