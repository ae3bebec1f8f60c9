import Services
import Telemetry
import Testing
import Watching

@Suite("Prometheus reads what the status says")
struct RunMetricsTests {
  private func text(_ status: RunStatus?, heard: Duration = .seconds(1)) -> String {
    let run = Observation(status: status, source: .coordinator(heard: heard), isCoordinated: true)
    return RunMetrics.text(run, Verdict(of: run))
  }

  private func value(_ name: String, in text: String) -> String? {
    text.split(separator: "\n").first { $0.hasPrefix(name + " ") }.map { String($0.dropFirst(name.count + 1)) }
  }

  @Test func figuresAreThoseOfTheStatus() throws {
    let text = try text(status())
    #expect(value("massl_up", in: text) == "1")
    #expect(value("massl_step", in: text) == "500")
    #expect(value("massl_images_per_second", in: text) == "400.5")
    #expect(value("massl_workers", in: text) == "1")
    #expect(value("massl_verdict{state=\"well\"}", in: text) == "1")
    #expect(value("massl_verdict{state=\"stalled\"}", in: text) == "0")
  }

  @Test func slicesWaitForThreads() throws {
    // Of eight slices two are in, and one thread is at work.
    #expect(value("massl_slices_waiting", in: try text(status())) == "5")
    #expect(value("massl_slices_waiting", in: try text(status(workers: ""))) == "6")
    #expect(value("massl_slices_waiting", in: try text(status(phase: "updating"))) == "0")
    #expect(value("massl_slices_waiting", in: try text(status(step: 1000), heard: .seconds(99))) == "0")
  }

  @Test func whatIsNotKnownIsLeftOut() throws {
    let silent = try text(status(), heard: .seconds(60))
    #expect(value("massl_up", in: silent) == "0")
    #expect(value("massl_healthy", in: silent) == "0")
    #expect(value("massl_step", in: silent) == "500")
    #expect(value("massl_slices_waiting", in: silent) == nil)
    #expect(value("massl_workers", in: silent) == nil)
    #expect(value("massl_images_per_second", in: silent) == nil)
    #expect(value("massl_step", in: text(nil)) == nil)
  }

  @Test func namesAreEscaped() throws {
    let text = try text(status(workers: worker(name: "a\\\"b\\\\c\\nd")))
    #expect(text.contains("name=\"a\\\"b\\\\c\\\\nd\""))
    #expect(text.split(separator: "\n").allSatisfy { $0.hasPrefix("massl_") || $0.hasPrefix("# ") })
  }
}
