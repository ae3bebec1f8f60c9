import Foundation
import Glibc
import TestSupport

/// One TCP connection to a page, as a browser's, or as no browser would have it.
final class PageClient {
  /// Nobody listens there.
  struct NotConnected: Error {}

  private let descriptor: CInt

  init(port: Int) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    // What was opened is closed with this.
    guard result == 0 else { throw NotConnected() }
    // A guard against waiting for ever, not a limit.
    var patience = timeval(tv_sec: 600, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  func send(_ text: String) {
    let bytes = Array(text.utf8)
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  /// All that comes until the page hangs up.
  func receiveAll() -> String {
    var received: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      guard count > 0 else { return String(decoding: received, as: UTF8.self) }
      received += chunk[..<count]
    }
  }
}

/// What a page's process answers.
struct PageAnswer {
  let status: Int
  let head: String
  let body: String

  /// Asks over a connection of its own; nil where nobody listens.
  init?(_ path: String, port: Int, headers: String = "", method: String = "GET", form: String = "") {
    guard let client = try? PageClient(port: port) else { return nil }
    let length = form.isEmpty ? "" : "Content-Length: \(form.utf8.count)\r\n"
    let common = "Host: localhost\r\nConnection: close\r\n"
    client.send("\(method) \(path) HTTP/1.1\r\n\(common)\(length)\(headers)\r\n\(form)")
    self.init(received: client.receiveAll())
  }

  init?(received: String) {
    guard let end = received.range(of: "\r\n\r\n") else { return nil }
    guard let status = Int(received[..<end.lowerBound].dropFirst(9).prefix(3)) else { return nil }
    self.status = status
    head = String(received[..<end.lowerBound])
    body = String(received[end.upperBound...])
  }
}

extension Workshop {
  /// Starts a page of a run at any free port.
  func page(_ run: String, _ more: [String] = []) throws -> (process: Process, port: Int) {
    let log = folder + "/page-\(UUID()).log"
    let process = try Program.start(
      ["page", "--run", self.run(run), "--listen", "127.0.0.1:0"] + more, log: log)
    return (process, try Self.port(in: log, of: process))
  }

  /// The port that a page named last in a log.
  static func port(in log: String, of process: Process, otherThan old: Int? = nil) throws -> Int {
    var port: Int?
    _ = eventually(within: 600) {
      let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
      port =
        text.components(separatedBy: "\n").dropLast().compactMap { line -> Int? in
          guard let address = line.range(of: "http://127.0.0.1:") else { return nil }
          return Int(line[address.upperBound...].prefix { $0.isNumber })
        }.last
      return port != nil && port != old || !process.isRunning
    }
    struct NoPage: Error {}
    guard let port, port != old else { throw NoPage() }
    return port
  }
}
