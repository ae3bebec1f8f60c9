internal import CZeroMQ
import Glibc
import Messages

/// How many connections a socket has, and what each may take of this process. `ConnectionTable` knows who speaks over them.
///
/// libzmq hands a message over when its last frame is here, and counts messages, not frames: one that never ends would
/// grow until the memory is full. So several times a second each connection's bytes, as the system counts them, are
/// compared with those of the messages that were handed over. What was left over at one look, while nothing of that
/// connection is handed over until the next though the socket was empty since, is part of an unfinished message. Whoever
/// has more of that than any message of ours is cut off. What came between the two looks says nothing: it may be whole
/// messages that nobody has read, for this thread may not have run.
///
/// Nor may libzmq stop reading, for that can end the process (`SocketHandle` has why). So whole messages that were not
/// handed over are counted in the same way, with the memory that frames of the size of those before take, and while there
/// is too much of them, who has the most is cut off.
///
/// Belongs to the thread that owns the socket.
struct ConnectionBounds {
  private struct Connection {
    /// The other side's, so that a descriptor that belongs to somebody else by now is not taken for this one.
    let address: String
    let openedAt: ContinuousClock.Instant
    /// Whether a message of massl's ever came over it.
    var isKnown = false
    /// Whether a message was handed over since the last look.
    var hasSpoken = false
    /// When that last was so.
    var spokeAt: ContinuousClock.Instant
    /// Bytes of the messages handed over since the last look, with what may be around them.
    var delivered = 0
    /// Bytes received at the last look.
    var received = 0
    /// Bytes received and not accounted for at the last look. A connection begins with a handshake.
    var open = -ConnectionBounds.handshakeBytes
    /// Those of them that libzmq had read.
    var unfinished = 0
    /// Bytes of frames handed over since the last look, as they came over the wire, and how many frames.
    var deliveredOnWire = 0
    var frames = 0
    /// Bytes received and not handed over at the last look, to the byte where the other side is libzmq, whole messages
    /// among them. What is lost to a rounding is made good when the socket is empty.
    var backlog = -ConnectionBounds.handshakeBytes
    /// Memory that a byte of its on the wire takes, from the frames that were handed over last.
    var weight = 1.0
    /// What its backlog takes.
    var backlogMemory: Int { Int(Double(max(0, backlog)) * weight) }
  }

  /// Between looks.
  private static let pause = Duration.milliseconds(100)
  /// The same while somebody's message is a large one.
  private static let shortPause = Duration.milliseconds(20)
  /// How long who never spoke keeps its place where others want one.
  private static let silence = Duration.seconds(2)
  /// Of the pings that other programs' libzmq may send, which are no messages: bytes a second, with some to spare.
  private static let pingBytes = 32
  /// Around a frame, encrypted, with some to spare.
  private static let frameOverhead = 64
  fileprivate static let handshakeBytes = 8192
  /// Without a message for so long a connection ends, and with it whatever such bytes may hide; it comes back by itself.
  private static let idle = Duration.seconds(3600)

  /// Connections at once.
  private let atMost: Int
  /// Memory for all backlogs.
  private let backlogAtMost: Int
  private var open: [Int32: Connection] = [:]
  /// When to look next.
  private(set) var nextLook: ContinuousClock.Instant
  private var lastLook: ContinuousClock.Instant
  /// Whether the socket was seen without messages since the last look.
  private var wasEmpty = false
  /// Messages handed over since the last look.
  private var messages = 0
  /// Whether what ended connections left has grown too much. Until it is gone nobody is let in, and it is to be thrown
  /// away.
  private var remains: ConnectionRemains
  private var listening = ListeningDescriptors()
  /// Connections that were cut off for what waited of theirs, or came while there was too much of others', until another
  /// one has their descriptor.
  private var silenced: Set<Int32> = []
  /// Whether there is memory to be given back once the socket is empty.
  private var owesMemory = false

  init(atMost: Int, backlogAtMost: Int, at now: ContinuousClock.Instant = .now) {
    self.atMost = atMost
    self.backlogAtMost = backlogAtMost
    remains = ConnectionRemains(backlogAtMost: backlogAtMost)
    nextLook = now + Self.pause
    lastLook = now
  }
}

// MARK: - What happens to them

extension ConnectionBounds {
  /// Newcomers come over this one.
  mutating func listens(at descriptor: Int32) { listening.add(descriptor) }

  /// A connection stands.
  /// - Returns: that there are too many, if so: one was cut off, who never spoke if there is such a one, else this.
  mutating func opened(_ descriptor: Int32, at now: ContinuousClock.Instant = .now) -> CutOff? {
    closed(descriptor)
    silenced.remove(descriptor)
    // It was on its way when nobody was to be let in any more. Ended connections may have had its descriptor.
    if remains.areTooMuch { silenced.insert(descriptor) }
    guard let address = Self.address(of: descriptor) else { return nil }
    open[descriptor] = Connection(address: address, openedAt: now, spokeAt: now)
    if remains.areTooMuch {
      cut(descriptor)
      return nil
    }
    guard open.count > atMost else { return nil }
    for other in Array(open.keys) where !isThere(other) { closed(other) }
    guard open.count > atMost else { return nil }
    let silent = open.filter { !$1.isKnown && now - $1.openedAt >= Self.silence }
    let victim = silent.min { $0.value.openedAt < $1.value.openedAt }?.key ?? descriptor
    cut(victim)
    return .tooMany(atMost: atMost)
  }

  mutating func closed(_ descriptor: Int32) {
    open[descriptor] = nil
  }

  /// A whole message of a connection was handed over.
  /// - Parameter isKnown: whether it comes from a peer of massl's.
  mutating func delivered(_ message: SocketHandle.Frames, isKnown: Bool) {
    messages += 1
    guard let index = open.index(forKey: message.descriptor) else { return }
    open.values[index].hasSpoken = true
    open.values[index].delivered += message.bytes + message.count * Self.frameOverhead
    open.values[index].deliveredOnWire += message.wireBytes
    open.values[index].frames += message.count
    if isKnown { open.values[index].isKnown = true }
  }

  /// Whether a message that came over a connection is to be thrown away unread.
  /// - Parameter stands: whether the connection does.
  mutating func throwsAway(_ descriptor: Int32, stands: Bool) -> Bool {
    guard silenced.contains(descriptor) || remains.areTooMuch && !stands else { return false }
    messages += 1
    remains.threwAway()
    return true
  }

  /// The socket has no message.
  mutating func wereEmptied() { wasEmpty = true }

  /// Ends a connection; what libzmq holds for it is freed soon. The other side may come back.
  /// - Returns: where it was connected from; nil if it does not stand.
  mutating func hangUp(on descriptor: Int32) -> String? {
    guard let address = open[descriptor]?.address, cut(descriptor) else { return nil }
    return address
  }

  /// Where a connection comes from.
  func address(of descriptor: Int32) -> String? { open[descriptor]?.address }

  /// Has both sides see an end, and throws away what is not read. A `shutdown` would not do: libzmq sees its end behind
  /// all that the other side goes on sending, and reads on.
  /// - Returns: false if the connection is closed already, and its descriptor another's.
  @discardableResult
  private mutating func cut(_ descriptor: Int32) -> Bool {
    let isStillThere = isThere(descriptor)
    if isStillThere {
      var nowhere = sockaddr()
      nowhere.sa_family = sa_family_t(AF_UNSPEC)
      connect(descriptor, &nowhere, socklen_t(MemoryLayout.size(ofValue: nowhere)))
    }
    closed(descriptor)
    return isStillThere
  }

  /// libzmq does not tell of connections that it closes by itself.
  private func isThere(_ descriptor: Int32) -> Bool {
    open[descriptor].map { $0.address == Self.address(of: descriptor) } ?? false
  }
}

// MARK: - Unfinished messages

extension ConnectionBounds {
  /// Looks at what came over each connection, if it is time.
  /// - Returns: who was cut off.
  mutating func look(at now: ContinuousClock.Instant = .now) -> [CutOff] {
    guard now >= nextLook else { return [] }
    // libzmq takes messages from its connections in turn: with so many every one that had a whole message gave one.
    let haveAllBeenAsked = wasEmpty || messages > 2 * open.count
    let isEmpty = wasEmpty
    (wasEmpty, messages) = (false, 0)
    let isOverrun = watchHeap(isEmpty, areAllAsked: haveAllBeenAsked, at: now)
    let pings = Int((now - lastLook) / .milliseconds(1)) * Self.pingBytes / 1000
    lastLook = now
    var suspects: [Suspect] = []
    var gone: [Int32] = []
    for (descriptor, var connection) in open {
      guard let received = Self.bytesReceived(on: descriptor) else {
        gone.append(descriptor)
        continue
      }
      // What was here at the last look is in libzmq's hands, and was not handed over since.
      if !connection.hasSpoken, haveAllBeenAsked, connection.unfinished > 0 {
        suspects.append(Suspect(descriptor: descriptor, bytes: connection.unfinished, spokeAt: connection.spokeAt))
      }
      if connection.hasSpoken { connection.spokeAt = now }
      if now - connection.spokeAt > Self.idle { gone.append(descriptor) }
      let more = received - connection.received - connection.delivered - pings
      connection.open = max(0, connection.open + more)
      connection.backlog += received - connection.received - connection.deliveredOnWire - pings
      connection.backlog = isEmpty ? connection.open : max(-Self.handshakeBytes, connection.backlog)
      if connection.deliveredOnWire > 0 {
        let memory = connection.deliveredOnWire + connection.frames * WireLimits.frameMemory
        connection.weight = Double(memory) / Double(connection.deliveredOnWire)
      }
      (connection.deliveredOnWire, connection.frames) = (0, 0)
      connection.received = received
      (connection.hasSpoken, connection.delivered) = (false, 0)
      connection.unfinished = connection.open
      if connection.open > WireLimits.bulkBytes { connection.unfinished -= Self.bytesWaiting(on: descriptor) }
      open[descriptor] = connection
    }
    for descriptor in gone { cut(descriptor) }
    nextLook = now + (open.values.contains { $0.unfinished > WireLimits.bulkBytes } ? Self.shortPause : Self.pause)
    return cutOff(suspects) + cutOffBacklogs(at: now) + (isOverrun ? [.overrun] : [])
  }

  private mutating func watchHeap(_ isEmpty: Bool, areAllAsked: Bool, at now: ContinuousClock.Instant) -> Bool {
    guard !isEmpty else {
      remains.wereEmptied()
      listening.setClosed(false)
      // Of millions of small messages malloc keeps all pages.
      if owesMemory { malloc_trim(0) }
      owesMemory = false
      return false
    }
    let wereTooMuch = remains.areTooMuch
    remains.look(heap: mallinfo2().uordblks, areAllAsked: areAllAsked, at: now)
    listening.setClosed(remains.areTooMuch)
    owesMemory = owesMemory || remains.areTooMuch
    return remains.areTooMuch && !wereTooMuch
  }

  /// Who has the most, while all have too much together.
  private mutating func cutOffBacklogs(at now: ContinuousClock.Instant) -> [CutOff] {
    let estimate = open.values.reduce(0) { $0 + $1.backlogMemory }
    if estimate > backlogAtMost / 4 { nextLook = now + Self.shortPause }
    guard estimate > backlogAtMost else { return [] }
    // What the system holds is bounded by itself.
    var memory = open.mapValues { $0.backlogMemory }
    for (descriptor, connection) in open where connection.backlogMemory > 0 {
      let waiting = Double(Self.bytesWaiting(on: descriptor)) * connection.weight
      memory[descriptor] = max(0, connection.backlogMemory - Int(waiting))
    }
    var total = memory.values.reduce(0, +)
    var cuts: [CutOff] = []
    for (descriptor, bytes) in memory.sorted(by: { $0.value > $1.value }) {
      guard total > backlogAtMost, let address = open[descriptor]?.address else { break }
      total -= bytes
      guard cut(descriptor) else { continue }
      silenced.insert(descriptor)
      owesMemory = true
      cuts.append(.backlog(from: address, bytes: bytes))
    }
    return cuts
  }

  /// A connection with an unfinished message.
  private struct Suspect {
    let descriptor: Int32
    /// Of that message, at the look before.
    let bytes: Int
    let spokeAt: ContinuousClock.Instant
  }

  /// Those that have too much each; then, while all have too much together, who has been at it for the longest.
  private mutating func cutOff(_ suspects: [Suspect]) -> [CutOff] {
    var oldestFirst = suspects.filter { open[$0.descriptor] != nil }.sorted { $0.spokeAt < $1.spokeAt }
    var total = oldestFirst.reduce(0) { $0 + $1.bytes }
    guard total > WireLimits.unfinishedMessageBytes else { return [] }
    var cuts: [CutOff] = []
    for limit in [WireLimits.unfinishedMessageBytes, 0] {
      oldestFirst.removeAll { suspect in
        guard suspect.bytes > limit, limit > 0 || total > WireLimits.unfinishedBytes else { return false }
        total -= suspect.bytes
        if let address = open[suspect.descriptor]?.address, cut(suspect.descriptor) {
          cuts.append(.endlessMessage(from: address, bytes: suspect.bytes))
        }
        owesMemory = true
        return true
      }
    }
    return cuts
  }
}

// MARK: - The system's view

extension ConnectionBounds {
  /// Address and port of the other side, as text; nil if there is none any more.
  private static func address(of descriptor: Int32) -> String? {
    var storage = sockaddr_storage()
    var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
    var host = [CChar](repeating: 0, count: 64)
    var port = [CChar](repeating: 0, count: 8)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        guard getpeername(descriptor, address, &size) == 0 else { return Int32(-1) }
        return getnameinfo(
          address, size, &host, socklen_t(host.count), &port, socklen_t(port.count), NI_NUMERICHOST | NI_NUMERICSERV)
      }
    }
    guard result == 0 else { return nil }
    func text(_ characters: [CChar]) -> String {
      String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    let name = text(host)
    return (name.contains(":") ? "[\(name)]:" : "\(name):") + text(port)
  }

  /// Since the connection began; nil if the system does not say.
  private static func bytesReceived(on descriptor: Int32) -> Int? {
    // Linux's tcp_info up to tcpi_bytes_received, which glibc's leaves out.
    let offset = 128
    var information = [UInt8](repeating: 0, count: offset + 8)
    var size = socklen_t(information.count)
    guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &information, &size) == 0, size >= information.count
    else { return nil }
    return information.withUnsafeBytes { Int($0.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
  }

  /// Of those, what libzmq has not read.
  private static func bytesWaiting(on descriptor: Int32) -> Int {
    var count: Int32 = 0
    return ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
  }
}
