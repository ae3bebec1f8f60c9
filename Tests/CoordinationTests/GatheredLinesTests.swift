import Coordination
import Foundation
import Testing

@Suite("A thousand lines of one kind are one line, and their count") struct GatheredLinesTests {
  @Test func theFirstIsSaidAndTheOthersAreCounted() {
    var lines = GatheredLines("leases were given back for now", every: .seconds(60))
    var said: [String] = []
    for number in 0..<800 {
      let time = Duration.milliseconds(10 * number)
      if let line = lines.note("Lease \(number): no rows.", number: UInt64(number), at: time) { said.append(line) }
      if let line = lines.rest(at: time) { said.append(line) }
    }
    #expect(said == ["Lease 0: no rows."])
    #expect(lines.rest(at: .seconds(59)) == nil)
    #expect(lines.rest(at: .seconds(60)) == "799 more leases were given back for now, numbers 1 to 799.")
    #expect(lines.rest(at: .seconds(200)) == nil)
    // That was a line too; the next one of its own comes a minute after it.
    #expect(lines.note("Lease 900: no rows.", number: 900, at: .seconds(119)) == nil)
    #expect(lines.note("Lease 901: no rows.", number: 901, at: .seconds(120)) == "Lease 901: no rows.")
  }
}

@Suite("Documents have all keys, null where nothing is known") struct DocumentTests {
  private func object(_ value: some Encodable) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: JSONEncoder().encode(value)) as? [String: Any])
  }

  @Test func status() throws {
    let status = Status(step: 1, lastStep: 2, phase: "computing", incarnation: 1, slices: 4, durableStep: nil)
    let found = try object(status)
    for key in ["durableStep", "checkpointInFlight", "memoryShards"] { #expect(found[key] is NSNull, "\(key)") }
    #expect(try JSONDecoder().decode(Status.self, from: JSONEncoder().encode(status)) == status)
    // An older coordinator leaves them out.
    let old = found.filter { !($0.value is NSNull) }
    #expect(try JSONDecoder().decode(Status.self, from: JSONSerialization.data(withJSONObject: old)) == status)
    let host = QuarantinedHost(host: "h", worker: "w", step: 1, firstSlice: 0, slices: 1)
    #expect(try object(host)["suspectSteps"] is NSNull)
  }
}
