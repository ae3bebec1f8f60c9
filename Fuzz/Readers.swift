import Checkpoints
import Configuration
import Durability
import Foundation
import Messages
import Numerics
import TestSupport
import Vision
import Wire

// What libFuzzer drives (`Scripts/fuzz`): the same readers as the seeded mutator of the tests has, one to a process, named
// by MASSL_FUZZ_READER. An error of the reader's own is a refusal; anything else ends the process, and libFuzzer keeps
// the input.

private let storage = SimulatedStorage()
private let reader = ProcessInfo.processInfo.environment["MASSL_FUZZ_READER"] ?? ""

private func readEnvelope(_ bytes: [UInt8]) throws {
  let envelope = try Envelope(decoding: bytes)
  let again = envelope.encoded()
  invariant(try Envelope(decoding: again, from: envelope.sender.peer).encoded() == again, "became another message")
}

private func readRecipe(_ bytes: [UInt8]) throws {
  let text = String(decoding: bytes, as: UTF8.self)
  let configuration = try RunConfiguration(layers: [ConfigurationLayer(recipe: text, file: "recipe")])
  let again = try ConfigurationLayer(recipe: configuration.yaml(), file: "recipe")
  invariant(try RunConfiguration(layers: [again]) == configuration, "became another configuration")
  _ = configuration.warnings()
  try configuration.check(pictures: 1000)
}

private func readPicture(_ bytes: [UInt8]) throws {
  let pixelLimit = 1 << 18
  let picture = try Picture(file: bytes, upright: true, pixelLimit: pixelLimit)
  invariant(picture.pixels.count == picture.width * picture.height * 3, "\(picture.width) x \(picture.height)")
  invariant(picture.width * picture.height <= pixelLimit, "\(picture.width) x \(picture.height)")
}

private func readTensors(_ bytes: [UInt8]) throws {
  let written = try storage.open("tensors", .replacing)
  try bytes.withUnsafeBytes { try written.write($0, at: 0) }
  try written.synchronize()
  let file = try SafetensorsFile("tensors", in: storage)
  for tensor in file.header.tensors {
    invariant(try file.floats(of: tensor.name).count == tensor.count, "another count than it says")
    _ = try file.digest(of: tensor.name)
  }
}

@_cdecl("LLVMFuzzerTestOneInput")
public func readOne(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  let bytes = Array(UnsafeBufferPointer(start: data, count: size))
  do {
    switch reader {
    case "envelopes": try readEnvelope(bytes)
    case "recipes": try readRecipe(bytes)
    case "pictures": try readPicture(bytes)
    case "safetensors": try readTensors(bytes)
    default: fatalError("MASSL_FUZZ_READER is envelopes, recipes, pictures or safetensors, not '\(reader)'")
    }
  } catch is WireError {
  } catch is ConfigurationError {
  } catch is VisionError {
  } catch is CheckpointError {
  } catch {
    fatalError("\(reader): \(error)")
  }
  return 0
}
