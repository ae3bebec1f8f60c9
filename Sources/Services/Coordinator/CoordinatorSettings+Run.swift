import Configuration
import Coordination
import Evaluation
import MemoryBank
import Messages
import Runs
import Telemetry
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
      compatibility: Compatibility(
        protocolVersion: WireLimits.protocolVersion, probe: options.probe ?? resumed.probe,
        computes: options.probe != nil, libraries: LibraryVersions(of: configuration.precision),
        allowsMixed: options.allowsMixed),
      welcome: Welcome(
        configuration: configuration.yaml(), bulkPort: bulkPort,
        data: DataIdentity(count: data.identity.count, digest: data.identity.digest),
        rows: min(resumed.version.rows, resumed.rowsOfAnyIncarnation)),
      shape: StepShape(
        slices: definition.slices, gradientCount: definition.layout.count, floatsPerSlice: definition.floatsPerSlice,
        watchedSlots: SlotMarks.watched(of: configuration.memorySize)),
      lastStep: definition.lastStep, checkpoints: CheckpointCadence(configuration),
      peersAtMost: CoordinatorSockets.workersAtMost,
      audits: AuditSettings(
        rate: options.allowsMixed ? 0 : configuration.auditRate, seed: .random(in: 0 ... .max),
        rollsBack: configuration.auditAction == .rollback,
        quarantined: resumed.quarantine.hosts, unaudited: resumed.unaudited),
      exchanges: configuration.exchanges,
      memory: MemorySettings(configuration, resumed.rows.layout, forgetsLostRows: options.forgetsLostRows),
      pictures: PictureSettings(
        name: { data.path($0) }, ofSlice: { definition.pictures(step: $0, slice: $1) },
        undecodable: resumed.undecodable, lost: resumed.lost.map { LostPicture(picture: $0.picture, step: $0.step) }),
      evaluation: EvaluationSettings(resumed, of: data))
  }
}

extension EvaluationSettings {
  /// Nil where no step is to be evaluated.
  fileprivate init?(_ resumed: ResumedRun, of data: DataSet) {
    let (definition, configuration) = (resumed.definition, resumed.definition.configuration)
    guard configuration.evaluateEverySteps > 0 else { return nil }
    let pictures = PictureSample.drawn(configuration.evaluateImages, of: data.count, seed: configuration.seed)
    let classes = data.labels?.classes
    let newest = EvaluationRecord.newest(inFile: resumed.directory.evaluationsPath, upTo: resumed.version.step)
    self.init(
      everySteps: configuration.evaluateEverySteps, pictures: pictures,
      classes: pictures.map { classes?[$0] }, width: definition.architecture.embedDim,
      newest: newest?.step ?? 0)
  }
}

extension RunConfiguration {
  /// Nil: when that is faster.
  fileprivate var exchanges: Bool? {
    switch exchange {
    case .automatic: nil
    case .always: true
    case .never: false
    }
  }
}

extension CheckpointCadence {
  /// In a configuration 0 is none.
  init(_ configuration: RunConfiguration) {
    let (steps, kept) = (configuration.checkpointEverySteps, configuration.keepEverySteps)
    let minutes = configuration.checkpointEveryMinutes
    self.init(
      everySteps: steps == 0 ? nil : steps, keepEverySteps: kept == 0 ? nil : kept,
      every: minutes == 0 ? nil : .seconds(minutes * 60))
  }
}

extension MemorySettings {
  init(_ configuration: RunConfiguration, _ layout: ExtentLayout, forgetsLostRows: Bool) {
    self.init(
      size: configuration.memorySize, rowsPerExtent: layout.capacity, extentBytes: layout.fileSize,
      replicas: configuration.memoryReplicas, rowsPerStep: configuration.batchSize, forgetsLostRows: forgetsLostRows)
  }
}
