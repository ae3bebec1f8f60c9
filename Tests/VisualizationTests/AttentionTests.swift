import Checkpoints
import Configuration
import Drawing
import Durability
import Evaluation
import Foundation
import Networks
import Numerics
import TestSupport
import Testing
import Vision
import Visualization

@Suite struct AttentionTests {
  private static let side = 32
  private static let width = 16

  /// A network of one block whose first head attends from every token that carries the class token's mark to the one
  /// patch that carries another; its second head sees nothing, and attends to all alike.
  /// - Parameter patch: counted row by row, of 16.
  private func network(in folder: String, lookingAt patch: Int, meanPooling: Bool = false, registers: Int = 0) throws
    -> FrozenNetwork
  {
    let architecture = try NetworkArchitecture(
      imageSize: Self.side, patchSize: 8, embedDim: Self.width, depth: 1, numHeads: 2, headHiddenDim: 4,
      bottleneckDim: 4, useMeanPooling: meanPooling, registers: registers)
    let layout = ParameterLayout(architecture)
    let parameters = FloatBuffer(count: layout.count)
    func set(_ tensor: String, _ index: Int, _ value: Float) throws {
      let range = try #require(layout["backbone.\(tensor)"]?.range)
      parameters[range.lowerBound + index] = value
    }
    for norm in ["blocks.0.norm1", "blocks.0.norm2", meanPooling ? "fc_norm" : "norm"] {
      for index in 0..<Self.width { try set("\(norm).weight", index, 1) }
    }
    // The class token is marked in its first number, the patch in its second; every token asks, if means are taken.
    try set("cls_token", 0, 10)
    try set("pos_embed", (1 + patch) * Self.width + 1, 10)
    if meanPooling { try set("blocks.0.attn.qkv.bias", 0, 4) } else { try set("blocks.0.attn.qkv.weight", 0, 1) }
    try set("blocks.0.attn.qkv.weight", Self.width * Self.width + 1, 1)
    let path = folder + "/w.safetensors"
    let entries = layout.tensors.filter { $0.name.hasPrefix("backbone.") }.map { TensorEntry($0) }
    try SafetensorsFile.write([TensorGroup(buffer: parameters, entries: entries)], to: path, in: FileStorage())
    return try FrozenNetwork(NetworkFile(path, given: [("num-heads", "2")]))
  }

  private var picture: Picture {
    Picture(width: 40, height: 32, pixels: (0..<40 * 32 * 3).map { UInt8(truncatingIfNeeded: $0 &* 7) })
  }

  @Test(arguments: [0, 6, 15]) func aHeadsPatchIsWhereItLooks(patch: Int) throws {
    try withTemporaryDirectory { folder in
      var reader = try AttentionReader(network(in: folder, lookingAt: patch), side: Self.side)
      let (square, attention) = try reader.read(picture, named: "a")
      #expect(square.width == 32 && attention.query == .classToken && attention.heads.count == 2)
      let first = attention.heads[0]
      #expect(first.columns == 4 && first.rows == 4 && first.values[patch] > 0.8, "\(first.values)")
      // 16 patches and the class token share alike.
      #expect(attention.heads[1].values.allSatisfy { abs($0 - 1.0 / 17) < 1e-6 })
      for place in 0..<16 {
        let mean = (first.values[place] + attention.heads[1].values[place]) / 2
        #expect(abs(attention.mean.values[place] - mean) < 1e-6)
      }
      let chosen = first.mass(0.6).values
      #expect(chosen.indices.filter { chosen[$0] > 0 } == [patch])
    }
  }

  @Test func withMeanPoolingItIsAllPatchesMean() throws {
    try withTemporaryDirectory { folder in
      var reader = try AttentionReader(network(in: folder, lookingAt: 9, meanPooling: true), side: Self.side)
      let attention = try reader.read(picture, named: "a").attention
      #expect(attention.query == .meanOfPatches)
      #expect(attention.heads[0].values[9] > 0.8, "\(attention.heads[0].values)")
      #expect(attention.heads[1].values.allSatisfy { abs($0 - 1.0 / 17) < 1e-6 })
    }
  }

  /// They take their share, and are no part of the picture.
  @Test(arguments: [false, true]) func registersAreLeftOut(meanPooling: Bool) throws {
    try withTemporaryDirectory { folder in
      let network = try network(in: folder, lookingAt: 9, meanPooling: meanPooling, registers: 4)
      var reader = try AttentionReader(network, side: Self.side)
      let attention = try reader.read(picture, named: "a").attention
      #expect(attention.heads[0].values[9] > 0.8, "\(attention.heads[0].values)")
      #expect(attention.heads[1].values.count == 16)
      #expect(attention.heads[1].values.allSatisfy { abs($0 - 1.0 / 21) < 1e-6 })
    }
  }

  @Test func anotherSideIsInterpolatedAndAnUnevenOneRefused() throws {
    try withTemporaryDirectory { folder in
      let network = try network(in: folder, lookingAt: 6)
      var reader = try AttentionReader(network, side: 64)
      let attention = try reader.read(picture, named: "a").attention
      #expect(attention.heads[0].columns == 8)
      // Row 1, column 2 of 4 is rows 2 and 3, columns 4 and 5 of 8.
      let values = attention.heads[0].values
      let place = values.indices.max { values[$0] < values[$1] } ?? 0
      #expect((2...3).contains(place / 8) && (4...5).contains(place % 8), "\(place)")
      for side in [4, 30] {
        #expect(throws: VisualizationError.unevenSide(side: side, patchSize: 8)) {
          try AttentionReader(network, side: side)
        }
      }
    }
  }

  /// A row a picture: itself, two heads, their mean, the mass; the heat is brightest over the patch.
  @Test func theSheetHasEachMapAtItsPlace() throws {
    try withTemporaryDirectory { folder in
      var reader = try AttentionReader(network(in: folder, lookingAt: 6), side: Self.side)
      let (square, attention) = try reader.read(picture, named: "a")
      var sheet = AttentionSheet(mass: 0.6, cell: 64)
      sheet.add("a", square, attention)
      let drawn = try sheet.drawn()
      let shown = square.enlarged(by: 2)
      let layout = ContactSheet([
        ContactSheet.Row(title: "a", .init(repeating: ContactSheet.Cell(shown), count: 5))
      ])
      func cell(_ column: Int) -> Picture {
        let place = layout.place(row: 0, column: column)
        return Picture(width: 64, height: 64, pixels: pixels(in: place, of: drawn))
      }
      #expect(cell(0) == shown)
      #expect(cell(1) == attention.heads[0].overlaid(on: shown))
      #expect(cell(2) == attention.heads[1].overlaid(on: shown))
      #expect(cell(3) == attention.mean.overlaid(on: shown))
      #expect(cell(4) == attention.mean.mass(0.6).cutOut(of: shown))
    }
  }
}
