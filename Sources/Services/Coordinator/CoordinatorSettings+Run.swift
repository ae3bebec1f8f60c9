import Configuration
import Coordination
import MemoryBank
import Messages
import Runs
import Training
import Vision
import Wire

extension CoordinatorSettings {
  /// Of a run as it was opened, and of what this process was started with.
  /// - Parameter bulkPort: of the bulk socket.
  init(
    _ resumed: ResumedRun, of data: DataSet, _ options: CoordinatorOptions, incarnation: Incarnation, bulkPort: Int
  ) {
    let (definition, configuration) = (resumed.definition, resumed.definition.configuration)
    self.init(
      run: RunIdentity(resumed.directory.run), incarnation: incarnation,
      protocolVersion: WireLimits.protocolVersion, probe: options.probe, libraries: .loaded,
      allowsMixed: options.allowsMixed,
      welcome: Welcome(
        configuration: configuration.yaml(), bulkPort: bulkPort,
        data: DataIdentity(count: data.identity.count, digest: data.identity.digest),
        rows: min(resumed.version.rows, resumed.rowsOfAnyIncarnation)),
      slices: definition.slices, lastStep: definition.lastStep, gradientCount: definition.layout.count,
      floatsPerSlice: definition.floatsPerSlice, watchedSlots: SlotMarks.watched(of: configuration.memorySize),
      checkpointEverySteps: configuration.checkpointEverySteps == 0 ? nil : configuration.checkpointEverySteps,
      keepEverySteps: configuration.keepEverySteps == 0 ? nil : configuration.keepEverySteps,
      checkpointEvery: configuration.checkpointEveryMinutes == 0
        ? nil : .seconds(configuration.checkpointEveryMinutes * 60),
      memory: MemorySettings(configuration, resumed.rows.layout, forgetsLostRows: options.forgetsLostRows),
      pictures: PictureSettings(
        name: { data.path($0) }, ofSlice: { definition.pictures(step: $0, slice: $1) },
        undecodable: resumed.undecodable, lost: resumed.lost.map { LostPicture(picture: $0.picture, step: $0.step) }))
    peersAtMost = CoordinatorSockets.workersAtMost
    audits = AuditSettings(
      rate: options.allowsMixed ? 0 : configuration.auditRate, seed: .random(in: 0 ... .max),
      rollsBack: configuration.auditAction == .rollback,
      quarantined: resumed.quarantine.hosts, unaudited: resumed.unaudited)
    exchangesWeights =
      switch configuration.exchange {
      case .automatic: nil
      case .always: true
      case .never: false
      }
  }
}

extension MemorySettings {
  init(_ configuration: RunConfiguration, _ layout: ExtentLayout, forgetsLostRows: Bool) {
    self.init(
      size: configuration.memorySize, rowsPerExtent: layout.capacity, extentBytes: layout.fileSize,
      replicas: configuration.memoryReplicas, rowsPerStep: configuration.batchSize, forgetsLostRows: forgetsLostRows)
  }
}
