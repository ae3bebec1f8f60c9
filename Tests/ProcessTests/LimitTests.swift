import Foundation
import TestSupport
import Testing

/// What the system does not give is said at the start, with the limit to raise, and not met in the middle.
@Suite(.ownThreads) struct LimitTests {
  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: prlimit)))
  func fewDescriptorsAreRefusedByWhateverListensOrConnects() throws {
    let address = "tcp://127.0.0.1:9"
    for command in [
      ["train", "--data", "/", "--run", "/nowhere"], ["coordinator", "--data", "/", "--run", "/nowhere"],
      ["worker", "--coordinator", address],
      ["memory", "--coordinator", address, "--capacity", "1GiB", "--directory", "/nowhere"],
    ] {
      let ended = try Program.run(command, through: [Self.prlimit, "--nofile=40:40"], limit: 20)
      #expect(ended.status == 65 && !ended.wasKilled, "\(ended)")
      #expect(
        ended.errors.contains("open files and connections, and this process may have 40. Raise the limit: ulimit -n"),
        "\(ended)")
    }
  }

  @Test(.enabled(if: canLimitThreads)) func aThreadThatCannotBeHadIsASentence() throws {
    let ended = try Program.run(
      ["synthesize", "--out", "/nowhere", "--images", "9"], through: Self.nobody + [Self.prlimit, "--nproc=1:1"],
      limit: 20)
    #expect(ended.status == 75 && !ended.wasKilled, "\(ended)")
    #expect(ended.errors.contains("threads are needed here, and the system gives 0"), "\(ended)")
    #expect(ended.errors.contains("(ulimit -u)"))
  }

  /// What only reads needs no thread a core.
  @Test(.enabled(if: canLimitThreads)) func whatComputesNothingWantsNoThreads() throws {
    let ended = try Program.run(
      ["inspect", "/nowhere"], through: Self.nobody + [Self.prlimit, "--nproc=1:1"], limit: 20)
    #expect(ended.status == 64 && ended.errors.contains("/nowhere"), "\(ended)")
  }

  private static let prlimit = "/usr/bin/prlimit"
  /// The limit of processes does not count for root.
  private static let nobody =
    getuid() == 0 ? ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : []
  private static let canLimitThreads =
    FileManager.default.isExecutableFile(atPath: prlimit)
    && (try? Program.run(["--help"], through: nobody, limit: 20))?.status == 0
}
