// Files whole: read by a path of bytes, for names on disk need not be text.

import Glibc
import Printing

/// - Parameters:
///   - size: what the file must hold.
///   - limit: no more bytes than these are read.
func readFile(_ path: [UInt8], size: Int, atMost limit: Int) throws(VisionError) -> [UInt8] {
  let name = String(printing: path)
  let descriptor = open(path.map(CChar.init(bitPattern:)) + [0], O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { throw unreadable(name) }
  defer { close(descriptor) }
  var status = stat()
  guard fstat(descriptor, &status) == 0 else { throw unreadable(name) }
  guard Int(status.st_size) == size else { throw .changed(path: name, listed: size, found: Int(status.st_size)) }
  let wanted = min(size, limit)
  // An array of capacity 0 is one that all threads share, and the initializer below writes its count.
  guard wanted > 0 else { return [] }
  var failure: VisionError?
  let bytes = [UInt8](unsafeUninitializedCapacity: wanted) { memory, count in
    while count < wanted {
      let step = Glibc.read(descriptor, memory.baseAddress! + count, wanted - count)
      if step > 0 {
        count += step
      } else if step == 0 {
        failure = .changed(path: name, listed: size, found: count)
        return
      } else if errno != EINTR {
        failure = unreadable(name)
        return
      }
    }
  }
  if let failure { throw failure }
  return bytes
}

/// Why the last failed call could not read a file.
func unreadable(_ path: String) -> VisionError { VisionError(reading: path, code: errno) }

extension VisionError {
  /// Why a file could not be read: the file's fault, or the process's.
  /// - Parameter code: an errno.
  package init(reading path: String, code: CInt) {
    let reason = String(cString: strerror(code))
    self =
      switch code {
      case EMFILE, ENFILE, ENOMEM, ENOBUFS, EAGAIN: .noResources(path: path, reason: reason)
      default: .unreadable(path: path, reason: reason)
      }
  }
}

func writeFile(_ path: String, _ bytes: [UInt8]) throws(VisionError) {
  let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
  guard descriptor >= 0 else { throw .notWritable(path: path, reason: errnoText()) }
  var done = 0
  while done < bytes.count {
    let step = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
    if step > 0 {
      done += step
    } else if errno != EINTR {
      let reason = errnoText()
      close(descriptor)
      throw .notWritable(path: path, reason: reason)
    }
  }
  guard close(descriptor) == 0 else { throw .notWritable(path: path, reason: errnoText()) }
}

/// What the last failed call has to say.
func errnoText() -> String { String(cString: strerror(errno)) }
