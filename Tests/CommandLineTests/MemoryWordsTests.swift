import Configuration
import Machine
import Messages
import Runs
import Testing
import Training
import massl

/// What `massl train` says of memory: before it starts, and after a process was killed.
struct MemoryWordsTests {
  /// Memory of so many bytes, of a machine with 64 GiB.
  private static func allowance(_ bytes: Int) -> Allowance {
    let files = [
      "/proc/self/cgroup": "0::/\n", "/proc/self/mountinfo": "1 2 0:3 / /cg rw - cgroup2 none rw\n",
      "/cg/memory.max": "\(bytes)\n",
    ]
    return Allowance(online: 2, physicalMemory: 64 << 30) { files[$0] }
  }

  /// ViT-S/16 at 224 pixels in slices of 8, over 131,072 rows.
  private static let vitSmall: RunConfiguration = {
    var configuration = RunConfiguration()
    configuration.sliceSize = 8
    configuration.batchSize = 128
    return configuration
  }()

  private static func memory(_ bytes: Int, workers: Int = 1, threads: Int = 1, rowCache: Int = 4 << 30) throws
    -> LocalMemory
  {
    try LocalMemory(vitSmall, workers: workers, threads: threads, rowCache: rowCache, allowance(bytes))
  }

  @Test func whatCannotFitIsRefusedWithWhatItNeedsAndWhatThereIs() {
    let error = #expect(throws: RunError.self) { try Self.memory(512 << 20) }
    let words = error.map { "\($0)" } ?? ""
    #expect(words.hasPrefix("A coordinator with 1 worker needs at least "), "\(words)")
    for part in ["slice_size", "embed_dim", "It may use 512 MiB, by /cg/memory.max.", "Make these smaller"] {
      #expect(words.contains(part), "\(part): \(words)")
    }
    #expect(throws: Never.self) { try Self.memory(64 << 30) }
  }

  @Test func eachWorkerAndThreadNeedsMore() throws {
    func least(workers: Int, threads: Int) -> Int {
      (1...64).first { (try? Self.memory($0 << 28, workers: workers, threads: threads)) != nil } ?? 0
    }
    let one = least(workers: 1, threads: 1)
    #expect(one > 2 && least(workers: 1, threads: 2) > one && least(workers: 2, threads: 2) > one)
    #expect(least(workers: 2, threads: 2) > least(workers: 1, threads: 2))
  }

  /// As they come and as they are added up: a window each, or the whole of a small network's.
  @Test(arguments: [(384, 2 * WireLimits.gradientBytesPulled), (8, nil)] as [(Int, Int?)])
  func whoAddsOtherWorkersGradientsUpHasRoomForThem(width: Int, bytes: Int?) throws {
    var configuration = Self.vitSmall
    (configuration.embedDim, configuration.numHeads) = (width, 2)
    (configuration.headHiddenDim, configuration.bottleneckDim) = (4 * width, width)
    let definition = try RunDefinition(configuration: configuration, pictures: 1000)
    func shares(_ givesWeights: Bool) -> [MemoryNeed.Share] {
      MemoryNeed.worker(of: definition, threads: 2, givesWeights: givesWeights).shares
    }
    let more = shares(true).filter { !shares(false).contains($0) }
    let ofGradients = more.filter { $0.content.contains("gradients") }
    let all = 2 * definition.slices * 4 * definition.layout.count
    #expect(more.count == 2 && ofGradients.map(\.bytes) == [bytes ?? all])
  }

  @Test func cachesTakeWhatIsLeft() throws {
    let ample = try Self.memory(64 << 30)
    #expect(ample.workerRowCache == 4 << 30 && ample.sentence == nil)
    let scarce = try Self.memory(2_600 << 20)
    #expect(0..<(2_600 << 20) ~= 2 * scarce.workerRowCache && scarce.coordinatorRowCache <= scarce.workerRowCache)
    #expect(scarce.sentence?.contains("--row-cache") == true)
    #expect(try Self.memory(2_600 << 20, rowCache: 0).sentence == nil)
  }

  @Test func threadsAreSharedOut() {
    #expect((0..<3).map { LocalMemory.threads(8, of: $0, of: 3) } == [3, 3, 2])
  }

  @Test func aProcessThatTheSystemEndedForMemoryIsExplainedAndThriceIsEnough() {
    var killed = KilledProcesses(need: "It needs 2 GiB.")
    for count in 1...3 {
      let (words, isHopeless) = killed.end(bySignal: 9, after: 2, lackedMemory: true)
      #expect(words == " Memory ran out, and the system ended it. It needs 2 GiB." && isHopeless == (count == 3))
    }
    // One that had worked for long, or that ended in another way, begins the count again.
    var patient = KilledProcesses(need: "It needs 2 GiB.")
    for seconds in [1.0, 1, 3600, 1] {
      let verdict = patient.end(bySignal: 9, after: seconds, lackedMemory: true)
      #expect(!verdict.isHopeless)
    }
    #expect(patient.end(bySignal: nil, after: 1, lackedMemory: true).words.isEmpty)
    #expect(!patient.end(bySignal: 9, after: 1, lackedMemory: true).isHopeless)
  }

  @Test func whoeverKillsProcessesIsAskedOnce() {
    var killed = KilledProcesses(need: "It needs 2 GiB.")
    let first = killed.end(bySignal: 9, after: 1, lackedMemory: false)
    #expect(first.words == " If nobody sent that signal, memory ran out. It needs 2 GiB.")
    for _ in 0..<20 {
      let verdict = killed.end(bySignal: 9, after: 1, lackedMemory: false)
      #expect(verdict.words.isEmpty && !verdict.isHopeless)
    }
    #expect(killed.end(bySignal: 11, after: 1, lackedMemory: false).words.isEmpty)
  }
}
