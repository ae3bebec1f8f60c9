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

  @Test func aWorkerWhoseConnectionIsGoneIsNotCountedAndHasNoWork() throws {
    let text = try text(status(workers: worker() + "," + worker(heard: 12, isConnected: false, idle: 0)))
    #expect(value("massl_workers", in: text) == "1" && value("massl_worker_threads", in: text) == "2")
    #expect(value("massl_worker_idle_threads", in: text) == "1" && value("massl_slices_waiting", in: text) == "5")
  }

  @Test func anEvaluationIsThereOnceThereIsOne() throws {
    #expect(value("massl_evaluation_step", in: try text(status())) == nil)
    let evaluation = """
      "evaluation":{"step":400,"rank_me":31.25,"lidar":17.5,"alpha_req":1.125,"knn":KNN,"pictures":512,"seconds":2.5,
      "unix_seconds":1.7e9},
      """
    let judged = try text(status(evaluation: evaluation.replacing("KNN", with: "0.625")))
    #expect(value("massl_evaluation_step", in: judged) == "400")
    #expect(value("massl_rank_me", in: judged) == "31.25" && value("massl_lidar", in: judged) == "17.5")
    #expect(value("massl_alpha_req", in: judged) == "1.125")
    #expect(value("massl_knn_accuracy_ratio", in: judged) == "0.625")
    // Without classes there is no k-NN.
    let unlabelled = try text(status(evaluation: evaluation.replacing("KNN", with: "null")))
    #expect(value("massl_rank_me", in: unlabelled) == "31.25")
    #expect(value("massl_knn_accuracy_ratio", in: unlabelled) == nil)
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
