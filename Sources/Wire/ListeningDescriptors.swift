import Glibc

/// The descriptors at which a socket listens, which can be closed to newcomers for a while.
///
/// libzmq takes connections as fast as they come, and what they bring. Would it listen no more, it would end those that
/// stand. So the system drops what comes to the listening descriptors themselves: who wants to connect tries again after a
/// second, by itself, and who is connected notices nothing.
struct ListeningDescriptors {
  private var descriptors: [Int32] = []
  private var areClosed = false

  mutating func add(_ descriptor: Int32) { descriptors.append(descriptor) }

  mutating func setClosed(_ isClosed: Bool) {
    guard isClosed != areClosed else { return }
    areClosed = isClosed
    for descriptor in descriptors { Self.set(isClosed, descriptor) }
  }

  private static func set(_ isClosed: Bool, _ descriptor: Int32) {
    // Linux's sock_filter and sock_fprog, which glibc leaves out: one instruction, to take nothing of a packet.
    struct Instruction { var code: UInt16 = 0x06, ifTrue: UInt8 = 0, ifFalse: UInt8 = 0, operand: UInt32 = 0 }
    struct Program { var count: UInt16, instructions: UnsafeMutablePointer<Instruction>? }
    var instruction = Instruction()
    withUnsafeMutablePointer(to: &instruction) { instruction in
      var program = Program(count: 1, instructions: instruction)
      setsockopt(
        descriptor, SOL_SOCKET, isClosed ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program,
        socklen_t(MemoryLayout.size(ofValue: program)))
    }
  }
}
