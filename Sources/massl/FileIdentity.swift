import Glibc

/// Which file a path names, and when it was last written: one that was put in another's place differs.
struct FileIdentity: Equatable {
  private let device: UInt
  private let inode: UInt
  private let seconds: Int
  private let nanoseconds: Int

  /// Nil if there is none.
  init?(_ path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    (device, inode) = (status.st_dev, status.st_ino)
    (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
  }
}
