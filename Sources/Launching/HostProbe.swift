/// What a machine said of itself when `RemoteCommand.probe` ran there.
public struct HostProbe: Equatable, Sendable {
  public let home: String
  /// As `uname -m` has it: x86_64.
  public let machine: String
  public let hasProgram: Bool
  public let missingLibraries: [String]
  /// Version and commit; empty where the program does not run.
  public let version: String

  /// Nil if the answer is none: whatever a login says besides is passed by.
  public init?(_ output: String) {
    var values: [String: [String]] = [:]
    for line in output.split(whereSeparator: \.isNewline) {
      let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
      guard words.count == 3, words[0] == "massl-probe" else { continue }
      values[String(words[1]), default: []].append(String(words[2]))
    }
    guard let home = values["home"]?.first, home.hasPrefix("/"), let machine = values["machine"]?.first else {
      return nil
    }
    self.home = home
    self.machine = machine
    hasProgram = values["program"] != nil
    missingLibraries = values["missing"] ?? []
    version = (values["version"] ?? []).joined(separator: ", commit ")
  }
}
