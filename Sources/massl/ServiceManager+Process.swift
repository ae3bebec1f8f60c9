import Foundation
import Services
import Telemetry

extension ServiceManager {
  /// That of this process; nil where there is none, and where another massl started this process and speaks for it.
  static func ofThisProcess(isChild: Bool, log: @escaping ServiceLog) -> ServiceManager? {
    isChild ? nil : ServiceManager(environment: ProcessInfo.processInfo.environment) { log(.warning, $0) }
  }
}
