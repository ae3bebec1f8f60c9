import Glibc

/// Standard input, output and error, as they must be before any other file is opened.
enum StandardDescriptors {
  /// Gives each that is closed something to fail on. Left closed, its number would go to the next file or socket, and
  /// results, or a log, into that.
  static func fill() {
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
      // The least number that is free is this one. Opened the wrong way round, so that its use is an error still.
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
  }
}
