import Printing

/// A user's crontab with a line for a service that is to come back with the machine.
public enum BootTable {
  /// The table with the line, once; nil if it is there.
  public static func adding(_ service: ServiceDescription, folder: String, to table: String) -> String? {
    let line = line(service, folder: folder)
    let lines = lines(of: table)
    if lines.contains(line) { return nil }
    return text(lines.filter { !isOf(folder, $0) } + [line])
  }

  /// The table without it; nil if it is not there.
  public static func removing(folder: String, from table: String) -> String? {
    let lines = lines(of: table)
    let rest = lines.filter { !isOf(folder, $0) }
    return rest.count == lines.count ? nil : text(rest)
  }

  /// cron takes a percent sign for the end of the line.
  private static func line(_ service: ServiceDescription, folder: String) -> String {
    let words = [service.program, "service", "start", folder, "--at-boot"].map(\.shellWord).joined(separator: " ")
    return "@reboot \(words.replacing("%", with: "\\%")) >/dev/null 2>&1"
  }

  private static func isOf(_ folder: String, _ line: String) -> Bool {
    line.hasPrefix("@reboot ")
      && line.contains(" service start \(folder.shellWord.replacing("%", with: "\\%")) --at-boot")
  }

  private static func lines(of table: String) -> [String] { table.split(separator: "\n").map(String.init) }

  private static func text(_ lines: [String]) -> String { lines.map { $0 + "\n" }.joined() }
}
