import Coordination
import Foundation
import Messages
import Numerics
import Services
import Synchronization
import TestSupport
import Testing
import Wire

/// As many workers as a run may have, at one real coordinator: each over a connection of its own, with hello, signs of life
/// and goodbye, and without work.
///
/// It takes thousands of descriptors, so `make test` runs it by itself, with MASSL_ALONE.
@Suite(.ownThreads, .enabled(if: ProcessInfo.processInfo.environment["MASSL_ALONE"] != nil)) struct CrowdTests {
  private static let workers = 1024

  @Test func aThousandWorkersJoinIdleDieAndComeBack() throws {
    try ThisProcess.allowDescriptors(5 * Self.workers + 1000)
    let workshop = try Workshop()
    let coordinator = try Program.start(workshop.coordinator("crowded", "tcp://127.0.0.1:0"))
    defer { coordinator.terminate() }
    let address = try workshop.address("crowded")
    let text = try #require(try status(address).probe)
    let probe = try #require(Digest(text))
    // Its address is there before its threads are. Once it answers, it has all of them.
    let before = try Usage(of: coordinator)

    // 1. All join, and whoever comes then is told why it may not.
    let crowd = try Crowd(at: Endpoint(address), probe: probe, count: Self.workers)
    #expect(try eventually(within: 120) { try workers(address).count == Self.workers })
    let late = try Crowd(at: Endpoint(address), probe: probe, count: 1)
    #expect(eventually(within: 20) { late.refusals == [.tooManyPeers] })
    late.end()
    #expect(crowd.refusals.isEmpty)

    // 2. They idle: signs of life are all that there is.
    let (begun, start) = (try Usage(of: coordinator), ContinuousClock.now)
    Thread.sleep(forTimeInterval: 10)
    let (idle, time) = (try Usage(of: coordinator), (ContinuousClock.now - start) / .seconds(1))
    let heard = try workers(address).map(\.secondsSinceHeard)
    #expect(heard.count == Self.workers && heard.allSatisfy { $0 < 5 }, "\(heard.max() ?? 0)")
    print(
      """
      crowd: \(Self.workers) idle workers take \((idle.bytes - before.bytes) >> 20) MiB of the coordinator, \
      \(idle.descriptors - before.descriptors) descriptors and \
      \(Int(1000 * (idle.seconds - begun.seconds) / time)) thousandths of a core
      """)
    // A connection each, and no thread of theirs.
    #expect(idle.descriptors - before.descriptors < Self.workers + 64 && idle.threads <= before.threads + 2)
    #expect(idle.bytes - before.bytes < 256 << 20)

    // 3. All die without a word, and as many others take their places.
    crowd.end()
    #expect(try eventually(within: 60) { try workers(address).isEmpty })
    let others = try Crowd(at: Endpoint(address), probe: probe, count: Self.workers)
    #expect(try eventually(within: 120) { try workers(address).count == Self.workers })
    #expect(others.refusals.isEmpty)
    let after = try Usage(of: coordinator)
    #expect(after.bytes - idle.bytes < 64 << 20, "\(after.bytes >> 20) MiB, \(idle.bytes >> 20) before")
    #expect(after.descriptors <= idle.descriptors + 8)
    others.end()
    #expect(coordinator.isRunning)
  }

  /// Asked from here. `Foundation.Process` would read past the end of what the system listed (`spawn` in Processes): this
  /// process has a descriptor for each worker.
  private func status(_ address: String) throws -> RunStatus {
    let answer = try StatusInquiry(of: Endpoint(address), security: .none(.loopback)).ask(patience: .seconds(60))
    guard case .status(let status) = answer else { throw NoStatus(answer: "\(answer)") }
    return status
  }

  private func workers(_ address: String) throws -> [Status.Worker] { try status(address).coordination.workers }
}

private struct NoStatus: Error { let answer: String }

/// What the system says of a process.
private struct Usage {
  let bytes: Int
  let descriptors: Int
  let threads: Int
  /// Of processors' time.
  let seconds: Double

  init(of process: Process) throws {
    let folder = "/proc/\(process.processIdentifier)"
    let status = try String(contentsOfFile: "\(folder)/status", encoding: .utf8)
    func figure(_ name: String) throws -> Int {
      let line = try #require(status.split(separator: "\n").first { $0.hasPrefix(name) })
      return try #require(line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) })
    }
    bytes = try figure("VmRSS:") << 10
    threads = try figure("Threads:")
    descriptors = try FileManager.default.contentsOfDirectory(atPath: "\(folder)/fd").count
    // After the name in brackets: the state is the third figure, user's and system's time are the 14th and 15th.
    let figures = try String(contentsOfFile: "\(folder)/stat", encoding: .utf8).split(separator: ")").last!
      .split(separator: " ")
    let (user, system) = (try #require(Double(figures[11])), try #require(Double(figures[12])))
    seconds = (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }
}

/// Workers without work, some to a thread.
private final class Crowd: Sendable {
  private static let toAThread = 128

  private let isOver = Atomic(false)
  private let refused = Mutex<[Refusal.Reason]>([])
  private let ended = DispatchGroup()

  var refusals: [Refusal.Reason] { refused.withLock { $0 } }

  init(at coordinator: Endpoint, probe: Digest, count: Int) throws {
    for first in stride(from: 0, to: count, by: Self.toAThread) {
      let context = try Context()
      let lines = try (first..<min(count, first + Self.toAThread)).map { index in
        try Line(
          in: context, to: coordinator,
          Hello(
            protocolVersion: WireLimits.protocolVersion, name: "crowd/\(index)", host: "host-\(index)", threads: 1,
            probe: probe))
      }
      Thread.detachNewThread { [self, ended] in
        ended.enter()
        while !isOver.load(ordering: .relaxed) {
          for line in lines { if let reason = line.turn() { refused.withLock { $0.append(reason) } } }
          usleep(10_000)
        }
        ended.leave()
      }
    }
  }

  /// Without a goodbye.
  func end() {
    isOver.store(true, ordering: .relaxed)
    ended.wait()
  }
}

/// One of them. Made by one thread, then used by another alone.
private final class Line: @unchecked Sendable {
  private let hello: Hello
  private let socket: DealerSocket
  private let peer = PeerID.random()
  private var coordinator: Sender?
  private var speaksAt = ContinuousClock.now

  init(in context: Context, to endpoint: Endpoint, _ hello: Hello) throws {
    self.hello = hello
    socket = try DealerSocket(
      in: context, as: peer, connectingTo: endpoint, for: .control, security: .none(.loopback))
  }

  /// Hears what came, and says what is due.
  /// - Returns: why it was refused, if it was.
  func turn() -> Refusal.Reason? {
    var reason: Refusal.Reason?
    while let received = try? socket.receive(timeout: .zero) {
      guard case .message(let incoming) = received, case .coordinator(let message) = incoming.envelope.message
      else { continue }
      switch message {
      case .welcome: coordinator = incoming.envelope.sender
      case .refusal(let refusal): reason = refusal.reason
      default: break
      }
    }
    guard speaksAt <= .now else { return reason }
    speaksAt = .now + .seconds(1)
    let sender = Sender(
      run: coordinator?.run ?? RunIdentity(high: 0, low: 0), incarnation: coordinator?.incarnation ?? Incarnation(0),
      peer: peer)
    let message: WorkerMessage = coordinator == nil ? .hello(hello) : .ready(Ready(idleThreads: 0, held: []))
    _ = try? socket.send(Outgoing(Envelope(sender: sender, message: .worker(message))))
    return reason
  }
}
