/// A unit of a user's systemd that keeps a service's supervisor running.
public struct UserUnit: Equatable, Sendable {
  /// The unit's name, with its ending.
  public let name: String
  public let text: String

  /// - Parameter folder: of the service, from the root on.
  public init(_ service: ServiceDescription, folder: String) {
    name = "massl-\(service.cluster)-\(service.name).service"
    func quoted(_ word: String) -> String {
      "\"\(word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("%", with: "%%").replacing("$", with: "$$"))\""
    }
    text = """
      # massl launch writes this file.
      [Unit]
      Description=massl \(service.role.rawValue) \(service.name) of \(service.cluster)
      ConditionPathExists=\(folder.replacing("%", with: "%%"))/wanted

      [Service]
      ExecStart=\(([service.program, "service", "run", folder]).map(quoted).joined(separator: " "))
      Restart=on-failure
      RestartSec=5
      RestartPreventExitStatus=64 65
      KillMode=mixed
      TimeoutStopSec=15min

      [Install]
      WantedBy=default.target

      """
  }
}
