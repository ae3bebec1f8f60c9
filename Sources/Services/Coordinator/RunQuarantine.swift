import Checkpoints
import Coordination

extension RunDirectory {
  /// Adds hosts, durably; with a step the run is to go back before it goes on.
  func quarantine(_ hosts: [QuarantinedHost], rollingBackTo step: Int?) throws {
    var quarantine = try quarantine()
    let names = Set(hosts.map(\.host))
    quarantine.hosts.removeAll { names.contains($0.host) }
    quarantine.hosts += hosts
    if let step { quarantine.goesBackTo = min(quarantine.goesBackTo ?? step, step) }
    try write(quarantine)
  }
}

extension ResumedRun {
  /// Rows below this are the same in all incarnations of the run: it never went back further.
  var rowsOfAnyIncarnation: Int {
    quarantine.wentBackTo.map { $0.multipliedReportingOverflow(by: definition.configuration.batchSize) }
      .map { $0.overflow ? .max : $0.partialValue } ?? .max
  }
}
