import Printing

/// Why ssh did not get to a machine, from what it said.
public enum SSHFailure: Equatable, Sendable, CustomStringConvertible {
  case unknownName
  case refused
  case silent
  case otherHostKey
  case unknownHostKey
  case notLetIn
  /// Others may read the key that ssh is to use, so it does not.
  case openKey
  /// The key that ssh is to use is not there.
  case missingKey
  /// In ssh's own words.
  case other(String)

  /// - Parameter errors: ssh's standard error.
  public init(_ errors: String) {
    func says(_ texts: String...) -> Bool { texts.contains { errors.contains($0) } }
    self =
      if says("IDENTIFICATION HAS CHANGED") {
        .otherHostKey
      } else if says("Host key verification failed", "host key is known for") {
        .unknownHostKey
      } else if says("Could not resolve hostname", "Name or service not known") {
        .unknownName
      } else if says("Connection refused") {
        .refused
      } else if says("timed out", "No route to host", "Network is unreachable", "not responding") {
        .silent
      } else if says("UNPROTECTED PRIVATE KEY FILE") {
        .openKey
      } else if says("no such identity") {
        .missingKey
      } else if says("Permission denied", "Too many authentication failures") {
        .notLetIn
      } else {
        .other(errors.split(whereSeparator: \.isNewline).last.map(String.init) ?? "ssh ended without a word")
      }
  }

  public var description: String {
    switch self {
    case .unknownName: "its name does not resolve. Mend 'host' in the hosts file, or name it in ~/.ssh/config."
    case .refused:
      "nothing takes connections at its ssh port. Start sshd there (Debian: openssh-server), or mend the port."
    case .silent: "it does not answer ssh. Is it up, and does a firewall drop its ssh port?"
    case .otherHostKey:
      "its host key is not the one that this machine knows. If it was set up anew, forget the old one (ssh-keygen -R); if "
        + "not, somebody stands between: do not go on."
    case .unknownHostKey:
      "this machine does not know its host key. Connect once by hand (ssh HOST) and compare the fingerprint."
    case .notLetIn:
      "its sshd does not let you in. Have your key there (ssh-copy-id), and unlock it (ssh-add) if it has a passphrase."
    case .openKey: "ssh does not use your key for it, for others may read its file. Take that from them (chmod 600)."
    case .missingKey:
      "your key for it is not there. Mend IdentityFile in ~/.ssh/config, or make one (ssh-keygen) and have it there "
        + "(ssh-copy-id)."
    case .other(let words): "ssh failed: \(words.printable)"
    }
  }
}
