import Printing

/// Which Debian package has a library.
public enum LibraryPackages {
  private static let packages = [
    "libopenblas.so.0": "libopenblas0", "libzmq.so.5": "libzmq5", "libprotobuf-c.so.1": "libprotobuf-c1",
    "libjpeg.so.62": "libjpeg62-turbo", "libpng16.so.16": "libpng16-16", "libz.so.1": "zlib1g",
    "libwebp.so.7": "libwebp7",
    "libxxhash.so.0": "libxxhash0", "libsodium.so.23": "libsodium23",
    "libgfortran.so.5": "libgfortran5", "libstdc++.so.6": "libstdc++6", "libgcc_s.so.1": "libgcc-s1",
  ]

  /// Paths of the libraries, in what `ldd` says, that lie where no package puts any.
  public static func unpackaged(in text: String) -> [String] {
    text.split(whereSeparator: \.isNewline).compactMap { line in
      let words = line.split(whereSeparator: \.isWhitespace)
      guard words.count >= 3, words[1] == "=>", words[2].hasPrefix("/") else { return nil }
      let path = String(words[2])
      return ["/lib", "/usr/lib"].contains { path.hasPrefix($0) } ? nil : path
    }
  }

  /// What to do about libraries that a machine lacks.
  static func advice(for libraries: [String]) -> String {
    let known = libraries.compactMap { packages[$0] }
    let unknown = libraries.filter { packages[$0] == nil }
    return (known.isEmpty ? [] : ["On Debian: apt-get install \(known.joined(separator: " "))."])
      .appending(unknown.isEmpty ? nil : "Find the packages that have \(unknown.joined(separator: ", ").printable).")
      .joined(separator: " ")
  }
}

extension [String] {
  fileprivate func appending(_ element: String?) -> [String] { self + (element.map { [$0] } ?? []) }
}
