import Printing

/// What is run on a machine through ssh, as words.
public struct RemoteCommand: Equatable, Sendable {
  /// For the login shell there, whichever it is.
  public let line: String

  private init(script: String) { line = "sh -c \(script.shellWord)" }

  /// The arguments of `ssh` that run it.
  ///
  /// It asks for no password, and gives up on a machine that does not answer, or falls silent for a minute.
  /// - Parameter configuration: of ssh, in place of the user's.
  public func arguments(on host: ClusterHost, configuration: String?) -> [String] {
    ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
      + ["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"]
      + (configuration.map { ["-F", $0] } ?? []) + (host.user.map { ["-l", $0] } ?? []) + ["--", host.host, line]
  }
}

// MARK: - Which there are

extension RemoteCommand {
  /// Looks what there is; `HostProbe` reads the answer.
  /// - Parameter program: a path there; relative to the home folder.
  public static func probe(_ program: String) -> RemoteCommand {
    RemoteCommand(
      script: """
        cd && say() { printf 'massl-probe %s %s\\n' "$1" "$2"; }
        say home "$HOME"; say machine "$(uname -m)"
        p=\(program.shellWord)
        if [ -x "$p" ]; then
          say program there
          ldd "$p" 2>/dev/null | sed -n 's/^[[:space:]]*\\([^[:space:]]*\\) => not found.*/massl-probe missing \\1/p'
          "$p" --version 2>/dev/null | sed -n 's/^massl *//p; s/^commit *//p' | while read -r v; do say version "$v"; done
        fi
        """)
  }

  /// Unpacks a tar file from standard input into a folder, which is there whole or not at all.
  /// - Parameter folder: relative to the home folder.
  public static func unpack(into folder: String) -> RemoteCommand {
    // A home folder may be several machines', and several of them at it.
    RemoteCommand(
      script: """
        cd && umask 077 && f=\(folder.shellWord) && n="$f.$(uname -n).$$" && mkdir -p "$n" &&
        tar -xzf - -C "$n" && { mv -T "$n" "$f" 2>/dev/null || [ -x "$f/massl" ]; }
        code=$?; rm -rf "$n"; exit $code
        """)
  }

  /// `massl service ...` by a program there.
  public static func service(_ program: String, _ arguments: [String]) -> RemoteCommand {
    RemoteCommand(
      script: "cd && exec \(([program, "service"] + arguments).map(\.shellWord).joined(separator: " "))")
  }

  /// `massl service ...` by the program that a cluster's folder there names; 3 if there is none.
  /// - Parameter folder: relative to the home folder.
  public static func installedService(in folder: String, _ verb: String, _ arguments: [String] = []) -> RemoteCommand {
    let words = (["service", verb, folder] + arguments).map(\.shellWord).joined(separator: " ")
    return RemoteCommand(
      script: "cd && p=\(folder.shellWord)/massl; [ -x \"$p\" ] || exit \(notInstalled); exec \"$p\" \(words)")
  }

  /// Any of massl's commands by that program.
  public static func installed(in folder: String, _ arguments: [String]) -> RemoteCommand {
    let words = arguments.map(\.shellWord).joined(separator: " ")
    return RemoteCommand(
      script: "cd && p=\(folder.shellWord)/massl; [ -x \"$p\" ] || exit \(notInstalled); exec \"$p\" \(words)")
  }

  /// An exit code that no command of massl's has.
  public static let notInstalled: Int32 = 3
}

// MARK: - What it said

extension RemoteCommand {
  /// The line that says why it failed: a disk that is full, else massl's own last error, else the last of all.
  public static func reason(in errors: String, code: Int32) -> String {
    let lines = errors.split(whereSeparator: \.isNewline).map(String.init)
    if lines.contains(where: { $0.contains("No space left on device") }) { return "its disk is full. Make room on it." }
    let own = lines.last { $0.hasPrefix("Error: ") }.map { String($0.dropFirst("Error: ".count)) }
    return own ?? lines.last ?? "the command there ended with exit code \(code)."
  }
}
