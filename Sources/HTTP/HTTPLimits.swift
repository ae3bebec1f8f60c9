/// What one server lends to strangers: 256 descriptors, 20 KiB for each of their requests, and for each the answer that it
/// has not taken yet.
public enum HTTPLimits {
  /// Ten browsers with six connections each, Prometheus, and many that only hold a connection open.
  public static let connections = 256
  /// Of a request's line and headers, in bytes: a browser's have some 600.
  public static let head = 8192
  public static let headers = 64
  /// A login form.
  public static let body = 4096
  /// From a request's first byte to its last.
  public static let request = Duration.seconds(5)
  /// Before the first byte of a connection's next request.
  public static let idle = Duration.seconds(30)
  /// From a response's first byte to its last.
  public static let response = Duration.seconds(30)
}
