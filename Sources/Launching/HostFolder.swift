/// Where a cluster's files are on one of its machines, relative to the home folder.
///
///     .massl/programs/1f0c.../massl     the program, of one content, for all clusters
///     .massl/first/nodeb/               of one process: key, allowed.txt, service.json, service.log, massl -> program
public enum HostFolder {
  public static let root = ".massl"

  public static func path(of host: ClusterHost, in cluster: Cluster) -> String {
    "\(root)/\(cluster.name)/\(host.name)"
  }

  /// - Parameter content: names what is in the program's file.
  public static func programs(_ content: String) -> String { "\(root)/programs/\(content)" }
}
