import Checkpoints
import Coordination

// The state machine's hosts in quarantine, and those of the run directory: the same, in the words of either side.

extension QuarantinedHost {
  init(_ host: Quarantine.Host) {
    self.init(
      host: host.host, worker: host.worker, step: host.step, firstSlice: host.firstSlice, slices: host.slices,
      suspectSteps: host.suspectSteps)
  }
}

extension Quarantine.Host {
  init(_ host: QuarantinedHost) {
    self.init(
      host: host.host, worker: host.worker, step: host.step, firstSlice: host.firstSlice, slices: host.slices,
      suspectSteps: host.suspectSteps)
  }
}

extension RunDirectory {
  /// Adds hosts, durably; with a step the run is to go back before it goes on.
  func quarantine(_ hosts: [QuarantinedHost], goingBackTo step: Int?) throws {
    var quarantine = try quarantine()
    let names = Set(hosts.map(\.host))
    quarantine.hosts.removeAll { names.contains($0.host) }
    quarantine.hosts += hosts.map { Quarantine.Host($0) }
    if let step { quarantine.goesBackTo = min(quarantine.goesBackTo ?? step, step) }
    try write(quarantine)
  }
}

extension ResumedRun {
  /// Rows below this are the same in all incarnations of the run: it never went back further.
  var rowsOfAnyIncarnation: Int {
    quarantine.wentBackTo.map { $0.multipliedReportingOverflow(by: plan.configuration.batchSize) }
      .map { $0.overflow ? .max : $0.partialValue } ?? .max
  }
}
