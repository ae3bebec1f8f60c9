import Messages
import Testing
import Wire

/// Every field of every message of massl.proto, from bytes that no sender of ours makes.
@Suite("What is one beyond a field's bound is refused by the field's name; what is at it is taken")
struct FieldBoundsTests {
  let table: FieldRules

  init() throws { table = try FieldRules() }

  @Test func eachFieldOfTheProtocolHasALine() {
    let bodies = Set(table.schema.bodies)
    #expect(bodies.count > 30 && table.schema.paths.count > 150, "massl.proto was not read")
    #expect(table.schema.paths.filter { !bodies.contains($0) && table.rules[$0] == nil } == [])
    #expect(table.rules.keys.filter { table.schema.field($0) == nil } == [], "lines for fields that are gone")
  }

  @Test func eachMessageIsTakenAsTheTableHasIt() throws {
    for body in table.schema.bodies {
      let envelope = try Envelope(decoding: table.valid(body: body).encoded())
      #expect(try Envelope(decoding: envelope.encoded()) == envelope, "\(body)")
    }
    #expect(throws: WireError.noBody(peer: nil)) { try Envelope(decoding: table.valid(body: "none").encoded()) }
  }

  @Test func eachBoundHolds() {
    for row in table.rows {
      do throws(WireError) {
        _ = try Envelope(decoding: row.bytes)
        if row.says != nil { Issue.record("\(row.path) beyond its bound is taken: \(row.bytes.prefix(80))") }
      } catch {
        guard let says = row.says else {
          Issue.record("\(row.path) at its bound is refused: \(error)")
          continue
        }
        #expect(error.description.contains(says), "\(row.path)")
      }
    }
  }

  /// A field that no massl knows fills an envelope up.
  @Test func anEnvelopeHasABoundOfItsOwn() throws {
    var message = table.valid(body: "goodbye")
    // Number and length of the field take five bytes.
    let room = WireLimits.envelopeBytes - message.encoded().count - 5
    message.fields[999] = [.zeros(room)]
    #expect(message.encoded().count == WireLimits.envelopeBytes)
    _ = try Envelope(decoding: message.encoded())
    message.fields[999] = [.zeros(room + 1)]
    let bytes = message.encoded()
    #expect(throws: WireError.notAnEnvelope(peer: nil, bytes: bytes.count)) { try Envelope(decoding: bytes) }
  }
}
