import Foundation
import Glibc
import Synchronization
import Telemetry
import TestSupport
import Testing

/// What a service manager is told is what sd_notify(3) says, and what cannot be told stops nobody.
struct ServiceManagerTests {
  private static func manager(
    _ address: String, watchdog: String? = nil, of process: String? = nil,
    complain: @escaping @Sendable (String) -> Void = { Issue.record("\($0)") }
  ) -> ServiceManager? {
    var environment = ["NOTIFY_SOCKET": address]
    environment["WATCHDOG_USEC"] = watchdog
    environment["WATCHDOG_PID"] = process
    return ServiceManager(environment: environment, complain: complain)
  }

  /// A path, and a name that no file system has.
  private static var addresses: [String] {
    [FileManager.default.temporaryDirectory.path + "/\(UUID())", "@massl-\(UUID())"]
  }

  @Test func aWordIsALineOfADatagram() throws {
    for address in Self.addresses {
      let socket = try NotifySocket(at: address)
      let manager = try #require(Self.manager(address))
      manager.tell(.ready, .status("step 3/40"))
      manager.tell(.stopping)
      #expect(socket.next() == ["READY=1", "STATUS=step 3/40"])
      #expect(socket.next() == ["STOPPING=1"])
    }
  }

  @Test func aStatusCannotForgeAnotherWord() throws {
    let socket = try NotifySocket(at: "@massl-\(UUID())")
    Self.manager(socket.address)?.tell(.status("a worker\nMAINPID=1"))
    #expect(socket.next() == ["STATUS=a worker\\nMAINPID=1"])
  }

  @Test func whereNobodyListensThereIsNoManager() {
    #expect(ServiceManager(environment: [:]) { _ in } == nil)
    #expect(Self.manager("") == nil)
  }

  @Test func beatsComeAsOftenAsTheyAreWanted() throws {
    let socket = try NotifySocket(at: "@massl-\(UUID())")
    let often = try #require(Self.manager(socket.address, watchdog: "4", of: "\(getpid())"))
    for _ in 0..<3 {
      often.beat()
      #expect(socket.next() == ["WATCHDOG=1"])
      usleep(2)
    }
    // A quarter of an hour apart: the second comes too soon.
    let seldom = try #require(Self.manager(socket.address, watchdog: "3600000000"))
    for _ in 0..<2 { seldom.beat() }
    #expect(socket.next() == ["WATCHDOG=1"])
    seldom.tell(.ready)
    #expect(socket.next() == ["READY=1"])
  }

  @Test(arguments: [(nil, nil), ("0", nil), ("soon", nil), ("4", "1")])
  func beatsThatAreNotWantedDoNotCome(watchdog: String?, process: String?) throws {
    let socket = try NotifySocket(at: "@massl-\(UUID())")
    let manager = try #require(Self.manager(socket.address, watchdog: watchdog, of: process))
    manager.beat()
    manager.tell(.ready)
    #expect(socket.next() == ["READY=1"])
  }

  @Test(arguments: [
    ("/nowhere/at/all", "No such file"), ("vsock:2:1", "neither a path nor a name"),
    ("@" + String(repeating: "a", count: 200), "an address at most 107"),
  ])
  func whatCannotBeToldIsComplainedOfOnce(address: String, reason: String) throws {
    let complaints = Mutex<[String]>([])
    let manager = try #require(Self.manager(address) { text in complaints.withLock { $0.append(text) } })
    for _ in 0..<3 { manager.tell(.ready) }
    complaints.withLock { #expect($0.count == 1 && $0[0].contains(reason) && $0[0].contains(address), "\($0)") }
  }
}
