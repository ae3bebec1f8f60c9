import Numerics
import Printing

/// What stands in a tar, one entry after the other: names, and where their bytes are.
///
/// Reads ustar, and what GNU tar and pax add to it for long names and large sizes. Contents are passed over, so a large
/// archive costs a read for each of its large entries. Nothing that it says is believed: sums, sizes and places are
/// checked against the file before they are used.
/// - Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"; GNU tar's manual, "Basic Tar Format".
struct TarWalk {
  struct Entry: Equatable {
    enum Kind: Equatable {
      case file
      case link
      /// With holes, whose bytes are not as they lie in the tar.
      case sparse
      /// Folders, devices, notes of the program that wrote the tar.
      case other
    }
    var name: [UInt8]
    var kind: Kind
    /// Where its bytes begin, a multiple of 512; its header is the block before.
    var offset: Int
    var size: Int
  }

  static let block = 512
  /// Bytes of a long name's or a pax header's entry: those of 4,096 bytes take few.
  private static let notesAtMost = 1 << 20

  private let path: String
  private let size: Int
  private let read: (_ offset: Int, _ count: Int) throws(VisionError) -> [UInt8]
  private var position = 0
  /// Bytes that were read together, from `windowStart` on.
  private var window: [UInt8] = []
  private var windowStart = 0
  /// Of the entry before: where entries are small, many are read together.
  private var lastSize = 0

  /// - Parameters:
  ///   - path: for people.
  ///   - size: of the whole file.
  ///   - read: gives that many bytes, which the file has.
  init(path: String, size: Int, read: @escaping (_ offset: Int, _ count: Int) throws(VisionError) -> [UInt8]) {
    (self.path, self.size, self.read) = (path, size, read)
  }

  /// The next entry; nil at the tar's end.
  /// - Throws: `VisionError.badTar`; what `read` throws.
  mutating func next() throws(VisionError) -> Entry? {
    var longName: [UInt8]?
    var pax = PaxRecords()
    while true {
      let start = position
      guard size - start >= Self.block else {
        throw bad(
          start == 0
            ? "it is no tar: it has \(size) bytes" : "it was cut short: it has no end, and stops at byte \(size)")
      }
      let bytes = try block(at: start)
      if bytes.allSatisfy({ $0 == 0 }) {
        // Two of them end a tar; some programs write one.
        let next = size - start >= 2 * Self.block ? try block(at: start + Self.block) : bytes
        guard next.allSatisfy({ $0 == 0 }) else {
          throw bad("it is damaged: at byte \(start) it ends, and goes on")
        }
        return nil
      }
      guard let header = TarHeader(bytes) else { throw try noHeader(at: start) }
      position = start + Self.block
      if header.type == "S" { try passOverHoles(bytes) }
      guard let said = pax.size ?? header.size else {
        throw bad("it is damaged: the entry at byte \(start) has no size")
      }
      // Nothing follows a symbolic link, a device, a folder or a pipe, whatever size it says: so does POSIX.
      let length = ["2", "3", "4", "5", "6"].contains(header.type) ? 0 : said
      let left = size - position
      guard length <= left else {
        throw bad(
          "it was cut short or is damaged: '\(String(printing: longName ?? header.name))' at byte \(start) takes "
            + "\(length) bytes, and \(left) are left")
      }
      let offset = position
      lastSize = length
      position += min(left, (length + Self.block - 1) / Self.block * Self.block)

      switch header.type {
      case "L":
        longName = try notes(at: offset, count: length).prefix { $0 != 0 }.map(\.self)
      case "x":
        guard pax.read(try notes(at: offset, count: length)) else {
          throw bad("it is damaged: the pax header at byte \(start) does not read")
        }
      case "K", "g":
        break
      default:
        let name = pax.name ?? longName ?? header.name
        guard name.count <= PicturePath.bytesAtMost else {
          throw bad("the entry at byte \(start) has a name of \(name.count) bytes, which no file has")
        }
        return Entry(name: name, kind: kind(header.type, name, pax), offset: offset, size: length)
      }
    }
  }

  private func kind(_ type: Unicode.Scalar, _ name: [UInt8], _ pax: PaxRecords) -> Entry.Kind {
    switch type {
    case "S": .sparse
    case "1", "2": .link
    // Of a time before folders had a type.
    case "0", "\0", "7": pax.isSparse ? .sparse : name.last == UInt8(ascii: "/") ? .other : .file
    default: .other
    }
  }

  private func bad(_ reason: String) -> VisionError { .badTar(path: path, reason: reason) }

  private mutating func noHeader(at start: Int) throws(VisionError) -> VisionError {
    guard start == 0 else {
      return bad("it is damaged: at byte \(start) there is no header of an entry, or its sum is wrong")
    }
    let bytes = try block(at: 0)
    let packers: [(String, [UInt8])] = [
      ("gzip", [0x1F, 0x8B]), ("bzip2", Array("BZh".utf8)), ("xz", [0xFD] + Array("7zXZ".utf8)),
      ("zstd", [0x28, 0xB5, 0x2F, 0xFD]),
    ]
    if let packer = packers.first(where: { bytes.starts(with: $0.1) })?.0 {
      return bad(
        "it is packed with \(packer). Unpack it to a plain tar: pictures are packed themselves, and are read where they lie"
      )
    }
    return bad("it is no tar" + (FileKind(of: Array(bytes)).map { ", but \($0.name)" } ?? ""))
  }

  /// GNU tar's list of a sparse file's holes goes on in further blocks, which the size does not count.
  private mutating func passOverHoles(_ header: ArraySlice<UInt8>) throws(VisionError) {
    var goesOn = header[header.startIndex + 482] != 0
    while goesOn {
      guard size - position >= Self.block else { throw bad("it was cut short: it stops at byte \(size)") }
      let more = try block(at: position)
      goesOn = more[more.startIndex + 504] != 0
      position += Self.block
    }
  }

  private func notes(at offset: Int, count: Int) throws(VisionError) -> [UInt8] {
    guard count <= Self.notesAtMost else { throw bad("it is damaged: a name at byte \(offset) takes \(count) bytes") }
    return try read(offset, count)
  }

  /// The 512 bytes from `offset` on, which the file has.
  private mutating func block(at offset: Int) throws(VisionError) -> ArraySlice<UInt8> {
    if offset < windowStart || offset + Self.block > windowStart + window.count {
      let wanted = lastSize < 1 << 16 ? 1 << 16 : 4096
      window = try read(offset, min(wanted, size - offset))
      windowStart = offset
    }
    let start = offset - windowStart
    return window[start..<start + Self.block]
  }

  /// The bytes of a small entry, usually ones that were read already.
  mutating func contents(_ entry: Entry) throws(VisionError) -> [UInt8] {
    let start = entry.offset - windowStart
    guard start >= 0, start + entry.size <= window.count else { return try read(entry.offset, entry.size) }
    return Array(window[start..<start + entry.size])
  }
}

/// The block of 512 bytes before an entry's own.
struct TarHeader {
  let type: Unicode.Scalar
  let name: [UInt8]
  /// Nil if it is no number, below 0 or beyond all that is.
  let size: Int?

  /// Nil unless the block's sum is right.
  init?(_ block: ArraySlice<UInt8>) {
    invariant(block.count == TarWalk.block)
    let base = block.startIndex
    func field(_ offset: Int, _ count: Int) -> ArraySlice<UInt8> { block[base + offset..<base + offset + count] }
    // The sum counts its own field as spaces.
    let sum = block.reduce(0) { $0 + Int($1) } - field(148, 8).reduce(0) { $0 + Int($1) } + 8 * 32
    guard Self.number(field(148, 8)) == sum else { return nil }
    type = Unicode.Scalar(block[base + 156])
    var name = Array(field(0, 100).prefix { $0 != 0 })
    // In GNU tar's own format other things stand where POSIX has the beginning of a long name.
    if field(257, 6).elementsEqual(Array("ustar".utf8) + [0]) {
      let prefix = field(345, 155).prefix { $0 != 0 }
      if !prefix.isEmpty { name = Array(prefix) + [UInt8(ascii: "/")] + name }
    }
    self.name = name
    size = Self.number(field(124, 12))
  }

  /// Of a plain file, by the three letters that tars have for one.
  var isFile: Bool { ["0", "\0", "7"].contains(type) }

  /// Octal digits, or with the highest bit set a number of the bytes themselves.
  private static func number(_ field: ArraySlice<UInt8>) -> Int? {
    guard let first = field.first else { return nil }
    if first & 0x80 != 0 {
      var number = Int(first & 0x7F)
      for byte in field.dropFirst() {
        guard number <= Int.max >> 9 else { return nil }
        number = number << 8 | Int(byte)
      }
      return number
    }
    let digits = field.drop { $0 == UInt8(ascii: " ") }.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
    var number = 0
    for digit in digits {
      guard UInt8(ascii: "0")...UInt8(ascii: "7") ~= digit else { return nil }
      number = number << 3 | Int(digit - UInt8(ascii: "0"))
    }
    return number
  }
}

/// What a pax header says of the entry after it.
struct PaxRecords {
  private(set) var name: [UInt8]?
  private(set) var size: Int?
  private(set) var isSparse = false

  /// Reads records of the form "length key=value\n", whose length counts all of it.
  /// - Returns: false if they are none.
  mutating func read(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty, rest.first != 0 {
      let digits = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
      guard digits.count < 10, let length = Int(String(decoding: digits, as: UTF8.self)), length <= rest.count,
        length > digits.count + 2, rest[rest.startIndex + digits.count] == UInt8(ascii: " "),
        rest[rest.startIndex + length - 1] == UInt8(ascii: "\n")
      else { return false }
      let record = rest.prefix(length - 1).dropFirst(digits.count + 1)
      guard let equals = record.firstIndex(of: UInt8(ascii: "=")) else { return false }
      let value = record[(equals + 1)...]
      switch String(decoding: record[..<equals], as: UTF8.self) {
      case "path": name = Array(value)
      case "size":
        guard value.count < 19, let number = Int(String(decoding: value, as: UTF8.self)), number >= 0 else {
          return false
        }
        size = number
      case let key where key.hasPrefix("GNU.sparse."):
        isSparse = true
        if key == "GNU.sparse.name" { name = Array(value) }
      default: break
      }
      rest = rest.dropFirst(length)
    }
    return true
  }
}
