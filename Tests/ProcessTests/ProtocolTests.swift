import Foundation
import MemoryBank
import Numerics
import TestSupport
import Testing

/// docs/protocol.md and massl.proto are enough to join a run: `Scripts/protocol-client` is written from them in Python.
@Suite(.serialized, .ownThreads) struct ProtocolTests {
  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// Debian's Python, whichever is first in PATH: it has the packages that `make test` installs.
  private func client(_ arguments: [String], log: String) throws -> Process {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
    process.arguments = ["-I", "\(Self.root)/Scripts/protocol-client"] + arguments
    try Data().write(to: URL(fileURLWithPath: log))
    process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    return process
  }

  private func words(_ log: String) -> String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

  /// What the client found, once it has asked for everything.
  private func report(_ path: String, of client: Process) throws -> [String: Any] {
    let isThere = eventually(within: 60) { FileManager.default.fileExists(atPath: path) || !client.isRunning }
    try #require(isThere, "the client asked for a minute and did not end")
    let report = try? JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
    return try #require(report as? [String: Any])
  }

  /// Alone at first, so that the step stands still while it looks around, then beside a worker.
  @Test func aGuestFindsAllAsThePageSaysAndChangesNothing() throws {
    let workshop = try Workshop()
    let log = workshop.folder + "/guest.log"
    defer { if !words(log).isEmpty { Issue.record("\(words(log))") } }
    // A network with all the tensors that there may be.
    let network = ["--registers", "2", "--layer-scale", "0.1"]
    #expect(try Program.run(workshop.arguments("calm") + network).status == 0)
    #expect(try Program.run(workshop.arguments("visited") + network + ["--max-steps", "5"]).status == 0)
    let coordinator = try Program.start(workshop.coordinator("visited", "tcp://127.0.0.1:0"))
    defer { coordinator.terminate() }
    let address = try workshop.address("visited")
    let guest = try client(
      [
        "--coordinator", address, "--data", workshop.data, "--report", workshop.folder + "/report", "--weights",
        workshop.run("visited") + "/checkpoints/step-00000005/student.safetensors",
      ], log: log)
    defer { guest.terminate() }
    let report = try report(workshop.folder + "/report", of: guest)
    #expect(report["step"] as? Int == 5 && report["rows"] as? Int == 80)

    // What nobody can be asked for.
    let seeded = try #require(report["seeded"] as? [String: String])
    #expect(seeded.count == 3)
    for (number, digest) in seeded {
      let row = FloatBuffer(count: 32)
      SeededRows(seed: 0, width: 32).write(row: try #require(Int(number)), into: row.vector)
      #expect("\(row.digest)" == digest, "row \(number)")
    }

    let order = KeyedPermutation(count: 160, seed: 0, purpose: .epochOrder, index: 0)
    let pictures = try #require(report["pictures"] as? [String: [Int]])
    #expect(pictures.count == 4)
    for (slice, indices) in pictures {
      let first = 5 * 16 + 4 * (try #require(Int(slice)))
      #expect(indices == order.elements(at: Array(first..<first + 4)), "slice \(slice)")
    }

    let worker = try Program.start(["worker", "--coordinator", address, "--threads", "1"])
    defer { worker.terminate() }
    for process in [guest, worker, coordinator] {
      #expect(try process.exit() == 0)
    }
    #expect(try workshop.digests("visited") == workshop.digests("calm"))
  }

  /// Payloads are laid out, pushed and named as the page says, or no step would end.
  @Test(arguments: [
    (["--use-bn-in-head", "true"], true), (["--memory-dtype", "fp16", "--memory-granule", "4"], false),
  ])
  func madeUpResultsAreTakenAndTheirRowsComeBack(recipe: [String], encrypts: Bool) throws {
    let workshop = try Workshop()
    var (own, theirs): ([String], [String]) = ([], [])
    if encrypts {
      let names = ["coordinator.key", "guest.key", "allowed"].map { workshop.folder + "/" + $0 }
      let publics = try names.prefix(2).map { name in
        try Program.run(["keygen", "--out", name]).output.trimmingCharacters(in: .whitespacesAndNewlines)
      }
      try Data(publics[1].utf8).write(to: URL(fileURLWithPath: names[2]))
      (own, theirs) = (
        ["--key", names[1], "--coordinator-key", publics[0]], ["--key", names[0], "--allowed-keys", names[2]]
      )
    }
    let log = workshop.folder + "/guest.log"
    defer { if !words(log).isEmpty { Issue.record("\(words(log))") } }
    let coordinator = try Program.start(
      workshop.coordinator("made-up", "tcp://127.0.0.1:0") + recipe + theirs
        + ["--max-steps", "3", "--audit-rate", "0"])
    defer { coordinator.terminate() }
    let guest = try client(
      ["--made-up", "--coordinator", workshop.address("made-up"), "--report", workshop.folder + "/report"] + own,
      log: log)
    defer { guest.terminate() }
    let report = try report(workshop.folder + "/report", of: guest)
    for process in [guest, coordinator] {
      #expect(try process.exit() == 0)
    }
    #expect(report["rows"] as? Int == 48)
    #expect(try report["memory"] as? String == workshop.digests("made-up", step: 3)[2])
  }
}
