extension String {
  /// As one word of a shell's command line, whatever is in it: `runs/first`, `'my run'`.
  public var shellWord: String {
    func isPlain(_ byte: UInt8) -> Bool {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
      case UInt8(ascii: "0")...UInt8(ascii: "9"): true
      default: "/._-+=:,@%".utf8.contains(byte)
      }
    }
    if !isEmpty, utf8.allSatisfy(isPlain) { return self }
    return "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
