import Foundation
import TestSupport
import Testing

/// Real processes and sockets: whoever computes, and whoever is killed, the weights and the memory end the same.
@Suite(.serialized) struct SameBitsTests {
  @Test func digestsDoNotDependOnWorkersNorOnKills() throws {
    let workshop = try Workshop()
    let calm = try workshop.train("one", workers: 1)
    calm.waitUntilExit()
    #expect(calm.terminationStatus == 0)
    let expected = try workshop.digests("one")

    for workers in 2...3 {
      let run = try workshop.train("with-\(workers)", workers: workers)
      run.waitUntilExit()
      #expect(try workshop.digests("with-\(workers)") == expected)
    }

    // A worker is killed in the middle; train starts another.
    let bereft = try workshop.train("worker-killed", workers: 2)
    workshop.awaitCheckpoint("worker-killed", of: bereft)
    if let worker = workshop.processes("worker").first { kill(worker, SIGKILL) }
    bereft.waitUntilExit()
    #expect(try workshop.digests("worker-killed") == expected)

    // All of it is killed, and started again.
    let doomed = try workshop.train("all-killed", workers: 2)
    workshop.awaitCheckpoint("all-killed", of: doomed)
    kill(doomed.processIdentifier, SIGKILL)
    for word in ["coordinator", "worker"] {
      for process in workshop.processes(word) { kill(process, SIGKILL) }
    }
    doomed.waitUntilExit()
    let resumed = try workshop.train("all-killed", workers: 1)
    resumed.waitUntilExit()
    #expect(resumed.terminationStatus == 0)
    #expect(try workshop.digests("all-killed") == expected)
  }
}
