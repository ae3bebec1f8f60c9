import Coordination
import Evaluation
import Messages
import Numerics
import Synchronization
import Threads
import Training

/// Judges teachers beside a worker's leases, one at a time, each in a thread that stands back: it computes where slices
/// leave a processor idle. After the last step there are no slices, and the thread is a plain one.
///
/// It shares no lock with those who compute but for the allocator's and OpenBLAS's own, which are held for less than a
/// microsecond. Its pictures come over a connection of its own.
final class TeacherEvaluation: Sendable {
  private let definition: RunDefinition
  private let connect: @Sendable () throws -> (BulkClient, WorkerPictures)
  private let report: @Sendable (WorkerProgress) -> Void
  private let state = Mutex(State())

  private struct State: Sendable {
    /// The lease that is wanted.
    var wanted: LeaseID?
    var clients: [LeaseID: BulkClient] = [:]
  }

  /// - Parameters:
  ///   - connect: makes a connection to the coordinator, and the pictures that come over it.
  ///   - report: takes what becomes of an evaluation.
  init(
    _ definition: RunDefinition, connect: @escaping @Sendable () throws -> (BulkClient, WorkerPictures),
    report: @escaping @Sendable (WorkerProgress) -> Void
  ) {
    self.definition = definition
    self.connect = connect
    self.report = report
  }

  /// This one alone is wanted from now on; none, if nil.
  func want(_ lease: LeaseID?) {
    let unwanted = state.withLock { state in
      state.wanted = lease
      return state.clients.filter { $0.key != lease }
    }
    // Whoever waits for a picture over it gets an error.
    for client in unwanted.values { client.stop() }
  }

  func isWanted(_ lease: LeaseID) -> Bool { state.withLock { $0.wanted == lease } }

  /// - Parameter teacher: of the step; only read.
  func begin(_ evaluate: Evaluate, _ teacher: FloatBuffer) {
    let standsBack = evaluate.step < definition.lastStep
    let code = tryStartThread(named: "massl-evaluate", standsBack: standsBack) { [self] in run(evaluate, teacher) }
    if code != 0 { fail(evaluate, TooFewThreads(needed: 1, possible: 0, code: code)) }
  }

  func fail(_ evaluate: Evaluate, _ error: any Error) {
    report(.evaluationFailed(Returned(lease: evaluate.lease, reason: "\(error)")))
  }

  private func run(_ evaluate: Evaluate, _ teacher: FloatBuffer) {
    do {
      let (client, pictures) = try connect()
      state.withLock { $0.clients[evaluate.lease] = client }
      defer {
        state.withLock { $0.clients[evaluate.lease] = nil }
        client.stop()
      }
      let sample = PictureSample(pictures: evaluate.pictures, classes: evaluate.classes)
      let found = try sample.diagnose(definition, weights: teacher, read: pictures.thoseThatCanBeHad) {
        guard isWanted(evaluate.lease) else { throw WorkerError.cancelled }
      }
      report(.evaluated(Evaluated(lease: evaluate.lease, figures: Evaluated.Figures(found))))
    } catch {
      fail(evaluate, error)
    }
  }
}

extension WorkerPictures {
  /// The bytes of pictures by index; those that the coordinator cannot read are left out.
  /// - Throws: `BulkError` where there is no answer.
  fileprivate func thoseThatCanBeHad(_ indices: [Int]) throws -> [Int: [UInt8]] {
    var found: [Int: [UInt8]] = [:]
    do { found = try together(indices) } catch WorkerError.pictureUnavailable {}
    for index in indices where found[index] == nil {
      do { found[index] = try bytes(index) } catch WorkerError.pictureUnavailable {}
    }
    return found
  }
}

extension Evaluated.Figures {
  fileprivate init(_ found: FeatureDiagnostics) {
    self.init(
      pictures: found.pictures, rankMe: found.rankMe, lidar: found.lidar, alphaReQ: found.alphaReQ,
      right: found.right, asked: found.asked)
  }
}
