import Numerics

/// A sealed JSON file's bytes with the digest that they should have, as somebody would who wants to be believed; what has
/// no room for one stays as it is.
public func sealed(_ bytes: [UInt8]) -> [UInt8] {
  let (opening, closing) = ("{\n  \"digest\" : \"", "\",\n")
  let start = opening.utf8.count + 32 + closing.utf8.count
  guard bytes.count > start else { return bytes }
  let rest = bytes[start...]
  return Array("\(opening)\(Digest(of: rest))\(closing)".utf8) + rest
}
