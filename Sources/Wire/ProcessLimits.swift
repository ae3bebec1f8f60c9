import Glibc
import Messages
import Threads

/// What the system lets this process have, which libzmq and Dispatch find out too late: they stop the program, or wait for
/// ever, where a thread or a descriptor cannot be had.
public enum ProcessLimits {
  /// Descriptors: files, connections and threads' wakers together.
  public static var descriptors: Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    return Int(clamping: limit.rlim_cur)
  }

  /// Connections that a process which listens may have, so that its own files always find a descriptor.
  public static var connections: Int { max(1, descriptors - WireLimits.reservedDescriptors) }

  /// - Parameters:
  ///   - needed: descriptors, without which the work cannot begin.
  ///   - use: what needs them, as the subject of a sentence.
  /// - Throws: `WireError.tooFewDescriptors`.
  public static func check(descriptors needed: Int, for use: String) throws(WireError) {
    let limit = descriptors
    guard limit >= needed else { throw .tooFewDescriptors(limit: limit, needed: needed, use: use) }
  }

  /// Tries whether so many threads more can be started, all at a time.
  /// - Throws: `WireError.tooFewThreads`.
  public static func check(threads count: Int) throws(WireError) {
    var gate = pthread_mutex_t()
    pthread_mutex_init(&gate, nil)
    defer { pthread_mutex_destroy(&gate) }
    var attributes = pthread_attr_t()
    pthread_attr_init(&attributes)
    defer { pthread_attr_destroy(&attributes) }
    // Libraries' thread-local memory comes out of it: OpenBLAS alone takes 60 KiB.
    pthread_attr_setstacksize(&attributes, 1 << 20)
    var threads: [pthread_t] = []
    var code: Int32 = 0
    withUnsafeMutablePointer(to: &gate) { gate in
      pthread_mutex_lock(gate)
      while threads.count < count, code == 0 {
        var thread = pthread_t()
        code = pthread_create(
          &thread, &attributes,
          { gate in
            let gate = gate!.assumingMemoryBound(to: pthread_mutex_t.self)
            pthread_mutex_lock(gate)
            pthread_mutex_unlock(gate)
            return nil
          }, gate)
        if code == 0 { threads.append(thread) }
      }
      pthread_mutex_unlock(gate)
      for thread in threads { pthread_join(thread, nil) }
    }
    guard code == 0 else { throw .tooFewThreads(TooFewThreads(needed: count, possible: threads.count, code: code)) }
  }

  /// Tries whether so many descriptors more can be had.
  /// - Throws: `WireError.tooFewDescriptors`.
  static func check(freeDescriptors count: Int, for use: String) throws(WireError) {
    var taken: [Int32] = []
    defer { for descriptor in taken { close(descriptor) } }
    while taken.count < count {
      let descriptor = open("/dev/null", O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        throw .tooFewDescriptors(limit: descriptors, needed: descriptors + count - taken.count, use: use)
      }
      taken.append(descriptor)
    }
  }
}
