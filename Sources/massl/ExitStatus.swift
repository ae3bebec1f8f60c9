import ArgumentParser
import Checkpoints
import Configuration
import Coordination
import Drawing
import Durability
import Evaluation
import EventFiles
import Glibc
import HTTP
import Launching
import Machine
import MemoryBank
import Messages
import Networks
import Numerics
import ONNXFiles
import Optimization
import Processes
import Runs
import Services
import Telemetry
import Verification
import Vision
import Visualization
import Watching
import WeightFiles
import Wire

/// What a supervisor learns from the end of a process.
package enum ExitStatus: Int32, Sendable, CaseIterable {
  case done = 0
  case failed = 1
  /// Flags, recipe, folders or files given are wrong: another command line is needed.
  case usage = 64
  /// Started again in the same way it would fail in the same way.
  case doNotRestart = 65
  /// Something around it was not ready, or is gone for now.
  case tryAgain = 75
  /// Nobody reads standard output any more. What a shell makes of SIGPIPE.
  case pipeClosed = 141

  package var code: ExitCode { ExitCode(rawValue) }

  /// Ends the process as it stands: threads may still compute, and the libraries' destructors would pull the memory
  /// from under them.
  func leave() -> Never {
    fflush(nil)
    _exit(rawValue)
  }
}

extension ExitStatus {
  /// The status that a command ends with when it throws `error`.
  package init(of error: any Error) {
    self =
      switch error {
      case VisionError.noResources, VisionError.listedTwice: .tryAgain
      case is ConfigurationError, is NetworkError, is OptimizationError, is VisionError, is EvaluationError,
        is VisualizationError, is IncludedResult.Unreadable, is DrawingError, is WeightFileError, is ONNXError,
        is BadEndpoint:
        .usage
      case let error as CheckpointError: Self(of: error)
      case let error as DurabilityError: Self(of: error)
      case let error as WireError: Self(of: error)
      case let error as RunError: Self(of: error)
      case let error as ServiceError: Self(of: error)
      case let error as ProcessError: Self(of: error)
      case is RunElsewhere: .usage
      case let error as LaunchError: error.host == nil ? .usage : .failed
      case let error as MemoryError: Self(of: error)
      case is VerificationError, is PageError, ListenError.cannotListen, EventFileError.cannotMake:
        .usage
      case ListenError.addressInUse, EventFileError.cannotWrite, EventFileError.inUse: .tryAgain
      case OutputError.closedPipe: .pipeClosed
      case MemoryBankError.flushFailedBefore: .tryAgain
      case MemoryBankError.rowsInShards: .usage
      case is MemoryBankError: .doNotRestart
      case RunFailure.failed: .failed
      case RunFailure.permanent: .doNotRestart
      case RunFailure.retryable: .tryAgain
      case is WorkerError, is ComputeClassError, is OneDNNError: .doNotRestart
      default: .failed
      }
  }

  private init(of error: CheckpointError) {
    self =
      switch error {
      case .otherData, .notARun, .noCheckpoint, .noSuchStep, .weightsOnly, .pyTorch, .missingTensor, .otherShape,
        .notEmpty:
        .usage
      case .damaged, .damagedRecord, .damagedQuarantine, .malformed, .newerFormat, .otherRun: .doNotRestart
      }
  }

  private init(of error: DurabilityError) {
    self =
      switch error {
      case .locked, .lockLost, .overtaken: .tryAgain
      case .failed where error.isOutOfSpace || error.isOutOfDescriptors || error.isLockServiceAway: .tryAgain
      case .failed where error.isWrongPath: .usage
      case .tooShort, .tooLong: .doNotRestart
      case .failed: .failed
      }
  }

  private init(of error: WireError) {
    self =
      switch error {
      case .cannotConnect, .cannotBind, .keysRequired, .badKeyFile, .badAllowedKeys,
        .keyFileExists, .keyFile, .handshakeFailed:
        .usage
      case .addressInUse, .unknownHost, .noConnection, .tooFewThreads: .tryAgain
      case .tooFewDescriptors: .doNotRestart
      default: .failed
      }
  }

  private init(of error: ProcessError) {
    self =
      switch error {
      case .foreign: .usage
      case .ended, .notStarted: .tryAgain
      }
  }

  private init(of error: MemoryError) {
    self =
      switch error {
      case .notAShard, .noShard, .otherRunsShard, .otherRun, .otherShape, .noRoom, .unreachable: .usage
      case .damagedIdentity, .newerIdentity, .turnedAway: .doNotRestart
      case .socketFailed: .tryAgain
      }
  }

  private init(of error: RunError) {
    self =
      switch error {
      case .notFinite: .doNotRestart
      case .otherShapes, .otherBackbone, .pastTheEnd, .tooLarge, .noCheckpointBefore, .noSuchStep, .noSuchSlice,
        .needsInitialWeights, .otherInitialWeights:
        .usage
      }
  }

  private init(of error: ServiceError) {
    self =
      switch error {
      case .noRoomForRows, .noAnswer: .tryAgain
      case .unreadableStatus: .failed
      }
  }
}
