/// Foreign bytes made from real ones: a seed picks an input of the corpus and what happens to it.
///
/// Bits and bytes change, ranges are cut out, repeated or swapped, numbers become interesting ones (of two, four or eight
/// bytes, or in decimal), pieces of text that parsers stumble over come in, and two inputs are spliced.
public struct Mutator: Sendable {
  /// Real inputs, none empty.
  private let corpus: [[UInt8]]

  /// No input grows past this: what a loop of doublings would make is no longer like a real one.
  private static let countAtMost = 1 << 16

  public init(corpus: [[UInt8]]) {
    precondition(!corpus.isEmpty && corpus.allSatisfy { !$0.isEmpty })
    self.corpus = corpus
  }

  /// The input that `random` leads to; one in 64 is as it was.
  public func input(_ random: inout SplitMix64) -> [UInt8] {
    var bytes = corpus[random.below(corpus.count)]
    if random.below(64) == 0 { return bytes }
    repeat { change(&bytes, &random) } while random.below(3) != 0
    return Array(bytes.prefix(Self.countAtMost))
  }

  private func change(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    guard !bytes.isEmpty else {
      bytes = corpus[random.below(corpus.count)]
      return
    }
    let place = random.below(bytes.count)
    switch random.below(12) {
    case 0, 1: bytes[place] ^= 1 << UInt8(random.below(8))
    case 2: bytes[place] = UInt8(random.below(256))
    case 3: bytes.removeLast(bytes.count - place)
    case 4: bytes.removeSubrange(random.range(in: bytes.count))
    case 5: repeatRange(&bytes, &random)
    case 6: swapRanges(&bytes, &random)
    case 7, 8: writeNumber(&bytes, at: place, &random)
    case 9: writeDecimal(&bytes, at: place, &random)
    case 10: insertText(&bytes, at: place, &random)
    default:
      let other = corpus[random.below(corpus.count)]
      bytes = bytes.prefix(place) + other.suffix(random.below(other.count + 1))
    }
  }

  private func repeatRange(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    let range = random.range(in: bytes.count)
    let copies = min(1 << random.below(9), Self.countAtMost / max(1, range.count))
    let repeated = [[UInt8]](repeating: Array(bytes[range]), count: copies).joined()
    bytes.insert(contentsOf: repeated, at: random.below(bytes.count + 1))
  }

  private func swapRanges(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
    let cuts = (0..<3).map { _ in random.below(bytes.count + 1) }.sorted()
    bytes = Array(bytes[..<cuts[0]] + bytes[cuts[1]..<cuts[2]] + bytes[cuts[0]..<cuts[1]] + bytes[cuts[2]...])
  }

  /// Over what is there, as machines write it, low or high byte first.
  private func writeNumber(_ bytes: inout [UInt8], at place: Int, _ random: inout SplitMix64) {
    let numbers: [UInt64] = [
      0, 1, 2, 7, 8, 63, 64, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 1 << 20, (1 << 31) - 1, 1 << 31,
      (1 << 32) - 1, 1 << 32, 1 << 48, (1 << 63) - 1, 1 << 63, .max, .max - 7,
    ]
    let count = 1 << random.below(4)
    var digits = (0..<count).map { [number = numbers[random.below(numbers.count)]] in
      UInt8(truncatingIfNeeded: number >> (8 * UInt64($0)))
    }
    if random.below(2) == 0 { digits.reverse() }
    bytes.replaceSubrange(place..<min(bytes.count, place + count), with: digits)
  }

  /// Over the first number in decimal from `place` on, or there if there is none.
  private func writeDecimal(_ bytes: inout [UInt8], at place: Int, _ random: inout SplitMix64) {
    let numbers = [
      "0", "-0", "1", "-1", "3", "255", "65536", "16777216", "281474976710656", "1099511627776", "2147483648",
      "4294967295", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615",
      "18446744073709551616", "1e-6", "1e18", "1e19", "1e308", "-1e308", "1e309", "1e999999999", "5e-324", "0.1", "nan",
      "NaN", ".nan", "inf", "-Infinity", ".inf", "0x1p63", "1_000", "null", "true", "\"1\"", "",
    ]
    let isDigit = { (byte: UInt8) in UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
    let start = bytes[place...].firstIndex(where: isDigit) ?? place
    let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
    bytes.replaceSubrange(start..<end, with: Array(numbers[random.below(numbers.count)].utf8))
  }

  private func insertText(_ bytes: inout [UInt8], at place: Int, _ random: inout SplitMix64) {
    let texts = [
      "[", "]", "{", "}", "\"", "'", "\\", ":", ": ", ",", "\n", "\r\n", "- ", "? ", "#", "&a ", "*a ", "&a [*a,*a]",
      "!!", "!<x> ", "%YAML 9.9\n", "---\n", "...\n", "|\n", ">\n", "<<: ", "\0", "\u{FEFF}", "\u{2028}", "é",
      "e\u{301}", "\\u0000", "\\ud800", "\"a\":", "{\"a\":[", " ", "\t", "\u{7F}", "\u{FF}",
    ]
    let text = Array(texts[random.below(texts.count)].utf8)
    let copies = random.below(4) == 0 ? 1 << random.below(13) : 1
    bytes.insert(contentsOf: [[UInt8]](repeating: text, count: copies).joined(), at: place)
  }
}

extension SplitMix64 {
  /// Uniform in `0 ..< bound`.
  public mutating func below(_ bound: Int) -> Int { Int(next(below: UInt64(bound))) }

  /// Of indices below `count`, at least one; short ones are as frequent as long ones.
  fileprivate mutating func range(in count: Int) -> Range<Int> {
    let start = below(count)
    let length = min(count - start, 1 + below(1 << below(16)))
    return start..<(start + length)
  }
}
