import Foundation
import TestSupport
import Testing

@Suite("A run is shown in a browser, and does not notice", .ownThreads)
struct PageTests {
  private let shop: Workshop

  init() throws { shop = try Workshop() }

  /// Starts a page of a folder in which no run is yet, and ends it afterwards.
  private func withPage(_ body: (_ port: Int) throws -> Void) throws {
    _ = try shop.folder("none")
    let (process, port) = try shop.page("none")
    defer {
      process.terminate()
      process.waitUntilExit()
    }
    try body(port)
    #expect(process.isRunning)
  }

  private func answer(_ path: String, _ port: Int, headers: String = "") throws -> PageAnswer {
    try #require(PageAnswer(path, port: port, headers: headers))
  }

  @Test func aRunThatIsDoneIsShownAsStatusSaysIt() throws {
    #expect(try shop.train("done", workers: 1).exit(within: 600) == 0)
    let (process, port) = try shop.page("done")
    defer { process.terminate() }
    let status = try Program.run(["status", "--run", shop.run("done"), "--json"], limit: 600)
    #expect(eventually(within: 600) { PageAnswer("/api/status", port: port)?.status == 200 })
    #expect(try answer("/api/status", port).body == status.output)
    let health = try answer("/healthz", port)
    #expect(health.status == 200)
    #expect(health.body == "finished: All 30 steps are done.\n")
    let metrics = try answer("/metrics", port).body
    #expect(metrics.contains("\nmassl_step 30\n"))
    #expect(metrics.contains("\nmassl_slices_waiting 0\n"))
  }

  @Test func thePageIsOneFileThatLoadsNothingFromElsewhere() throws {
    try withPage { port in
      let page = try answer("/", port)
      #expect(page.head.contains("Content-Security-Policy: default-src 'none'; script-src 'nonce-"))
      #expect(!page.body.contains("NONCE"))
      for mark in ["src=\"", "@import", "url(", "<link rel=\"stylesheet\""] { #expect(!page.body.contains(mark)) }
      let health = try answer("/healthz", port)
      #expect(health.status == 503)
      #expect(health.body.hasPrefix("absent: No run yet"))
    }
  }

  @Test func aThousandIdleConnectionsKeepNobodyOut() throws {
    try withPage { port in
      var idle: [PageClient] = []
      for _ in 0..<1000 { idle.append(try PageClient(port: port)) }
      #expect(try answer("/metrics", port).status == 200)
      // The first gave way.
      #expect(idle[0].receiveAll() == "")
      #expect(idle.count == 1000)
    }
  }

  @Test func aSlowRequestDelaysNobodyAndEnds() throws {
    try withPage { port in
      let slow = try PageClient(port: port)
      slow.send("GET / HTTP/1.1\r\nHost: local")
      #expect(try answer("/metrics", port).status == 200)
      #expect(PageAnswer(received: slow.receiveAll())?.status == 408)
    }
  }

  @Test func oversizedRequestsAreRefusedWhileOthersAreServed() throws {
    try withPage { port in
      let large = try PageClient(port: port)
      large.send("GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 9000))
      let long = try PageClient(port: port)
      long.send("POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
      #expect(try answer("/metrics", port).status == 200)
      #expect(PageAnswer(received: large.receiveAll())?.status == 431)
      #expect(PageAnswer(received: long.receiveAll())?.status == 413)
    }
  }

  @Test func aFloodIsServedAndSoIsWhoComesBetween() throws {
    try withPage { port in
      let flood = try (0..<20).map { _ in try PageClient(port: port) }
      // None of them reads what it asked for.
      let asked = String(repeating: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", count: 500)
      for client in flood { client.send(asked) }
      for _ in 0..<20 { #expect(try answer("/metrics", port).status == 200) }
      #expect(flood.count == 20)
    }
  }

  @Test func onlyThisMachinesNamesAreAnsweredOnLoopback() throws {
    try withPage { port in
      let client = try PageClient(port: port)
      client.send("GET / HTTP/1.1\r\nHost: rebound.example:\(port)\r\nConnection: close\r\n\r\n")
      #expect(PageAnswer(received: client.receiveAll())?.status == 421)
      #expect(try #require(PageAnswer("/api/run", port: port, method: "DELETE")).status == 405)
      #expect(try answer("/../etc/passwd", port).status == 404)
    }
  }

  @Test func theTokenIsAskedForAndNeverPrinted() throws {
    let (file, log) = (shop.folder + "/page.token", shop.folder + "/token.log")
    let secret = "correct-horse-battery"
    try Data("\(secret)\n".utf8).write(to: URL(fileURLWithPath: file))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
    let process = try Program.start(
      ["page", "--run", shop.data, "--listen", "0.0.0.0:0", "--token-file", file], log: log)
    defer { process.terminate() }
    let port = try Workshop.port(in: log, of: process)
    #expect(try answer("/api/run", port).status == 401)
    #expect(try answer("/?token=\(secret)", port).status == 400)
    #expect(try answer("/api/run", port, headers: "Authorization: Bearer \(secret)\r\n").status == 200)
    let login = try #require(PageAnswer("/login", port: port, method: "POST", form: "token=\(secret)"))
    #expect(login.status == 303)
    let cookie = try #require(login.head.components(separatedBy: "Set-Cookie: ").last?.prefix { $0 != ";" })
    #expect(try answer("/", port, headers: "Cookie: \(cookie)\r\n").status == 200)
    for _ in 0..<20 { _ = PageAnswer("/login", port: port, method: "POST", form: "token=guess") }
    #expect(try answer("/api/run", port, headers: "Authorization: Bearer guess\r\n").status == 429)
    #expect(try !String(contentsOfFile: log, encoding: .utf8).contains(secret))
  }

  @Test func whatCannotBeShownIsSaid() throws {
    let open = shop.folder + "/open.token"
    try Data("correct-horse-battery\n".utf8).write(to: URL(fileURLWithPath: open))
    try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: open)
    func refusal(_ arguments: [String]) throws -> (status: Int32, errors: String) {
      let ended = try Program.run(["page"] + arguments, limit: 600)
      return (ended.status, ended.errors)
    }
    let readable = try refusal(["--run", shop.data, "--token-file", open])
    #expect(readable.status == 64)
    #expect(readable.errors.contains("chmod 600"))
    let naked = try refusal(["--run", shop.data, "--listen", "0.0.0.0:0"])
    #expect(naked.status == 64)
    #expect(naked.errors.contains("Give --token-file"))
    #expect(try refusal(["--run", shop.run("nowhere")]).errors.contains("There is no folder"))
    #expect(try refusal(["--run", shop.data, "--listen", "here"]).errors.contains("Write it as HOST:PORT"))
    try withPage { port in
      let taken = try refusal(["--run", shop.data, "--listen", "127.0.0.1:\(port)"])
      #expect(taken.status == 75)
      #expect(taken.errors.contains("Port \(port) of 127.0.0.1 is in use"))
    }
  }

  @Test func metricsThatWereCutShortAreShownUpToThere() throws {
    #expect(try shop.train("torn", workers: 1).exit(within: 600) == 0)
    let path = shop.run("torn") + "/metrics.jsonl"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let older = "{\"step\":31,\"loss\":1.5,\"lr\":0.5,\"images_per_second\":9.0,\"time\":1600000000}\n"
    try Data((text.dropLast(200) + "\n" + older + "{\"step\":32,\"lo").utf8).write(to: URL(fileURLWithPath: path))
    let (process, port) = try shop.page("torn")
    defer { process.terminate() }
    let history = try answer("/api/history", port).body
    let object = try #require(try JSONSerialization.jsonObject(with: Data(history.utf8)) as? [String: Any])
    #expect(object["first_step"] as? [Int] == Array(1...29) + [31])
    #expect(object["unreadable_lines"] as? Int == 1)
  }

  @Test func aRunDoesNotNoticeItsPagesEnd() throws {
    let log = shop.folder + "/train.log"
    // Too many steps for it to be done before this test is.
    let process = try Program.start(
      shop.arguments("watched") + ["--max-steps", "1000000", "--page", "127.0.0.1:0"], log: log)
    defer { process.terminate() }
    let port = try Workshop.port(in: log, of: process)
    #expect(eventually(within: 600) { PageAnswer("/metrics", port: port)?.body.contains("\nmassl_up 1\n") == true })
    let page = try #require(shop.processes("page").first)

    // The coordinator is killed: the page stays, and hears the next one.
    for coordinator in shop.processes("coordinator") { kill(coordinator, SIGKILL) }
    #expect(
      eventually(within: 600) { PageAnswer("/metrics", port: port)?.body.contains("\nmassl_incarnation 2\n") == true })
    #expect(shop.processes("page") == [page])

    // The page is killed: the run goes on, and another page comes.
    kill(page, SIGKILL)
    let second = try Workshop.port(in: log, of: process, otherThan: port)
    #expect(eventually(within: 600) { PageAnswer("/metrics", port: second)?.body.contains("\nmassl_up 1\n") == true })
    #expect(try answer("/metrics", second).body.contains("\nmassl_incarnation 2\n"))

    process.terminate()
    #expect(try process.exit(within: 600) == 0)
    #expect(eventually(within: 600) { shop.processes("page").isEmpty })
  }

  @Test func aCoordinatorWithKeysLetsItsOwnPageIn() throws {
    for name in ["coordinator", "worker"] {
      #expect(try Program.run(["keygen", "--out", shop.folder + "/\(name).key"]).status == 0)
    }
    let text = try String(contentsOfFile: shop.folder + "/worker.key", encoding: .utf8)
    let key = try #require(text.components(separatedBy: "\n").first { $0.hasPrefix("public ") }?.dropFirst(7))
    try Data("\(key)\n".utf8).write(to: URL(fileURLWithPath: shop.folder + "/allowed.txt"))
    let log = shop.folder + "/coordinator.log"
    let process = try Program.start(
      shop.coordinator("keyed", "tcp://127.0.0.1:0") + [
        "--key", shop.folder + "/coordinator.key", "--allowed-keys", shop.folder + "/allowed.txt", "--page",
        "127.0.0.1:0",
      ], log: log)
    defer { process.terminate() }
    let port = try Workshop.port(in: log, of: process)
    #expect(eventually(within: 600) { PageAnswer("/metrics", port: port)?.body.contains("\nmassl_up 1\n") == true })
    #expect(try answer("/healthz", port).body == "stalled: Step 1 waits for workers: none is connected.\n")
  }
}
