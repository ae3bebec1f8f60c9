import ArgumentParser
import Configuration
import Coordination
import Dispatch
import Foundation
import Numerics

/// Writes a line of the log to stderr.
@Sendable func printLog(_ level: Coordination.LogLevel, _ text: String) {
  let prefix =
    switch level {
    case .info: ""
    case .warning: "warning: "
    case .error: "error: "
    }
  FileHandle.standardError.write(Data("massl: \(prefix)\(text)\n".utf8))
}

/// Runs a command's body; an error becomes its sentence and exit code 1.
func reporting(_ body: () throws -> ExitCode) throws -> ExitCode {
  do { return try body() } catch let error as ValidationError { throw error } catch {
    printLog(.error, "\(error)")
    return .failure
  }
}

/// Calls `stop` on SIGINT and SIGTERM, as long as the result is kept.
func stopOnSignals(_ stop: @escaping @Sendable () -> Void) -> [any DispatchSourceSignal] {
  [SIGINT, SIGTERM].map { number in
    signal(number, SIG_IGN)
    let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
    source.setEventHandler(handler: stop)
    source.resume()
    return source
  }
}

/// Starting again with the environment of a compute class: OpenBLAS reads it when it is loaded, before `main`.
enum Relaunch {
  /// - Throws: `NumericsError` on a processor that lacks what the class needs.
  static func pin(_ name: ComputeClassName) throws {
    let computeClass: ComputeClass =
      switch name {
      case .avx2: .avx2
      case .avx512: .avx512
      case .neon: .neon
      }
    // Without the file the features cannot be known, and the check would refuse every processor.
    if let text = try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8) {
      try computeClass.check(features: ComputeClass.features(inProcessorInformation: text))
    }
    let wanted = computeClass.environment
    let environment = ProcessInfo.processInfo.environment
    guard wanted.contains(where: { environment[$0.key] != $0.value }) else { return }
    for (key, value) in wanted { setenv(key, value, 1) }
    var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) } + [nil]
    execv("/proc/self/exe", &arguments)
    throw NSError(domain: NSPOSIXErrorDomain, code: Int(errno))
  }
}
