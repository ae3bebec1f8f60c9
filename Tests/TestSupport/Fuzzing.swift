import Foundation
import Synchronization

/// Feeds a reader foreign bytes, as many as the environment asks for, and says what it made of them.
///
///     MASSL_FUZZ_INPUTS   inputs of all targets together; 20,000 unless given
///     MASSL_FUZZ_FIRST    the first seed; 0 unless given
///     MASSL_FUZZ_SEED     this seed alone, to see a failure again
///     MASSL_FUZZ_CORPUS   a folder to which the real inputs are written, for `Scripts/fuzz`
///
/// An input is a function of its seed and the corpus. A reader that crashes takes the process with it, and one that hangs
/// is ended after `secondsAtMost`: either way the seed is on standard error, and the command that repeats it.
public struct Fuzzing: Sendable {
  /// What a reader did with its inputs.
  public struct Report: Sendable {
    public fileprivate(set) var accepted = 0
    public fileprivate(set) var refused = 0
    /// A sentence each for what was neither, the first few.
    public fileprivate(set) var failures: [String] = []
    /// Whether there were enough inputs for some to be accepted and some refused.
    public fileprivate(set) var isWhole = true
  }

  /// An input was accepted that should not have been, or became something else.
  public struct Mistake: Error, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
  }

  /// More resident memory than this, all tests of the process together, is a failure.
  private static let growthAtMost = 1 << 30
  private static let failuresAtMost = 5

  let name: String
  let filter: String
  let percent: Int
  let secondsAtMost: Double

  /// - Parameters:
  ///   - percent: of all inputs that are this target's; those of all targets add up to 100.
  ///   - filter: the suite, as `swift test --filter` takes it.
  ///   - secondsAtMost: that one input may take.
  public init(_ name: String, percent: Int, filter: String, secondsAtMost: Double = 20) {
    (self.name, self.percent, self.filter, self.secondsAtMost) = (name, percent, filter, secondsAtMost)
  }

  /// Reads mutated inputs until there were enough.
  /// - Parameters:
  ///   - isRefusal: whether an error is the reader's own.
  ///   - read: returns if it accepts the input. The generator is for further changes, such as a digest made right.
  public func run(
    corpus: [[UInt8]], refusing isRefusal: (any Error) -> Bool,
    _ read: (_ input: [UInt8], _ random: inout SplitMix64) throws -> Void
  ) -> Report {
    if let folder = ProcessInfo.processInfo.environment["MASSL_FUZZ_CORPUS"] {
      for (index, input) in corpus.enumerated() {
        try? Data(input).write(to: URL(fileURLWithPath: "\(folder)/\(name) \(index)"))
      }
    }
    let mutator = Mutator(corpus: corpus)
    var report = Report()
    let note = CrashNote(text: { "fuzz \(name): \($0) crashed it. \(again($0))\n" })
    let watch = Watch(fuzzing: self)
    defer {
      watch.end()
      note.end()
    }
    let begin = ContinuousClock.now
    let memory = Self.peakMemory
    var slowest = (time: Duration.zero, seed: UInt64(0))
    for seed in seeds {
      note.set(seed)
      watch.begin(seed)
      let start = ContinuousClock.now
      defer {
        let spent = ContinuousClock.now - start
        if spent > slowest.time { slowest = (spent, seed) }
      }
      var random = SplitMix64(seed: SplitMix64.mixed(seed))
      let input = mutator.input(&random)
      do {
        try read(input, &random)
        report.accepted += 1
      } catch  where isRefusal(error) {
        report.refused += 1
      } catch {
        report.failures.append("fuzz \(name): seed \(seed) of \(input.count) bytes: \(error). \(again("\(seed)"))")
        if report.failures.count == Self.failuresAtMost { break }
      }
    }
    let growth = Self.peakMemory - memory
    if growth > Self.growthAtMost { report.failures.append("fuzz \(name): memory grew by \(growth) bytes") }
    report.isWhole = seeds.count >= 100
    if Self.number("MASSL_FUZZ_INPUTS") != nil {
      let spent = (ContinuousClock.now - begin) / .seconds(1)
      let sentence =
        "fuzz \(name): \(seeds.count) inputs from seed \(seeds.lowerBound) on, \(report.accepted) accepted, "
        + "\(report.refused) refused, \(report.failures.count) failures, \(Int(spent.rounded())) s, "
        + "peak memory grew by \(growth >> 20) MiB, seed \(slowest.seed) took \(Int(slowest.time / .milliseconds(1))) ms\n"
      FileHandle.standardError.write(Data(sentence.utf8))
    }
    return report
  }

  fileprivate func again(_ seed: String) -> String {
    "Again: MASSL_FUZZ_SEED=\(seed) swift test -c release --disable-testable-imports --filter \(filter)"
  }

  private var seeds: Range<UInt64> {
    if let seed = Self.number("MASSL_FUZZ_SEED") { return seed..<(seed + 1) }
    let first = Self.number("MASSL_FUZZ_FIRST") ?? 0
    return first..<(first + (Self.number("MASSL_FUZZ_INPUTS") ?? 20_000) * UInt64(percent) / 100)
  }

  private static func number(_ variable: String) -> UInt64? {
    ProcessInfo.processInfo.environment[variable].flatMap { UInt64($0) }
  }

  /// Of the process so far, in bytes.
  private static var peakMemory: Int {
    // Not from getrusage: that counts whoever started this process too.
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
  }
}

// MARK: - Hangs

/// Ends the process if one input takes too long.
private final class Watch: Sendable {
  private struct State {
    var seed: UInt64 = 0
    var since = ContinuousClock.now
    var hasEnded = false
  }
  private let state = Mutex(State())

  init(fuzzing: Fuzzing) {
    Thread.detachNewThread { [self] in
      while true {
        Thread.sleep(forTimeInterval: 0.25)
        let now = state.withLock { $0 }
        if now.hasEnded { return }
        if ContinuousClock.now - now.since > .seconds(fuzzing.secondsAtMost) {
          let sentence =
            "fuzz \(fuzzing.name): seed \(now.seed) takes more than \(fuzzing.secondsAtMost) s. "
            + fuzzing.again("\(now.seed)") + "\n"
          FileHandle.standardError.write(Data(sentence.utf8))
          abort()
        }
      }
    }
  }

  func begin(_ seed: UInt64) { state.withLock { ($0.seed, $0.since) = (seed, .now) } }
  func end() { state.withLock { $0.hasEnded = true } }
}

// MARK: - Crashes

/// A sentence that is on standard error if this thread crashes, a stack that is full included.
///
/// Signals of a crash are delivered to the thread that crashes; the handler finds its sentence by a thread-specific
/// value, writes it, and leaves the rest to whoever handled the signal before.
private final class CrashNote {
  /// What stands for the seed until there is one: as many digits as the largest has.
  private static let digits = 20

  private let text: UnsafeMutableBufferPointer<UInt8>
  private let places: [Int]
  private let stack: UnsafeMutableRawPointer
  private var stackBefore = stack_t()

  init(text: (String) -> String) {
    let blank = Array(repeating: UInt8(ascii: "_"), count: Self.digits)
    let sentence = Array(text(String(decoding: blank, as: UTF8.self)).utf8)
    places = sentence.indices.filter { sentence[$0...].starts(with: blank) }
    self.text = .allocate(capacity: sentence.count + 1)
    _ = self.text.initialize(from: sentence + [0])
    stack = .allocate(byteCount: 1 << 16, alignment: 16)
    var own = stack_t(ss_sp: stack, ss_flags: 0, ss_size: 1 << 16)
    sigaltstack(&own, &stackBefore)
    pthread_setspecific(crashNoteKey.value, self.text.baseAddress)
  }

  func set(_ seed: UInt64) {
    for place in places {
      var rest = seed
      for index in (place..<place + Self.digits).reversed() {
        text[index] = UInt8(ascii: "0") + UInt8(rest % 10)
        rest /= 10
      }
    }
  }

  func end() {
    pthread_setspecific(crashNoteKey.value, nil)
    sigaltstack(&stackBefore, nil)
    stack.deallocate()
    text.deallocate()
  }
}

private struct CrashNoteKey {
  var value = pthread_key_t()
  let before: UnsafeMutablePointer<sigaction>

  init() {
    pthread_key_create(&value, nil)
    before = .allocate(capacity: 65)
    before.initialize(repeating: sigaction(), count: 65)
    for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE, SIGABRT] {
      var action = sigaction()
      action.sa_flags = SA_ONSTACK
      action.__sigaction_handler.sa_handler = { signal in
        if let text = pthread_getspecific(crashNoteKey.value) { _ = write(2, text, strlen(text)) }
        // The crash happens again on return, or abort() raises it again.
        sigaction(signal, crashNoteKey.before + Int(signal), nil)
      }
      sigaction(signal, &action, before + Int(signal))
    }
  }
}

/// Written once, before any handler is there to read it.
nonisolated(unsafe) private let crashNoteKey = CrashNoteKey()
