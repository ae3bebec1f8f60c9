import Coordination
import Foundation
import Messages
import Numerics
import Runs
import Services
import Synchronization
import Testing
import Threads

/// Coordinator and worker in one process, over loopback.
@Suite("A worker takes part in a run") struct WorkerServiceTests {
  private static func options(_ endpoint: Endpoint, data: String?) -> WorkerOptions {
    WorkerOptions(
      coordinator: endpoint, data: data, threads: 2, security: .none(.loopback), probe: SmallRun.probe, name: "test")
  }

  private struct Ending {
    var outcome: Result<CoordinatorService.Outcome, any Error>
    var reports: [StepReport]
    var coordinator: [String]
    var worker: [String]
  }

  /// Runs to the end with one worker.
  /// - Parameters:
  ///   - data: the worker's own folder.
  ///   - look: sees each step's report, with the coordinator's address.
  private static func run(
    _ run: SmallRun, _ keys: [String: String], data: String?,
    look: @escaping @Sendable (StepReport, Endpoint) -> Void = { _, _ in }
  ) throws -> Ending {
    let (book, workersBook) = (LogBook(), LogBook())
    let service = try SmallRun.opened(run.options(keys), log: book.log)
    let worker = try WorkerService(options(service.endpoint, data: data), log: workersBook.log)
    let ended = BoundedQueue<Bool>(capacity: 1)
    startThread(named: "worker") {
      _ = try? worker.run()
      ended.close()
    }
    let reports = Mutex<[StepReport]>([])
    let outcome = Result {
      try service.run { [endpoint = service.endpoint] report in
        reports.withLock { $0.append(report) }
        look(report, endpoint)
      }
    }
    worker.requestStop()
    #expect(try ended.handedOver() == nil)
    return Ending(
      outcome: outcome, reports: reports.withLock { $0 }, coordinator: book.lines, worker: workersBook.lines)
  }

  @Test("Pictures of its own and the coordinator's bytes give the same weights and memory", .timeLimit(.minutes(10)))
  func withAndWithoutData() throws {
    var digests: [[String]] = []
    for hasData in [true, false] {
      let run = try SmallRun(pictures: 20)
      let ending = try Self.run(run, ["max_steps": "5"], data: hasData ? run.data : nil)
      #expect(try ending.outcome.get() == .finished, "\(ending)")
      #expect(ending.reports.map(\.record.step) == [1, 2, 3, 4, 5])
      digests.append(try run.digests(step: 5))
    }
    #expect(digests[0] == digests[1])
  }

  @Test("Files that differ from the coordinator's, and folders of another size, do not reach the weights")
  func withOtherData() throws {
    let run = try SmallRun(pictures: 20)
    #expect(try Self.run(run, ["max_steps": "4"], data: nil).outcome.get() == .finished)
    let expected = try run.digests(step: 4)

    let (again, differing) = (try SmallRun(pictures: 20), try SmallRun(pictures: 20))
    for index in 0..<20 where index % 2 == 0 { try differing.write(Array("other \(index)".utf8), to: index) }
    let ending = try Self.run(again, ["max_steps": "4"], data: differing.data)
    #expect(try again.digests(step: 4) == expected)
    #expect(ending.worker.contains { $0.hasSuffix("what differs comes from the coordinator.") }, "\(ending.worker)")

    let (third, smaller) = (try SmallRun(pictures: 20), try SmallRun(pictures: 7))
    let other = try Self.run(third, ["max_steps": "4"], data: smaller.data)
    #expect(try third.digests(step: 4) == expected)
    #expect(
      other.worker.contains(
        "\(smaller.data) has 7 pictures, the run's data set 20: pictures come from the coordinator."))
  }

  /// Steps that soon see every picture of some hundred.
  private static func broad(steps: Int) -> [String: String] {
    ["batch_size": "50", "slice_size": "10", "memory_size": "64", "block_size": "32", "max_steps": "\(steps)"]
  }

  @Test("A picture that does not decode is replaced, and named once with the reason", arguments: [true, false])
  func oneUndecodable(isLocal: Bool) throws {
    let run = try SmallRun(pictures: 200, broken: [17])
    // An epoch and more: it is met twice.
    let status = Mutex<RunStatus?>(nil)
    let ending = try Self.run(run, Self.broad(steps: 9), data: isLocal ? run.data : nil) { report, endpoint in
      guard report.record.step == 9 else { return }
      let inquiry = try? StatusInquiry(of: endpoint, security: .none(.loopback))
      guard case .status(let answer)? = try? inquiry?.ask(patience: .seconds(10)) else { return }
      status.withLock { $0 = answer }
    }
    #expect(try ending.outcome.get() == .finished)
    #expect(status.withLock { $0?.coordination.undecodablePictures } == 1)
    let named = ending.coordinator.filter { $0.contains("cannot be decoded") }
    #expect(named.count == 1 && named[0].hasPrefix("0017.jpg cannot be decoded, another picture takes its place: "))
  }

  @Test("An empty file is a picture that does not decode, whoever has it") func emptyFile() throws {
    let run = try SmallRun(pictures: 101)
    try run.write([], to: 3)
    let ending = try Self.run(run, Self.broad(steps: 5), data: nil)
    #expect(try ending.outcome.get() == .finished, "\(ending.worker)")
    #expect(ending.coordinator.contains { $0.hasPrefix("0003.jpg cannot be decoded") })
  }

  @Test("More than one undecodable picture in a hundred ends a run for good, and the error names them")
  func manyUndecodable() throws {
    let run = try SmallRun(pictures: 200, broken: Set((0..<10).map { $0 * 19 + 4 }))
    let ending = try Self.run(run, Self.broad(steps: 9), data: run.data)
    guard case .failure(let error) = ending.outcome, case RunFailure.permanent(let text) = error else {
      Issue.record("\(ending.outcome)")
      return
    }
    #expect(text.contains("of 200 pictures cannot be decoded, more than one in 100. The first: 0"), "\(text)")
    // What was trained until then is kept.
    #expect(FileManager.default.fileExists(atPath: run.folder + "/run/checkpoints"))
    // And it stays so: the same command does not go on with what is left.
    let again = try Self.run(run, Self.broad(steps: 9), data: run.data)
    guard case .failure(let error) = again.outcome, case RunFailure.permanent(let text) = error else {
      Issue.record("\(again.outcome)")
      return
    }
    #expect(text.contains("of 200 pictures cannot be decoded, more than one in 100. The first: 0"), "\(text)")
  }

  @Test("Undecodable pictures that lie together, as broken downloads do, end it the same way", .timeLimit(.minutes(10)))
  func manyUndecodableInARow() throws {
    let run = try SmallRun(pictures: 60, broken: Set(20..<40))
    let ending = try Self.run(run, Self.broad(steps: 9), data: run.data)
    guard case .failure(let error) = ending.outcome, case RunFailure.permanent(let text) = error else {
      Issue.record("\(ending.outcome) \(ending.coordinator)")
      return
    }
    #expect(text.contains(" of 60 pictures cannot be decoded, more than one in 100. The first: 00"), "\(text)")
  }

  @Test("A loss that is not finite, computed by the coordinator too, ends a run for good", .timeLimit(.minutes(10)))
  func diverges() throws {
    let run = try SmallRun(pictures: 20)
    let ending = try Self.run(
      run, ["max_steps": "30", "lr": "1000000", "weight_decay": "100", "weight_decay_end": "100"], data: run.data)
    guard case .failure(let error) = ending.outcome, case RunFailure.permanent(let text) = error else {
      Issue.record("\(ending.outcome) \(ending.coordinator)")
      return
    }
    #expect(text.contains("worker 'test' of host 'test' and the coordinator, which computed it itself"), "\(text)")
    #expect(text.contains("Resuming will meet it again: massl replay --step ") && text.contains("massl fork "))
    // What is named as the last good checkpoint is one, and what is named as bad has pictures.
    let pieces = text.split(separator: " ")
    let step = try #require(pieces.dropFirst().first.flatMap { Int($0) })
    #expect(text.contains("The last good checkpoint is of step \(step).") && text.contains("Its pictures: 00"))
    #expect(try run.digests(step: step).count == 3)
  }

  @Test("The loss is the sum of its parts, and the targets' entropy is one of a distribution over the memory")
  func partsOfTheLoss() throws {
    let run = try SmallRun(pictures: 20)
    let ending = try Self.run(run, ["max_steps": "3", "koleo_weight": "0.1"], data: run.data)
    #expect(ending.reports.count == 3)
    for record in ending.reports.map(\.record) {
      #expect(record.loss == record.consistency + record.koleo)
      #expect(record.consistency > 0 && record.koleo != 0)
      // Each target is a distribution over a block of 8 rows.
      #expect(record.targetEntropy > 0 && record.targetEntropy <= log(8) + 1e-6)
      #expect((record.embeddingSpread ?? 0) > 0 && (record.embeddingSpread ?? 2) < 1.01)
    }
    // 6 pictures a step choose for two views each; 6 of 16 rows are new, and not chosen yet.
    let shares = ending.reports.map { $0.record.chosenShare ?? -1 }
    #expect(shares.allSatisfy { $0 > 0 && $0 <= 10.0 / 16 }, "\(shares)")
  }

  @Test("A run that collapses is warned of in words, once, and in its status", .timeLimit(.minutes(10)))
  func collapses() throws {
    let run = try SmallRun(pictures: 20)
    let status = Mutex<RunStatus?>(nil)
    // Targets so soft that they say nothing.
    let keys = ["max_steps": "50", "teacher_temp": "100", "warmup_teacher_temp": "100"]
    let ending = try Self.run(run, keys, data: run.data) { report, endpoint in
      guard report.record.step == 49 else { return }
      let inquiry = try? StatusInquiry(of: endpoint, security: .none(.loopback))
      guard case .status(let answer)? = try? inquiry?.ask(patience: .seconds(10)) else { return }
      status.withLock { $0 = answer }
    }
    #expect(try ending.outcome.get() == .finished)
    let warnings = ending.coordinator.filter { $0.contains("seems to collapse") }
    #expect(warnings.count == 1 && warnings[0].contains("the teacher's targets say nothing"), "\(ending.coordinator)")
    #expect(status.withLock { $0?.warning } == warnings.first)
    #expect(status.withLock { $0?.targetEntropy } == ending.reports.map(\.record.targetEntropy)[48])
    #expect(status.withLock { $0?.chosenShare } == ending.reports[48].record.chosenShare)
  }

  @Test("It outlives its coordinator: the next one has it go on, with the same bits", .timeLimit(.minutes(10)))
  func outlivesTheCoordinator() throws {
    let (calm, parted) = (try SmallRun(pictures: 20), try SmallRun(pictures: 20))
    #expect(try Self.run(calm, ["max_steps": "8"], data: nil).outcome.get() == .finished)

    let book = LogBook()
    var options = try parted.options(["max_steps": "8"])
    // It and the one above, for bulk, are to be free both times: below those that the system gives to others.
    options.listen = try Endpoint("tcp://127.0.0.1:\(2 * Int.random(in: 10_000..<16_000))")
    let ended = BoundedQueue<WorkerService.Outcome>(capacity: 1)
    for incarnation in 1...2 {
      // What holds a service ends with the turn of the loop.
      let service = try SmallRun.opened(options)
      if incarnation == 1 {
        let worker = try WorkerService(Self.options(service.endpoint, data: nil), log: book.log)
        startThread(named: "worker") { if let outcome = try? worker.run() { ended.append(outcome) } }
      }
      let stopped = try service.run { report in if report.record.step == 4 { service.requestStop() } }
      #expect(stopped == (incarnation == 1 ? .requested : .finished))
      #expect((service.resumedStep == 0) == (incarnation == 1))
    }
    #expect(try ended.handedOver() == .finished)
    #expect(try parted.digests(step: 8) == calm.digests(step: 8))
    #expect(book.lines.filter { $0.hasPrefix("Joined the run at ") }.count == 2, "\(book.lines)")
  }

  @Test("It says soon that nobody answers, and to whom it speaks", .timeLimit(.minutes(10))) func nobodyThere() throws {
    let book = LogBook()
    // Nobody listens on the port for TCP multiplexing.
    let worker = try WorkerService(Self.options(Endpoint("tcp://127.0.0.1:1"), data: nil), log: book.log)
    startThread(named: "worker") { _ = try? worker.run() }
    #expect(
      book.waits(for: "No answer from the coordinator at tcp://127.0.0.1:1 for 3 s; still trying.", seconds: 8))
    worker.requestStop()
  }
}
